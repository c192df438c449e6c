"""A large folder for `mgm scan`: links to a few videos, and empty files between them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def link_files(videos: Path, count: int, made: Sequence[Path], *, every: int, per_folder: int) -> None:
    """Make `count` files in folders of `per_folder`: one in `every` is a link to one of `made` in turn, the others are empty."""
    for number in range(count):
        if number % per_folder == 0:
            place = videos / f"class {number // per_folder:04d}"
            place.mkdir(parents=True)
        name = place / f"a video {number:08d}.mp4"
        if number % every:
            os.close(os.open(name, os.O_CREAT))
        else:
            os.link(made[number // every % len(made)], name)
