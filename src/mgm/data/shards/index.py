"""Reads the index of a set in tar shards, from a folder or a URL."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mgm.data.items import VideoItem, VideoSet
from mgm.data.labels import whole_number
from mgm.data.shards.members import ByteRange, ShardMember
from mgm.errors import DataError, VideoError
from mgm.files.json_text import read_json
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
            indexes = list(pool.map(_load_json, (f"{place}/{index_name(shard)}" for shard in shards)))
        numbered: list[tuple[int, str, VideoItem]] = []
        for shard, index in zip(shards, indexes, strict=True):
            for sample in index["samples"]:
                path = str(_member(f"{place}/{shard}", sample))
                numbered += [_annotated(path, annotation, classes) for annotation in sample["annotations"]]
        numbered.sort(key=lambda entry: entry[0])
        train, test = (tuple(item for _, split, item in numbered if split == name) for name in ("train", "test"))
        return VideoSet(place, train, test, classes, _text(content["split"]))
    except DataError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _not_of_pack(place, f"damaged index ({error!r})") from error


def _annotated(path: str, annotation: Mapping[str, Any], classes: Sequence[str]) -> tuple[int, str, VideoItem]:
    """Position in the set, split and item of one annotation."""
    label, end = annotation["label"], annotation["end"]
    item = VideoItem(
        path,
        None if label is None else _number(label, below=len(classes)),
        _number(annotation["start"]),
        None if end is None else _number(end),
    )
    return _number(annotation["number"]), _text(annotation["split"]), item


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
