"""Benchmark of reading a set: clips per second, processor time by stage, and advice on how to read faster."""

from __future__ import annotations

import math
import os
import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch

from mgm.data.annotations import VideoSet, load_set
from mgm.data.clips.sampling import clip_span
from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.clips.transform import CropName
from mgm.data.items import common_folder, evenly_spaced
from mgm.data.loading.dataset import ClipSet, ClipTransform, MaskRule
from mgm.data.loading.loader import read_batch
from mgm.data.shards.members import parse_member
from mgm.data.unreadable import LEAVE_OUT_ADVICE, READ_ERRORS
from mgm.errors import DataError
from mgm.printable import plural
from mgm.spans import Stopwatch
from mgm.video.container.metadata import VideoInfo
from mgm.video.transcode.folder import prepare_command

Stage = Literal["open", "demux", "decode", "convert", "field", "transform", "mask", "collate", "other"]
"""Names of the spans of a clip; "other" is the time outside any span."""
STAGES: tuple[Stage, ...] = get_args(Stage)

_SHARED: tuple[Stage, ...] = ("open", "demux", "decode", "field")
"""Stages that the repeats of a clip share; the others run once per repeat."""

_BATCH = 8
"""Clips per batch."""


class DataSettings(Protocol):
    """The values that the benchmark uses of a configuration's section `data`."""

    @property
    def frames(self) -> int:
        """Frames of a clip."""

    @property
    def stride(self) -> int:
        """Distance of the frames in the video."""

    @property
    def size(self) -> int:
        """Side of the clips in pixels."""

    @property
    def crop(self) -> CropName:
        """Kind of the crop."""

    @property
    def flip(self) -> bool:
        """Whether half of the clips are mirrored."""

    @property
    def workers(self) -> int:
        """Reading processes."""


class ReadingConfig(Protocol):
    """A configuration from which clips can be read, such as `mgm.training.Config`."""

    @property
    def seed(self) -> int:
        """The seed of crops and masks."""

    @property
    def data(self) -> DataSettings:
        """The section `data`."""

    def mask_rule(self) -> MaskRule:
        """The mask of the clips."""

    def clip_settings(self, *, motion: bool) -> ClipSettings:
        """Size, length and motion of the clips."""

    def repeats(self, run: Literal["pretrain"]) -> int:
        """Clips per decoded clip."""


@dataclass(frozen=True, slots=True)
class DataBenchmark:
    """Cost of reading clips in one process.

    Attributes:
        clips: number of clips read.
        failed: number of unreadable videos.
        seconds: processor seconds per delivered clip, by stage.
        waiting: seconds per delivered clip without computation: waiting for the disk, or for other programs.
        probe_seconds: seconds per video to find its length and size, once.
        decoded: frames decoded per decoded clip.
        span: frames of video from the first to the last frame of a clip.
        infos: metadata of the videos.
        repeats: clips delivered per decoded one.
        rate: requested clips per second, if any.
        advice: how to read faster, one sentence each, the largest gain first.
    """

    clips: int
    failed: int
    seconds: dict[Stage, float]
    waiting: float
    probe_seconds: float
    decoded: float
    span: int
    infos: tuple[VideoInfo, ...]
    repeats: int
    rate: float | None = None
    advice: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For programs, without the metadata of the videos."""
        derived = ("computing", "clips_per_second", "cores", "workers")
        names = [field.name for field in fields(self) if field.name != "infos"]
        return {name: getattr(self, name) for name in (*names, *derived)}

    @property
    def computing(self) -> float:
        """Processor seconds per delivered clip."""
        return sum(self.seconds.values())

    @property
    def clips_per_second(self) -> float:
        """Of one worker that never waits."""
        return 1 / self.computing

    @property
    def cores(self) -> int | None:
        """Number of cores that `rate` occupies."""
        return None if self.rate is None else math.ceil(round(self.rate * self.computing, 6))

    @property
    def workers(self) -> int | None:
        """Number of reading processes that deliver `rate`, waiting included."""
        return None if self.rate is None else math.ceil(round(self.rate * (self.computing + self.waiting), 6))

    def at_repeats(self, repeats: int) -> float:
        """Estimated processor seconds per delivered clip with `repeats` clips per decoded one."""
        shared = sum(self.seconds[stage] for stage in _SHARED) * self.repeats
        return self.computing - shared / self.repeats + shared / repeats


def benchmark_data(
    videos: VideoSet | str | Path, config: ReadingConfig, *, clips: int = 64, rate: float | None = None
) -> DataBenchmark:
    """Read clips as pretraining does, in this process, and measure the time of each stage.

    Files are read twice: once to probe them, which also brings them into the system's cache if it is large enough, then for the
    measurement. `data.memory` is ignored: the benchmark measures files.

    Args:
        videos: a folder, or a set made by `mgm.data.load_set`.
        config: a training configuration, see `mgm.load_config`.
        clips: number of clips to read, from as many videos, evenly spaced over the set.
        rate: clips per second that the training consumes, over all its devices.

    Raises:
        DataError: more than half of the videos are unreadable.
    """
    chosen = videos if isinstance(videos, VideoSet) else load_set(videos)
    items = tuple(evenly_spaced(chosen.train, max(clips, 1)))
    data, rule, source = config.data, config.mask_rule(), FileSource()
    clip_set = ClipSet(
        items,
        source,
        config.clip_settings(motion=rule.mask.uses_motion),
        ClipTransform(data.crop, data.flip, rule),
        seed=config.seed,
        repeats=config.repeats("pretrain"),
    )
    with _one_thread():
        began = time.perf_counter()
        failed = _probe_all(source, (item.path for item in items))
        probing = time.perf_counter() - began
        if failed * 2 > len(items):
            raise DataError(
                chosen.root,
                f"{failed} of {len(items)} videos cannot be read",
                advice=LEAVE_OUT_ADVICE,
                reason="too_many_failures",
            )
        read_batch(clip_set, [(1, 0)])  # compiles the kernels
        stopwatch, wall = _read_all(clip_set, len(items))
    delivered = len(items) * clip_set.repeats
    result = DataBenchmark(
        clips=delivered,
        failed=failed,
        seconds={stage: stopwatch.seconds[stage] / delivered for stage in STAGES},
        waiting=max(wall - sum(stopwatch.seconds.values()), 0.0) / delivered,
        probe_seconds=probing / len(items),
        decoded=stopwatch.calls["decode"] / len(items) - 1,  # the last call of each clip flushes the decoder
        span=clip_span(data.frames, data.stride),
        infos=tuple(source.infos.values()),
        repeats=clip_set.repeats,
        rate=rate,
    )
    return replace(result, advice=advise(result, chosen, data))


@contextmanager
def _one_thread() -> Iterator[None]:
    """As in a worker."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _read_all(clips: ClipSet, videos: int) -> tuple[Stopwatch, float]:
    """Read a clip of every video; returns the time of each stage, and the seconds of all."""
    stopwatch = Stopwatch()
    with stopwatch.running():
        began = time.perf_counter()
        for first in range(0, videos, _BATCH):
            read_batch(clips, [(0, index) for index in range(first, min(first + _BATCH, videos))])
        return stopwatch, time.perf_counter() - began


def _probe_all(source: FileSource, paths: Iterable[str]) -> int:
    """Probe all videos; returns the number of unreadable ones."""
    failed = 0
    for path in paths:
        try:
            source.info(path)
        except READ_ERRORS:
            failed += 1
    return failed


def advise(result: DataBenchmark, videos: VideoSet, data: DataSettings) -> tuple[str, ...]:
    """How to read the set faster, one sentence each, the largest gain first."""
    return (
        *_advice_on_files(result, videos, data),
        *_advice_on_waiting(result, videos),
        *_advice_on_workers(result, data),
    )


def _advice_on_files(result: DataBenchmark, videos: VideoSet, data: DataSettings) -> list[str]:
    """Whether to prepare the videos, and why."""
    fraction = {stage: seconds / result.computing for stage, seconds in result.seconds.items()}
    decoding = fraction["decode"] + fraction["field"] + fraction["demux"]
    sides = sorted(min(info.height, info.width) for info in result.infos)
    side = sides[len(sides) // 2]
    prepared = all(info.step > 1 for info in result.infos)
    reasons = []
    if result.decoded > 1.5 * result.span:
        reasons.append(
            f"{result.decoded:.0f} frames are decoded for a clip that spans {result.span}: keyframes are far apart"
        )
    if side > 1.5 * data.size:
        reasons.append(f"frames are {side} px high, clips {data.size}")
    if any(not info.motion for info in result.infos) and fraction["field"] > 0.2:
        reasons.append(
            f"motion is measured as optical flow, {fraction['field']:.0%} of the work: H.264 would contain motion vectors"
        )
    if decoding > 0.4 and not prepared:
        reasons.append(f"{decoding:.0%} of the work is decoding frames and motion")
    if not reasons:
        return []
    stride = data.stride
    profile = ["--profile", "strided", "--stride", str(stride)] if stride in (2, 4, 8) else ["--profile", "motion"]
    if any(parse_member(item.path) is not None for item in videos.items):
        return [f"{'; '.join(reasons)}: prepare the videos with 'mgm prepare' before packing them"]
    folder = videos.root
    if not Path(folder).is_dir():  # an annotation file: the deepest folder that contains all of its videos
        paths = [item.path for item in videos.items]
        folder = paths[0][: common_folder(paths)] or "."
    return [f"{'; '.join(reasons)}: {prepare_command(folder, *profile)}"]


def _advice_on_waiting(result: DataBenchmark, videos: VideoSet) -> list[str]:
    if _is_busy() or result.waiting < result.computing / 3:
        return []
    fraction = result.waiting / (result.waiting + result.computing)
    return [
        f"{fraction:.0%} of the time is spent waiting for files: more workers than cores hide that, and few large files are faster "
        f"than many small ones: mgm pack {shlex.quote(str(videos.root))} shards/"
    ]


def _advice_on_workers(result: DataBenchmark, data: DataSettings) -> list[str]:
    if result.workers is None or result.cores is None:
        return []
    workers = result.cores if _is_busy() else result.workers
    available = _cores()
    advice = [
        f"{result.rate:,.0f} clips/s occupy {plural(result.cores, 'core')} and need {plural(workers, 'worker')} over all "
        f"devices; data.workers, the number per device, is {data.workers}"
    ]
    if result.cores > available:
        more = 2 * result.repeats
        less = result.at_repeats(more) / result.computing
        advice[0] += f", and this machine has {plural(available, 'core')}"
        advice.append(
            f"pretrain.repeats={more} would deliver a clip for {less:.2f} of the work: {more} crops and masks of each decoded clip"
        )
    return advice


def _is_busy() -> bool:
    """Whether other programs occupy the cores, so that waiting does not measure file access."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > _cores() + 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
