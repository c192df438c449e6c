"""Features on disk, under a key that changes with all that they depend on: weights, files, clips, views, precision, versions."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

import av
import torch

from mgm.data.clips.source import FileSource, MemorySource
from mgm.data.items import VideoItem
from mgm.data.loading.views import ViewSet
from mgm.data.shards.members import parse_member
from mgm.evaluation.checked_tensors import read_tensors, write_tensors
from mgm.evaluation.pooling import TokenPooling
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.views import Features
from mgm.models import Encoder
from mgm.models.networks.network import VideoNetwork
from mgm.training.results import weights_checksum
from mgm.version import VERSION
from mgm.video.container.locator import is_url

FEATURES_FOLDER = "features"
"""In the folder of a run."""

_FORMAT = 2
"""Raised when the meaning of a stored feature changes, or its key."""

_READERS = 16
"""Files whose state is asked for at a time: a disk across a network answers each after a millisecond."""

_ITEMS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """A folder of features, one file per encoder and list of videos. Any of its files may be deleted at any time.

    Labels are not stored: they are those of the items that are asked for.
    """

    folder: Path

    def load(self, key: str, items: Sequence[VideoItem]) -> Features | None:
        """The features under a key; None if there are none, or their file is damaged."""
        found = read_tensors(self._file(key))
        if found is None:
            return None
        index = found["index"].tolist()
        label = torch.tensor([-1 if items[i].label is None else items[i].label for i in index])
        return Features(found["pooled"], found["owner"], label, found["row"], index=tuple(index))

    def save(self, key: str, found: Features) -> None:
        """Keep features of which every video could be read: a video that timed out may be readable another time.

        Raises:
            FileError: the file cannot be written.
        """
        if not found.unreadable:
            index = torch.tensor(found.index, dtype=torch.int64)
            tensors = {"pooled": found.pooled, "owner": found.owner, "row": found.row, "index": index}
            write_tensors(self._file(key), tensors)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.features"


def feature_key(
    encoder: Encoder | VideoNetwork, views: ViewSet, pooling: TokenPooling, ranks: Ranks, block: int | None = None
) -> str | None:
    """32 hexadecimal digits; None if the content of a video cannot be identified, as behind a URL or in a caller's source."""
    source = views.source
    if not isinstance(source, FileSource | MemorySource):
        return None
    about = {
        "format": _FORMAT,
        "weights": weights_checksum(encoder),
        "model": encoder.spec.to_dict() if isinstance(encoder, Encoder) else type(encoder).__qualname__,
        "pooling": pooling,
        "clips": asdict(views.settings),
        "sampler": asdict(views.sampler),
        "views": (views.temporal, views.spatial),
        "in memory": source.short_side if isinstance(source, MemorySource) else None,
        "precision": (ranks.precision, ranks.device.type),
        "versions": (VERSION, torch.__version__, av.__version__),
        **({} if block is None else {"block": block}),
    }
    digest = blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16)
    with closing(_described(views.items)) as parts:
        for part in parts:
            if part is None:
                return None
            digest.update(part)
    return digest.hexdigest()


def _described(items: Sequence[VideoItem]) -> Generator[bytes | None]:
    """Lines with the place of each item and the state of its files, many at a time; None for those of which one has no state."""
    pool = ThreadPoolExecutor(_READERS)
    try:
        numbers = range(0, len(items), _ITEMS_AT_ONCE)
        yield from pool.map(lambda first: _lines(items[first : first + _ITEMS_AT_ONCE]), numbers)
    finally:
        pool.shutdown(cancel_futures=True)


def _lines(items: Sequence[VideoItem]) -> bytes | None:
    state_of = cache(_state)  # many items may be in one shard
    lines = []
    for item in items:
        member = parse_member(item.path)
        state = state_of(item.path if member is None else member.tar)
        if state is None:
            return None
        lines.append(json.dumps([item.path, item.start, item.end, state]))
    return "".join(f"{line}\n" for line in lines).encode()


def _state(place: str) -> list[tuple[str, int, int]] | None:
    """Name, size in bytes and time in nanoseconds of a file, or of all in a folder; None if they cannot be known."""
    if is_url(place):
        return None
    try:
        found = Path(place).stat()
        if not stat.S_ISDIR(found.st_mode):
            return [(Path(place).name, found.st_size, found.st_mtime_ns)]
        files = [(entry.name, entry.stat()) for entry in sorted(os.scandir(place), key=lambda entry: entry.name)]
        return [(name, found.st_size, found.st_mtime_ns) for name, found in files]
    except OSError:
        return None
