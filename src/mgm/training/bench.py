"""How fast a set is read, where the time goes, and what would make it faster."""

from __future__ import annotations

import math
import os
import shlex
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mgm.data.annotations import VideoSet, load_set
from mgm.data.clips.source import FileSource
from mgm.data.items import common_folder, evenly_spaced
from mgm.data.loading.dataset import ClipSet, ClipTransform
from mgm.data.loading.loader import read_batch
from mgm.data.loading.stages import STAGES, Stage, Stopwatch
from mgm.data.shards.members import parse_member
from mgm.errors import DataError
from mgm.training.config import Config
from mgm.video.container.metadata import VideoInfo
from mgm.video.transcode.folder import prepare_command

BATCH = 8
"""Clips that are collated at a time."""

SHARED: tuple[Stage, ...] = ("open", "demux", "decode", "field")
"""What the repeats of a clip share; the rest is done for each."""


@dataclass(frozen=True, slots=True)
class DataBench:
    """What reading clips costs in one process.

    Attributes:
        clips: how many were read; `failed`: how many videos could not be.
        seconds: of a processor core per delivered clip, by stage.
        waiting: seconds per delivered clip in which nothing was computed: for the disk, or because other programs ran.
        first_look: seconds per video to learn its length and size, once.
        decoded: pictures decoded per decoded clip.
        span: frames of video from the first to the last frame of a clip.
        infos: what is known of the videos.
        repeats: clips made of a decoded one.
        rate: clips per second that are asked for, if any.
        advice: what would make it faster, one sentence each, the most first.
    """

    clips: int
    failed: int
    seconds: dict[Stage, float]
    waiting: float
    first_look: float
    decoded: float
    span: int
    infos: tuple[VideoInfo, ...]
    repeats: int
    rate: float | None = None
    advice: tuple[str, ...] = ()

    @property
    def computing(self) -> float:
        """Seconds of a core per delivered clip."""
        return sum(self.seconds.values())

    @property
    def clips_per_second(self) -> float:
        """Of one worker that never waits."""
        return 1 / self.computing

    @property
    def cores(self) -> int | None:
        """Cores that `rate` keeps busy."""
        return None if self.rate is None else math.ceil(round(self.rate * self.computing, 6))

    @property
    def workers(self) -> int | None:
        """Reading processes that feed `rate`, waiting included."""
        return None if self.rate is None else math.ceil(round(self.rate * (self.computing + self.waiting), 6))

    def at_repeats(self, repeats: int) -> float:
        """Estimated seconds of a core per delivered clip where `repeats` are made of each decoded one."""
        shared = sum(self.seconds[stage] for stage in SHARED) * self.repeats
        return self.computing - shared / self.repeats + shared / repeats


def bench_data(
    videos: VideoSet | str | Path, config: Config, *, clips: int = 64, rate: float | None = None
) -> DataBench:
    """Read clips as pretraining does, in this process, and see where the time goes.

    The files are read twice: once to learn of them, which brings them into the system's cache where it is large enough, then for
    the measurement. `data.memory` is left aside: it is files that are measured.

    Args:
        videos: a folder, or a set made by `mgm.data.annotations.load_set`.
        clips: how many to read, of as many videos, spread over the set.
        rate: clips per second that the training needs, over all its devices.

    Raises:
        DataError: fewer than half of the videos can be read.
    """
    found = videos if isinstance(videos, VideoSet) else load_set(videos)
    items = tuple(evenly_spaced(found.train, max(clips, 1)))
    rule = config.mask_rule()
    source = FileSource()
    clip_set = ClipSet(
        items,
        source,
        config.clip_settings(motion=rule.mask.uses_motion),
        ClipTransform(config.data.crop, config.data.flip, rule),
        seed=config.seed,
        repeats=config.data.repeats,
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    try:
        first_look, failed = _look(clip_set)
        if failed * 2 > len(items):
            raise DataError(
                f"{found.root}: {failed} of {len(items)} videos cannot be read; look at them with 'mgm scan'"
            )
        read_batch(clip_set, [(1, 0)])  # compiles what is compiled
        stopwatch = Stopwatch()
        with stopwatch.watch(rule.mask):
            began = time.perf_counter()
            for first in range(0, len(items), BATCH):
                read_batch(clip_set, [(0, index) for index in range(first, min(first + BATCH, len(items)))])
            wall = time.perf_counter() - began
    finally:
        torch.set_num_threads(threads)
    delivered = len(items) * config.data.repeats
    bench = DataBench(
        clips=delivered,
        failed=failed,
        seconds={stage: stopwatch.seconds[stage] / delivered for stage in STAGES},
        waiting=max(wall - sum(stopwatch.seconds.values()), 0.0) / delivered,
        first_look=first_look,
        decoded=stopwatch.calls["decode"] / len(items) - 1,  # one call ends each clip
        span=(config.data.frames - 1) * config.data.stride + 1,
        infos=tuple(source.infos.values()),
        repeats=config.data.repeats,
        rate=rate,
    )
    return _with_advice(bench, found, config)


def _look(clips: ClipSet) -> tuple[float, int]:
    """(seconds per video to learn of it, how many cannot be read)."""
    began, failed = time.perf_counter(), 0
    for item in clips.items:
        try:
            clips.source.info(item.path)
        except (ValueError, OSError):
            failed += 1
    return (time.perf_counter() - began) / len(clips.items), failed


def _with_advice(bench: DataBench, videos: VideoSet, config: Config) -> DataBench:
    advice = [
        *_advice_on_files(bench, videos, config),
        *_advice_on_waiting(bench, videos),
        *_advice_on_workers(bench, config),
    ]
    return replace(bench, advice=tuple(advice))


def _advice_on_files(bench: DataBench, videos: VideoSet, config: Config) -> list[str]:
    """What preparing the videos would save."""
    share = {stage: seconds / bench.computing for stage, seconds in bench.seconds.items()}
    heavy = share["decode"] + share["field"] + share["demux"]
    sides = sorted(min(info.height, info.width) for info in bench.infos)
    side = sides[len(sides) // 2]
    prepared = all(info.step > 1 for info in bench.infos)
    reasons = []
    if bench.decoded > 1.5 * bench.span:
        reasons.append(
            f"{bench.decoded:.0f} pictures are decoded for a clip that spans {bench.span}: key pictures are far apart"
        )
    if side > 1.5 * config.data.size:
        reasons.append(f"pictures are {side} px high, clips {config.data.size}")
    if any(not info.motion for info in bench.infos) and share["field"] > 0.2:
        reasons.append(f"motion is measured as optical flow, {share['field']:.0%} of the work: H.264 would carry it")
    if heavy > 0.4 and not prepared:
        reasons.append(f"{heavy:.0%} of the work is decoding frames and motion")
    if not reasons:
        return []
    stride = config.data.stride
    profile = ["--profile", "strided", "--stride", str(stride)] if stride in (2, 4, 8) else ["--profile", "motion"]
    if any(parse_member(item.path) is not None for item in videos.items):
        return [f"{'; '.join(reasons)}: prepare the videos with 'mgm prepare' before packing them"]
    folder = videos.root
    if not Path(folder).is_dir():  # an annotation file: what lies above all of its videos
        paths = [item.path for item in videos.items]
        folder = paths[0][: common_folder(paths)] or "."
    return [f"{'; '.join(reasons)}: {prepare_command(folder, *profile)}"]


def _advice_on_waiting(bench: DataBench, videos: VideoSet) -> list[str]:
    if _is_busy() or bench.waiting < bench.computing / 3:
        return []
    share = bench.waiting / (bench.waiting + bench.computing)
    return [
        f"{share:.0%} of the time is spent waiting for files: more workers than cores hide that, and few large files are faster "
        f"than many small ones: mgm pack {shlex.quote(str(videos.root))} shards/"
    ]


def _advice_on_workers(bench: DataBench, config: Config) -> list[str]:
    if bench.workers is None or bench.cores is None:
        return []
    workers = bench.cores if _is_busy() else bench.workers
    has = _cores()
    advice = [
        f"{bench.rate:,.0f} clips/s keep {_count(bench.cores, 'core')} busy and take {_count(workers, 'worker')} over all "
        f"devices; data.workers, those of one device, is {config.data.workers}"
    ]
    if bench.cores > has:
        more = 2 * bench.repeats
        less = bench.at_repeats(more) / bench.computing
        advice[0] += f", and this machine has {_count(has, 'core')}"
        advice.append(
            f"data.repeats={more} would deliver a clip for {less:.2f} of the work: {more} crops and masks of each decoded clip"
        )
    return advice


def _is_busy() -> bool:
    """Whether other programs want the cores, so that waiting says nothing about files."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > _cores() + 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
