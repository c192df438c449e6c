"""The fingerprint of a set of videos: a run resumes only on the set that it started with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from mgm.data.items import VideoItem, common_folder


def fingerprint(items: Sequence[VideoItem]) -> torch.Tensor:
    """One hash per item, int64 (N,): of its path below the common folder, its label, and its first and last frame.

    A resumed run reads the same samples only if all hashes are equal. The common folder may move.
    """
    above = common_folder([item.path for item in items])
    hashes = []
    for item in items:
        content = f"{item.path[above:]}\0{item.label}\0{item.start}\0{item.end}"
        digest = hashlib.blake2b(content.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        hashes.append(int.from_bytes(digest, "little", signed=True))
    return torch.tensor(hashes, dtype=torch.int64)


def describe_change(before: torch.Tensor, items: Sequence[VideoItem]) -> str | None:
    """Summary of the changes since a set had the fingerprint `before`; None if it did not change."""
    now = fingerprint(items)
    if torch.equal(before, now):
        return None
    old, new = set(before.tolist()), set(now.tolist())
    added = [item.path for item, number in zip(items, now.tolist(), strict=True) if number not in old]
    if not added and old == new:
        return f"the same {len(now)} videos in another order"
    example = f" (such as {added[0]})" if added else ""
    return f"{len(before)} videos then, {len(now)} now: {len(old - new)} of them missing or changed, {len(added)} new{example}"
