"""What is run: where it goes, how long it is, and its stream of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mgm.data.annotations import VideoItem
from mgm.data.loading.loader import Batch, BatchOrder
from mgm.training.config import Config, OptimConfig
from mgm.training.optim import Schedule


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run goes and how long it is.

    Attributes:
        out: its folder: config.yaml, log.jsonl, tensorboard/, last.pt, and, where there are any, bad_videos.tsv and incidents.txt.
        config: the whole tree, saved beside the result.
        optim: the part of it that this run follows.
        schedule: length and learning rates.
        batches: `(first, last, parts)` -> the batches of these steps.
        order: the order of its samples.
        items: the videos that they are taken from.
        repeats: clips that are made of each of them, one behind the other in a batch.
        left_out: path -> message of videos that could not be read before the run began.
        words: what it is about to do, for the console.
    """

    out: Path
    config: Config
    optim: OptimConfig
    schedule: Schedule
    batches: Callable[[int, int, int], Iterator[Batch]]
    order: BatchOrder
    items: tuple[VideoItem, ...]
    repeats: int = 1
    left_out: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
