"""Batches: which samples, in which order, from a position that a checkpoint can name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.utils.data

from mgm.data.dataset import ClipSet, Key, Sample
from mgm.errors import MgmError


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Clips for one step.

    Attributes:
        video: uint8 (B, 3, T, H, W).
        mask: bool (B, t, h, w), True = hidden from the encoder, or None.
        label: int64 (B,), -1 where a video has none.
        index: int64 (B,), numbers of the videos.
        keys: int64 (B, 3), (epoch, index, repeat) of each clip; it stays on the CPU.
        fallback: share of mask steps that had no motion to follow, mean over the batch.
        problems: (path, message) of videos that could not be read and were replaced.
    """

    video: torch.Tensor
    mask: torch.Tensor | None
    label: torch.Tensor
    index: torch.Tensor
    keys: torch.Tensor
    fallback: float
    problems: tuple[tuple[str, str], ...]

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; uint8 travels, normalisation happens there."""
        return replace(
            self,
            video=self.video.to(device, non_blocking=True),
            mask=None if self.mask is None else self.mask.to(device, non_blocking=True),
            label=self.label.to(device, non_blocking=True),
        )

    def pin_memory(self) -> Batch:
        """Called by torch's loader: page-locked memory, from which copies to a GPU overlap with computing."""
        return replace(
            self,
            video=self.video.pin_memory(),
            mask=None if self.mask is None else self.mask.pin_memory(),
            label=self.label.pin_memory(),
        )


def collate(samples: list[Sample]) -> Batch:
    """Stack samples. Channels stay last in memory, as decoded."""
    masks = [s.mask for s in samples if s.mask is not None]
    return Batch(
        video=torch.stack([s.video.permute(1, 2, 3, 0) for s in samples]).permute(0, 4, 1, 2, 3),
        mask=torch.from_numpy(np.stack(masks)) if masks else None,
        label=torch.tensor([s.label for s in samples]),
        index=torch.tensor([s.index for s in samples]),
        keys=torch.tensor([s.key for s in samples]),
        fallback=float(np.mean([s.fallback for s in samples])),
        problems=tuple(p for s in samples for p in s.problems),
    )


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """The order of a run: a function of the seed and the step alone, so a step number is all the position there is.

    Every epoch is a permutation drawn from (seed, epoch); its last, incomplete batch is dropped. A set smaller than a batch is
    gone through several times in one step, as several epochs, so that no two of its clips are alike. On several ranks each takes
    every `ranks`-th sample of the global batch.

    Attributes:
        videos: size of the set.
        batch: samples of one step over all ranks.
    """

    videos: int
    batch: int
    seed: int
    rank: int = 0
    ranks: int = 1

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in one pass over the set, at least 1."""
        return max(self.videos // self.batch, 1)

    def keys(self, step: int) -> list[Key]:
        """The samples of one step on this rank."""
        passes = -(-self.batch // self.videos)  # above 1 for a set smaller than a batch
        turn, position = divmod(step, self.steps_per_epoch)
        keys = [(epoch, i) for epoch in range(turn * passes, (turn + 1) * passes) for i in self._order(epoch)]
        return keys[position * self.batch : (position + 1) * self.batch][self.rank :: self.ranks]

    def _order(self, epoch: int) -> list[int]:
        # The last number keeps this stream apart from those of clips and masks, whose generators start from the same two.
        order: list[int] = np.random.default_rng([self.seed, epoch, 0, 0, 2]).permutation(self.videos).tolist()
        return order


class _Steps(torch.utils.data.Sampler[list[Key]]):
    def __init__(self, order: BatchOrder, first: int, last: int, parts: int) -> None:
        self.order, self.first, self.last, self.parts = order, first, last, parts

    def __iter__(self) -> Iterator[list[Key]]:
        for step in range(self.first, self.last):
            keys = self.order.keys(step)
            for part in range(self.parts):  # sizes differ by one at most, so no part is empty while there are keys
                yield keys[len(keys) * part // self.parts : len(keys) * (part + 1) // self.parts]

    def __len__(self) -> int:
        return (self.last - self.first) * self.parts


def batches(
    clips: ClipSet, order: BatchOrder, *, first: int, last: int, parts: int = 1, workers: int = 0, pin: bool = False
) -> Iterator[Batch]:
    """The batches of steps `first..last-1`, each in `parts` pieces (gradient accumulation).

    Args:
        workers: processes that read; 0 reads in this one. The batches are the same for any number.
        pin: deliver page-locked memory, for copies to a GPU.

    Raises:
        MgmError: what a worker raised, as it raised it.
    """
    loader: torch.utils.data.DataLoader[Batch] = torch.utils.data.DataLoader(
        clips,  # type: ignore[arg-type]  # torch's stubs know no batch sampler of keys
        batch_sampler=_Steps(order, first, last, parts),
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        worker_init_fn=_one_thread,
        prefetch_factor=4 if workers else None,
        # Without one of its own the loader draws from torch's: a resumed run, which makes another loader, would then differ.
        generator=torch.Generator(),
    )
    try:
        yield from loader
    except MgmError as error:
        # torch puts a worker's whole traceback into the message; what a user can act on is its last line
        name = f"{type(error).__module__}.{type(error).__name__}: "
        raise type(error)(str(error).rpartition(name)[2].strip()) from None


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)  # beside a training process, threads of many workers spin against each other
