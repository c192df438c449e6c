"""Whether a set is still the one that a run began with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from mgm.data.annotations import VideoItem


def fingerprint(items: Sequence[VideoItem]) -> torch.Tensor:
    """One number per video, in order, int64 (N,): of its path below the folder of all, its label and its part.

    The same position gives the same samples only where all of them are equal. The folder may move.
    """
    above = common_folder([item.path for item in items])
    numbers = []
    for item in items:
        told = f"{item.path[above:]}\0{item.label}\0{item.start}\0{item.end}"
        digest = hashlib.blake2b(told.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        numbers.append(int.from_bytes(digest, "little", signed=True))
    return torch.tensor(numbers, dtype=torch.int64)


def difference(before: torch.Tensor, items: Sequence[VideoItem]) -> str | None:
    """What has changed since a set had the fingerprint `before`, in a few words; None where nothing has."""
    now = fingerprint(items)
    if torch.equal(before, now):
        return None
    old, new = set(before.tolist()), set(now.tolist())
    fresh = [item.path for item, number in zip(items, now.tolist(), strict=True) if number not in old]
    if not fresh and old == new:
        return f"the same {len(now)} videos in another order"
    gone = len(old - new)
    such = f" (such as {fresh[0]})" if fresh else ""
    return f"{len(before)} videos then, {len(now)} now: {gone} of them gone or changed, {len(fresh)} new{such}"


def common_folder(paths: Sequence[str]) -> int:
    """Characters of the folder that all the paths lie in, its last slash included."""
    if not paths:
        return 0
    low, high = min(paths), max(paths)  # what these two share, all share
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low.rfind("/", 0, same) + 1
