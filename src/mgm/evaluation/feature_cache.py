"""Features on disk, under a key that changes with all that they depend on: weights, files, clips, views, precision, versions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

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

_FORMAT = 1
"""Raised when the meaning of a stored feature changes."""


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
    states = [_state(item.path) for item in views.items]
    if any(state is None for state in states):
        return None
    about = {
        "format": _FORMAT,
        "weights": weights_checksum(encoder),
        "model": encoder.spec.to_dict() if isinstance(encoder, Encoder) else type(encoder).__qualname__,
        "pooling": pooling,
        "items": [(item.path, item.start, item.end, state) for item, state in zip(views.items, states, strict=True)],
        "clips": asdict(views.settings),
        "sampler": asdict(views.sampler),
        "views": (views.temporal, views.spatial),
        "in memory": source.short_side if isinstance(source, MemorySource) else None,
        "precision": (ranks.precision, ranks.device.type),
        "versions": (VERSION, torch.__version__, av.__version__),
        **({} if block is None else {"block": block}),
    }
    return blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16).hexdigest()


def _state(path: str) -> list[Any] | None:
    """Size and time of the files of a video, in nanoseconds."""
    member = parse_member(path)
    place = path if member is None else member.tar
    if is_url(place):
        return None
    try:
        return [(name, found.st_size, found.st_mtime_ns) for name, found in _files(Path(place))]
    except OSError:
        return None


def _files(place: Path) -> Iterator[tuple[str, os.stat_result]]:
    if place.is_dir():
        for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
            yield entry.name, entry.stat()
    else:
        yield place.name, place.stat()
