"""Reads the index of a set in tar shards, from a folder or a URL."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mgm.data.items import VideoItem, VideoSet
from mgm.data.labels import whole_number
from mgm.data.shards.members import ByteRange, ShardMember
from mgm.errors import DataError
from mgm.files.json_text import read_json
from mgm.video.container.locator import is_url
from mgm.video.container.metadata import VideoInfo

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
        DataError: there is no such set, or its index is damaged.
    """
    place = str(root).removesuffix(SHARDS_FILE).rstrip("/")
    shards_file = f"{place}/{SHARDS_FILE}"
    content = _load_json(shards_file)
    try:
        if content["format"] != SHARDS_FORMAT:
            raise _not_of_pack(shards_file, f"format {content['format']!r}", SHARDS_FORMAT)
        with ThreadPoolExecutor(_READERS) as pool:
            indexes = list(pool.map(_load_json, (f"{place}/{index_name(shard)}" for shard in content["shards"])))
        classes = tuple(map(str, content["classes"]))
        numbered: list[tuple[int, str, VideoItem]] = []
        for shard, index in zip(content["shards"], indexes, strict=True):
            for sample in index["samples"]:
                path = str(_member(f"{place}/{shard}", sample))
                numbered += [(a["number"], a["split"], _item(path, a, classes)) for a in sample["annotations"]]
        numbered.sort(key=lambda entry: entry[0])
        train, test = (tuple(item for _, split, item in numbered if split == name) for name in ("train", "test"))
        return VideoSet(place, train, test, classes, content["split"])
    except DataError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise _not_of_pack(place, f"damaged index ({error!r})") from error


def _item(path: str, annotation: Mapping[str, Any], classes: tuple[str, ...]) -> VideoItem:
    label, start, end = (annotation[key] for key in ("label", "start", "end"))
    return VideoItem(
        path,
        None if label is None else _number(label, below=len(classes)),
        _number(start),
        None if end is None else _number(end),
    )


def _number(value: object, *, below: float = math.inf) -> int:
    number = whole_number(value)
    if number is None or not 0 <= number < below:
        raise ValueError(f"{reprlib.repr(value)} as the number of a class or frame")
    return number


def _member(tar: str, sample: Mapping[str, Any]) -> ShardMember:
    parts = {name: ByteRange(offset, size) for name, (offset, size) in sample["members"].items()}
    return ShardMember(
        tar, sample["name"], parts["video"], VideoInfo(**sample["info"]), parts.get("motion"), sample["modified"]
    )


def _load_json(place: str) -> dict[str, Any]:
    try:
        if is_url(place):
            import fsspec

            with fsspec.open(place, "rb") as file:
                data = file.read()
        else:
            data = Path(place).read_bytes()
    except Exception as error:  # every file system of fsspec has its own errors
        raise DataError(
            place,
            f"cannot be read ({type(error).__name__}: {error})",
            "a set written by 'mgm pack'",
            "check the path or URL, and that the package of its protocol is installed (fsspec; aiohttp for http, s3fs for s3)",
            reason="unreadable",
        ) from error
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
