"""Reads the index of a set in tar shards, from a folder or a URL."""

from __future__ import annotations

import reprlib
from array import array
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mgm.data.items import VideoItems, VideoSet
from mgm.data.labels import whole_number
from mgm.data.shards.members import ByteRange, ShardMember
from mgm.errors import DataError, VideoError, in_words
from mgm.files.json_text import read_json
from mgm.files.path_column import PathColumn
from mgm.video.container.locator import cannot_open, check_file, is_url
from mgm.video.container.metadata import VideoInfo
from mgm.video.container.remote import read_remote

SHARDS_FORMAT = "mgm-shards-1"
SHARDS_FILE = "shards.json"
"""Describes the whole set: classes, split, names of the shards. It is written last: it exists only if the set is complete."""

_READERS = 16
"""Index files that are read at a time."""


def index_name(shard: str) -> str:
    """Name of the file beside a shard that contains the byte ranges of its members."""
    return f"{Path(shard).stem}.index.json"


def is_shards(root: str | Path) -> bool:
    """Whether a folder or URL is a set written by `mgm pack`; no other set can be at a URL."""
    text = str(root)
    return is_url(text) or Path(text).name == SHARDS_FILE or (Path(text) / SHARDS_FILE).is_file()


def load_shards(root: str | Path) -> VideoSet:
    """Load the set in shards, in the order of the set that was packed; `mgm.data.shards.members` reads its paths.

    Args:
        root: a folder, a URL of one (http://, s3://, memory://), or of its shards.json.

    Raises:
        DataError: the set does not exist, or its index is damaged.
    """
    place = str(root).removesuffix(SHARDS_FILE).rstrip("/")
    shards_file = f"{place}/{SHARDS_FILE}"
    content = _load_json(shards_file)
    try:
        if content["format"] != SHARDS_FORMAT:
            raise _not_of_pack(shards_file, f"format {content['format']!r}", SHARDS_FORMAT)
        shards = [_file_name(shard) for shard in content["shards"]]
        classes = tuple(_text(name) for name in content["classes"])
        with ThreadPoolExecutor(_READERS) as pool:
            parts = list(pool.map(partial(_load_shard, place, classes), shards))
        items = VideoItems(
            PathColumn(chain.from_iterable(part.paths for part in parts)),
            chain.from_iterable(part.labels for part in parts),
            chain.from_iterable(part.starts for part in parts),
            chain.from_iterable(part.ends for part in parts),
        )
        numbers, splits = (
            np.fromiter(chain.from_iterable(values), np.int64, len(items))
            for values in ((part.numbers for part in parts), (part.splits for part in parts))
        )
        order = np.argsort(numbers, kind="stable")
        train, test = (items.take(order[splits[order] == number]) for number in range(len(_SPLITS)))
        return VideoSet(place, train, test, classes, _text(content["split"]))
    except DataError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _not_of_pack(place, f"damaged index ({in_words(error)})") from error


_SPLITS = ("train", "test")


@dataclass(slots=True)
class _ShardItems:
    """The items of one shard, in little memory: a set may have ten thousand shards.

    Attributes:
        numbers: the position of each item in the set.
        splits: the number of the split of each item in `_SPLITS`; the number after them for another.
    """

    paths: PathColumn = field(default_factory=PathColumn)
    numbers: array[int] = field(default_factory=lambda: array("q"))
    splits: array[int] = field(default_factory=lambda: array("b"))
    labels: list[int | None] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int | None] = field(default_factory=list)

    def add(self, path: str, annotation: Mapping[str, Any], classes: Sequence[str]) -> None:
        """Add the item of one annotation."""
        label, end, split = annotation["label"], annotation["end"], _text(annotation["split"])
        self.numbers.append(_number(annotation["number"]))
        self.splits.append(_SPLITS.index(split) if split in _SPLITS else len(_SPLITS))
        self.labels.append(None if label is None else _number(label, below=len(classes)))
        self.starts.append(_number(annotation["start"]))
        self.ends.append(None if end is None else _number(end))
        self.paths.append(path)


def _load_shard(place: str, classes: Sequence[str], shard: str) -> _ShardItems:
    """The items of one shard of a set at `place`."""
    found = _ShardItems()
    for sample in _load_json(f"{place}/{index_name(shard)}")["samples"]:
        path = str(_member(f"{place}/{shard}", sample))
        for annotation in sample["annotations"]:
            found.add(path, annotation, classes)
    return found


def _number(value: object, *, below: int = 2**63) -> int:
    """The number of a class or frame, which other tools may write as 1.0."""
    number = whole_number(value)
    if number is None or not 0 <= number < below:
        raise ValueError(f"{reprlib.repr(value)} as the number of a class or frame")
    return number


def _member(tar: str, sample: Mapping[str, Any]) -> ShardMember:
    parts = {name: ByteRange(_integer(offset), _integer(size)) for name, (offset, size) in sample["members"].items()}
    sizes = {name: _integer(sample["info"][name], 1) for name in ("frames", "height", "width", "step")}
    info = VideoInfo(motion=bool(sample["info"]["motion"]), **sizes)
    return ShardMember(
        tar, _text(sample["name"]), parts["video"], info, parts.get("motion"), _integer(sample["modified"], -(2**63))
    )


def _integer(value: object, smallest: int = 0) -> int:
    """The value, if it is a whole number that a position in a file can have. JSON of others may hold anything."""
    if type(value) is not int or not smallest <= value < 2**63:
        raise ValueError(f"{reprlib.repr(value)}, expected a whole number from {smallest}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{reprlib.repr(value)}, expected text")
    return value


def _file_name(value: object) -> str:
    """The name of a shard, which is in the folder of its set."""
    if Path(_text(value)).name != value:
        raise ValueError(f"{reprlib.repr(value)}, expected the name of a shard")
    return value


def _load_json(place: str) -> dict[str, Any]:
    try:
        if is_url(place):
            data = read_remote(place, place)
        else:
            check_file(place, "an index")
            data = Path(place).read_bytes()
    except (VideoError, OSError) as error:
        found = error if isinstance(error, VideoError) else cannot_open(place, error, "check its permissions")
        expected = found.expected or "a set written by 'mgm pack'"
        raise DataError(place, found.found, expected, found.advice, reason=found.reason) from error
    try:
        content = read_json(data)
    except ValueError as error:
        raise _not_of_pack(place, f"not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise _not_of_pack(place, f"found {type(content).__name__}", "an object")
    return content


def _not_of_pack(place: str, found: str, expected: str = "") -> DataError:
    """The error of an index that `mgm pack` of this version did not write."""
    return DataError(place, found, expected, "pack the set again with 'mgm pack'", reason="malformed")
