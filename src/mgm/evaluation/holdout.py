"""The part of the training videos on which the settings of a probe are chosen: test videos must not influence them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath

import torch
from torch import Tensor

from mgm.data.annotations.splits import SOURCE_NUMBER
from mgm.data.items import VideoItem

_EVERY = 5
"""One source video of five is held out."""


def held_out(items: Sequence[VideoItem]) -> Tensor:
    """bool (videos,), True = held out: every fifth source video of each class, so that each class keeps videos to train on.

    Parts of one file, and clips of one source (from the g<number> in their names), stay together. A set of fewer than five sources
    in every class holds out its last video of each class that has two.
    """
    sources = [_source(item) for item in items]
    of_class: dict[int | None, dict[str, None]] = defaultdict(dict)
    for item, source in zip(items, sources, strict=True):
        of_class[item.label].setdefault(source)
    chosen = {source for found in of_class.values() for source in list(found)[_EVERY - 1 :: _EVERY]}
    if not chosen:
        chosen = {list(found)[-1] for found in of_class.values() if len(found) > 1}
    trained = {item.label for item, source in zip(items, sources, strict=True) if source not in chosen}
    emptied = {item.label for item in items} - trained  # a source may have videos of several classes
    chosen -= {source for item, source in zip(items, sources, strict=True) if item.label in emptied}
    return torch.tensor([source in chosen for source in sources], dtype=torch.bool)


def _source(item: VideoItem) -> str:
    """The name of a video up to the number of its source, as UCF101 has it ("v_Archery_g01_"); else its path."""
    match = SOURCE_NUMBER.search(PurePath(item.path).name)
    return match.string[: match.end()] if match else item.path
