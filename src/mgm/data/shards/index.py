"""A set of videos packed into tar shards: its index, read from a folder or a URL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mgm.data.items import VideoItem, VideoSet
from mgm.data.shards.members import Member
from mgm.errors import DataError
from mgm.video.container.locator import is_url
from mgm.video.container.metadata import VideoInfo

FORMAT = "mgm-shards-1"
SET = "shards.json"
"""Describes the whole set: classes, how it was split, names of the shards. Written last, so that it is there when all is."""

READERS = 16
"""Index files that are read at a time."""


def index_name(shard: str) -> str:
    """The file beside a shard that says where its members are."""
    return f"{Path(shard).stem}.index.json"


def is_shards(root: str | Path) -> bool:
    """Whether a folder or URL is a set that `mgm pack` wrote; a URL can be nothing else."""
    text = str(root)
    return is_url(text) or Path(text).name == SET or (Path(text) / SET).is_file()


def shard_set(root: str | Path) -> VideoSet:
    """The videos of shards, in the order of the set that was packed; paths as `mgm.data.shards.members` reads them.

    Args:
        root: a folder, a URL of one (http://, s3://, memory://), or of its shards.json.

    Raises:
        DataError: no such set, or damaged.
    """
    place = str(root).removesuffix(SET).rstrip("/")
    known = _load(f"{place}/{SET}")
    try:
        if known["format"] != FORMAT:
            raise DataError(
                f"{place}/{SET}: of format {known['format']}, expected {FORMAT}; pack it again with 'mgm pack'"
            )
        with ThreadPoolExecutor(READERS) as pool:
            indexes = list(pool.map(_load, (f"{place}/{index_name(shard)}" for shard in known["shards"])))
        found = []
        for shard, index in zip(known["shards"], indexes, strict=True):
            for sample in index["samples"]:
                path = str(_member(f"{place}/{shard}", sample))
                found += [(note["number"], note["split"], _item(path, note)) for note in sample["annotations"]]
        found.sort(key=lambda entry: entry[0])
        sides = {side: tuple(item for _, split, item in found if split == side) for side in ("train", "test")}
        return VideoSet(place, sides["train"], sides["test"], tuple(known["classes"]), known["split"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{place}: its index is damaged ({error!r}), expected what 'mgm pack' writes; pack it again"
        ) from error


def _item(path: str, note: Mapping[str, Any]) -> VideoItem:
    return VideoItem(path, note["label"], note["start"], note["end"])


def _member(tar: str, sample: Mapping[str, Any]) -> Member:
    spans = {name: (offset, size) for name, (offset, size) in sample["members"].items()}
    return Member(
        tar, sample["name"], spans["video"], VideoInfo(**sample["info"]), spans.get("motion"), sample["modified"]
    )


def _load(place: str) -> dict[str, Any]:
    try:
        if is_url(place):
            import fsspec

            with fsspec.open(place, "rb") as file:
                data = file.read()
        else:
            data = Path(place).read_bytes()
    except Exception as error:  # every file system of fsspec has errors of its own
        raise DataError(
            f"{place}: cannot be read ({type(error).__name__}: {error}), expected a set of 'mgm pack'; check the path or URL, "
            "and that the package of its protocol is installed (fsspec; aiohttp for http, s3fs for s3)"
        ) from error
    try:
        found = json.loads(data)
    except ValueError as error:
        raise DataError(f"{place}: is no JSON ({error}), expected what 'mgm pack' writes; pack it again") from error
    if not isinstance(found, dict):
        raise DataError(f"{place}: found {type(found).__name__}, expected what 'mgm pack' writes; pack it again")
    return found
