"""From a set of videos and a configuration to a run: where clips come from, which batches, which devices."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from lightning_fabric import Fabric
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mgm.data.annotations import VideoItem
from mgm.data.clips.source import ClipSource, FileSource, MemorySource
from mgm.data.loading.dataset import ClipSet, ClipTransform
from mgm.data.loading.loader import Batch, BatchOrder, batches
from mgm.errors import DataError
from mgm.training.config import Config, OptimConfig
from mgm.training.engine import make_fabric
from mgm.training.optim import Schedule
from mgm.training.run import Run


def prepare_source(
    items: tuple[VideoItem, ...],
    config: Config,
    *,
    motion: bool,
    source: ClipSource | None,
    show_progress: bool = False,
) -> tuple[tuple[VideoItem, ...], ClipSource]:
    """The videos and where their clips come from. With `data.memory`, unreadable videos are found here and left out."""
    if source is not None:
        return items, source
    if not config.data.memory:
        return items, FileSource()
    memory = MemorySource(config.data.memory_side or config.data.size, config.data.motion if motion else None)
    columns = (
        TextColumn("reading into memory: video {task.completed} of {task.total}"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    shown = show_progress and sys.stdout.isatty()  # elsewhere what is taken away again would leave an empty line
    with Progress(*columns, disable=not shown, transient=True) as progress:
        task = progress.add_task("", total=len(items))
        problems = memory.load([i.path for i in items], progress=lambda _: progress.advance(task))
    if problems and len(problems) > config.data.bad_share * len(items):
        raise DataError(
            f"{len(problems)} of {len(items)} videos could not be read, expected at most {config.data.bad_share:.0%} "
            f"(data.bad_share); the first: {next(iter(problems.values()))}; check the set with 'mgm scan'"
        )
    return tuple(i for i in items if i.path not in problems), memory


def reading_processes(config: Config, source: ClipSource) -> int:
    """How many processes read; what is in memory already needs none."""
    return 0 if isinstance(source, MemorySource) else config.data.workers


def make_run(
    items: tuple[VideoItem, ...],
    source: ClipSource,
    config: Config,
    optim: OptimConfig,
    plan: Schedule,
    transform: ClipTransform,
    describe: Callable[[Config, Schedule, int, int], str],
    *,
    out: Path,
) -> tuple[Run, Fabric]:
    """The run with its stream of batches, and its devices. describe: as in `mgm.training.train.train`."""
    fabric = make_fabric(optim)
    clips = ClipSet(
        items,
        source,
        config.clip_settings(motion=transform.rule is not None and transform.rule.uses_motion),
        transform,
        seed=config.seed,
        repeats=config.data.repeats,
    )
    order = BatchOrder(len(items), optim.batch, config.seed, fabric.global_rank, fabric.world_size)
    workers = reading_processes(config, source)

    def stream(first: int, last: int, parts: int) -> Iterator[Batch]:
        return batches(
            clips,
            order,
            first=first,
            last=last,
            parts=parts,
            workers=workers,
            pin=fabric.device.type == "cuda",
            timeout=config.data.read_timeout,
        )

    left_out = source.unreadable if isinstance(source, MemorySource) else {}
    words = describe(config, plan, len(items), fabric.world_size)
    return Run(out, config, optim, plan, stream, order, items, config.data.repeats, left_out, words), fabric
