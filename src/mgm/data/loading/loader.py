"""Batches of a run: their order, reading them in worker processes, and collating their samples."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from queue import Queue
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from mgm.compiled import load_cached
from mgm.data.clips.source import FileSource
from mgm.data.items import paths_of
from mgm.data.loading.dataset import ClipSet, Sample, SampleKey
from mgm.data.loading.memory import keep_freed_memory
from mgm.data.loading.views import Views, ViewSet
from mgm.data.unreadable import Unreadable
from mgm.masks.ratio_schedule import progress_of
from mgm.spans import span
from mgm.video.clip.interleave import compile_clip_kernels
from mgm.video.container.metadata import VideoInfo
from mgm.workers.pool import WorkerPool
from mgm.workers.process import BeginItem


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Clips for one step.

    Attributes:
        video: uint8 (B, 3, T, H, W).
        mask: bool (B, t, h, w), True = hidden from the encoder, or None; it stays on the CPU.
        label: int64 (B,), -1 without a label.
        index: int64 (B,), indexes of the videos in the set.
        keys: int64 (B, 3), (epoch, index, repeat) of each clip; it stays on the CPU.
        fallback: fraction of mask steps that had no motion to follow, mean over the batch.
        unreadable: videos that could not be read and were replaced.
        incidents: one line per reading process that was lost since the previous batch; see `WorkerPool`.
        decode: bool (B, t, h, w), True = reconstruct this token if it is hidden, or None; it stays on the CPU.
        motion: float32 (B, T, h, w, 2), mean displacement of every patch in pixels, or None.
        decode_fallback: as `fallback`, of the masks that `decode` comes from.
        measured: fraction of the clips whose motion was measured on the decoded frames, not read from the stream.
    """

    video: torch.Tensor
    mask: torch.Tensor | None
    label: torch.Tensor
    index: torch.Tensor
    keys: torch.Tensor
    fallback: float
    unreadable: tuple[Unreadable, ...]
    incidents: tuple[str, ...] = ()
    decode: torch.Tensor | None = None
    motion: torch.Tensor | None = None
    decode_fallback: float = 0.0
    measured: float = 0.0

    def to(self, device: torch.device) -> Batch:
        """The batch on a device, as uint8; the model normalises it there. Masks stay on the CPU: a model counts their tokens, which
        would synchronise with the GPU."""
        return replace(
            self,
            video=self.video.to(device, non_blocking=True),
            label=self.label.to(device, non_blocking=True),
            motion=None if self.motion is None else self.motion.to(device, non_blocking=True),
        )

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, from which copies to a GPU overlap with computation."""
        return replace(
            self,
            video=self.video.pin_memory(),
            label=self.label.pin_memory(),
            motion=None if self.motion is None else self.motion.pin_memory(),
        )


def collate(samples: list[Sample]) -> Batch:
    """Stack samples. Channels stay last in memory, as decoded."""
    with span("collate"):
        # numpy stacks whole clips in a quarter of torch's time
        video = torch.from_numpy(np.stack([s.video.permute(1, 2, 3, 0).numpy() for s in samples]))
        return Batch(
            video=video.permute(0, 4, 1, 2, 3),
            mask=_stack([s.mask for s in samples]),
            label=torch.tensor([s.label for s in samples]),
            index=torch.tensor([s.index for s in samples]),
            keys=torch.tensor([s.key for s in samples]),
            fallback=float(np.mean([s.fallback for s in samples])),
            unreadable=tuple(replaced for s in samples for replaced in s.unreadable),
            decode=_stack([s.decode for s in samples]),
            motion=_stack([s.motion for s in samples]),
            decode_fallback=float(np.mean([s.decode_fallback for s in samples])),
            measured=float(np.mean([s.measured for s in samples])),
        )


def _stack(arrays: Sequence[npt.NDArray[Any] | None]) -> torch.Tensor | None:
    """Stack one optional field of all samples; None if they do not have it."""
    present = [array for array in arrays if array is not None]
    return torch.from_numpy(np.stack(present)) if present else None


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """The order of samples in a run: a function of the seed and the step, so that a step number determines the position.

    The epochs, each a permutation drawn from (seed, epoch), follow each other without a gap, and a step takes the next `batch` of
    that endless list. Every epoch therefore contains every video exactly once, for any batch size. If the batch does not divide the
    set, the end of one epoch and the beginning of the next share a step; no video is dropped, repeated or padded. On several
    ranks each takes every `ranks`-th sample of the global batch, so that all ranks have equally many and no sample appears twice.

    With `pictures` every step has items of one kind. The two kinds of step have the shares of the items, evenly spread, and each
    kind has such an endless list of its own.

    Attributes:
        videos: size of the set.
        batch: videos of one step over all ranks.
        pictures: the last so many items of the set are still pictures, in steps of their own; 0: steps mix all items.
    """

    videos: int
    batch: int
    seed: int
    rank: int = 0
    ranks: int = 1
    pictures: int = 0

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in one pass over the set, at least 1: the length of an epoch for schedules."""
        return max(self.videos // self.batch, 1)

    def place(self, step: int) -> tuple[int, int]:
        """(epoch, position in its order) of the first sample of a step over all ranks."""
        return divmod(step * self.batch, self.videos)

    def keys(self, step: int) -> list[SampleKey]:
        """Keys of the samples of one step on this rank."""
        before, now = (n * self.pictures // self.videos for n in (step, step + 1))  # steps of pictures so far
        if now > before:
            return self._keys(before, self.pictures, self.videos - self.pictures)
        return self._keys(step - before, self.videos - self.pictures, 0)

    def _keys(self, step: int, items: int, offset: int) -> list[SampleKey]:
        """Those of step number `step` of a kind: of the `items` items from `offset` on."""
        first = step * self.batch
        places = [divmod(place, items) for place in range(first + self.rank, first + self.batch, self.ranks)]
        orders = {epoch: _permutation(items, self.seed, epoch) for epoch in {epoch for epoch, _ in places}}
        return [(epoch, offset + int(orders[epoch][position])) for epoch, position in places]

    def parts(self, first: int, last: int, parts: int) -> Iterator[list[SampleKey]]:
        """Keys of the samples of steps `first..last-1`, each step in `parts` pieces whose sizes differ by at most one."""
        for step in range(first, last):
            keys = self.keys(step)
            for part in range(parts):
                yield keys[len(keys) * part // parts : len(keys) * (part + 1) // parts]


@lru_cache(maxsize=4)  # consecutive steps need the same permutation, which takes .1 s for a million videos
def _permutation(videos: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    # The last number separates this generator from those of clips and masks, which are seeded with the same seed and epoch.
    return np.random.default_rng([seed, epoch, 0, 0, 2]).permutation(videos)


def batches(
    clips: ClipSet,
    order: BatchOrder,
    *,
    first: int,
    last: int,
    parts: int = 1,
    workers: int = 0,
    pin: bool = False,
    timeout: float = 60,
) -> Iterator[Batch]:
    """The batches of steps `first..last-1`, each in `parts` pieces (gradient accumulation).

    A batch contains the `repeats` samples of each of its videos, adjacent to each other.

    Args:
        workers: number of reading processes; 0 reads in this process, without protection from a video that hangs or crashes. The
            batches are the same for any number.
        last: the length of the run, over which the mask ratio may change (`MaskRule.schedule`).
        pin: deliver page-locked memory, for copies to a GPU, one batch ahead.
        timeout: seconds after which reading a video is abandoned.

    Raises:
        MgmError: raised by a worker.
    """
    places = (progress_of(step, last) for step in range(first, last) for _ in range(parts))
    pieces = zip(order.parts(first, last, parts), places, strict=True)
    read = (
        _read_in_workers(clips, pieces, workers, timeout)
        if workers
        else (read_batch(clips, keys, progress=progress) for keys, progress in pieces)
    )
    return in_background(_pinned(read)) if pin else read


def _pinned(read: Generator[Batch]) -> Iterator[Batch]:
    with closing(read):  # ends its processes
        for batch in read:
            yield batch.pin_memory()


def in_background(items: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches from a thread that makes one in advance. Its errors are raised here, in their place."""
    made: Queue[tuple[Batch | None, BaseException | None]] = Queue(1)
    stopped = threading.Event()

    def run() -> None:
        """Put the items, then None with the error that ended them, if any."""
        error: BaseException | None = None
        try:
            for item in items:
                made.put((item, None))
                if stopped.is_set():
                    break
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close is not None:  # a generator ends its processes in the thread that ran it
                close()
        made.put((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room
            while not made.empty():
                made.get()
            thread.join(0.05)


def read_batch(
    clips: ClipSet, keys: Sequence[SampleKey], begin_item: BeginItem | None = None, progress: float = 0.0
) -> Batch:
    """Read the samples of some keys and collate them. progress: see `ClipSet.read`."""
    return collate([sample for key in keys for sample in clips.read(key, begin_item, progress)])


_TaskT = TypeVar("_TaskT")
_ResultT = TypeVar("_ResultT")


def _reading_pool(
    read: Callable[[_TaskT, BeginItem], _ResultT], workers: int, timeout: float, paths: Sequence[str]
) -> WorkerPool[_TaskT, _ResultT]:
    load_cached(compile_clip_kernels)  # forked processes share them: each would take 75 MB for itself
    return WorkerPool(
        read,
        workers=workers,
        timeout_seconds=timeout,
        name=paths.__getitem__,
        timeout_advice="check the file and its disk, or raise the limit (data.read_timeout)",
        set_up=_set_up_reading,
    )


def _set_up_reading() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)  # beside a training process, threads of many workers spin against each other


class BatchTask(NamedTuple):
    """The keys of a batch, the place of its step in the run, and the metadata of those of its videos that are probed already:
    path -> metadata."""

    keys: list[SampleKey]
    progress: float
    infos: dict[str, VideoInfo]


class _BatchResult(NamedTuple):
    """A batch, and the metadata of the videos that were probed for it."""

    batch: Batch
    probed: dict[str, VideoInfo]


@dataclass(frozen=True, slots=True)
class BatchReader:
    """Reads batches in a worker process. Metadata travels with tasks and results, so that each video is probed once, not once in
    every process."""

    clips: ClipSet

    def __call__(self, task: BatchTask, begin_item: BeginItem) -> _BatchResult:
        source = self.clips.source
        if not isinstance(source, FileSource):
            return _BatchResult(read_batch(self.clips, task.keys, begin_item, task.progress), {})
        source.infos.clear()  # the training process keeps them: the metadata of a large set is too much for every worker
        source.infos.update(task.infos)
        batch = read_batch(self.clips, task.keys, begin_item, task.progress)
        return _BatchResult(batch, dict(islice(source.infos.items(), len(task.infos), None)))


_INFOS_KEPT = 500_000
"""Videos whose metadata is kept, in some 200 MB. Those of a larger set are probed each time, at an eighth of the cost of a clip."""


def _read_in_workers(
    clips: ClipSet, pieces: Iterator[tuple[list[SampleKey], float]], workers: int, timeout: float
) -> Generator[Batch]:
    infos = clips.source.infos if isinstance(clips.source, FileSource) else {}
    paths = paths_of(clips.items)
    tasks = (
        BatchTask(keys, progress, {paths[i]: infos[paths[i]] for _, i in keys if paths[i] in infos})
        for keys, progress in pieces
    )
    with _reading_pool(BatchReader(clips), workers, timeout, paths) as pool:
        for batch, probed in pool.in_order(tasks):
            if len(infos) < _INFOS_KEPT:
                infos.update(probed)
            if pool.incidents:
                batch = replace(batch, incidents=tuple(pool.incidents))
                pool.incidents.clear()
            yield batch


_VIDEOS_PER_TASK = 4
"""Videos whose views are read by one task: enough to fill a device, few enough for memory."""


@dataclass(frozen=True, slots=True)
class _ViewReader:
    views: ViewSet

    def __call__(self, indexes: range, begin_item: BeginItem | None = None) -> list[Views]:
        return [self.views.read(index, begin_item) for index in indexes]


def read_views(views: ViewSet, *, workers: int = 0, timeout: float = 60) -> Iterator[Views]:
    """The views of every video, in order. A video that is unreadable, hangs or kills its process has a `Views.problem`.

    Args:
        workers, timeout: see `batches`.
    """
    count, step = len(views), _VIDEOS_PER_TASK
    tasks = (range(first, min(first + step, count)) for first in range(0, count, step))
    read = _ViewReader(views)
    if not workers:
        for task in tasks:
            yield from read(task)
        return
    paths = paths_of(views.items)
    with _reading_pool(read, workers, timeout, paths) as pool:
        for result in pool.in_order(tasks):
            yield from result
