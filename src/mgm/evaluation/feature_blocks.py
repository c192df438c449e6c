"""What a model returned for many videos, in few large blocks on each rank, which the first rank joins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple, TypeAlias

import torch
from torch import Tensor

from mgm.data.loading.views import ViewPlaces
from mgm.errors import DataError
from mgm.evaluation.feature_journal import SeenGroup, columns_of_videos, columns_of_views, outputs_of
from mgm.evaluation.ranks import Ranks

_Columns: TypeAlias = Mapping[str, Tensor]
"""Columns by name, of as many rows each."""

_BLOCK_BYTES: Final = 64 * 2**20
"""Size of a block. glibc maps each allocation of more than 32 MiB, and returns it to the system when it is freed."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenViews:
    """What a model returned for V views, in the order of their videos.

    Attributes:
        outputs: float32 tensors of V rows. The others are those of `mgm.evaluation.views.Features`.
    """

    outputs: tuple[Tensor, ...]
    owner: Tensor
    label: Tensor
    row: Tensor
    unreadable: dict[str, str]
    index: tuple[int, ...]
    places: ViewPlaces


class FeatureBlocks:
    """Groups of videos as columns.

    As tensors of its own for each video, between the large ones of its group, they break up the heap: 100 kB for each video.

    Attributes:
        unreadable: path -> message, of the videos that could not be read.
    """

    def __init__(self) -> None:
        self.unreadable: dict[str, str] = {}
        self._blocks: list[_Block] = []

    def add(self, group: SeenGroup) -> None:
        """Copy a group."""
        self.unreadable |= group.unreadable
        if not group.videos:
            return
        of_videos, of_views = columns_of_videos(group.videos), columns_of_views(group.videos)
        if not self._blocks or not self._blocks[-1].has_room(of_views):
            self._blocks.append(_Block(of_videos, of_views))
        self._blocks[-1].add(of_videos, of_views)

    def join(self, ranks: Ranks, count: int) -> SeenViews | None:
        """The videos of all ranks in the order of the set, which has `count`, on the first rank; None on the others.

        The others send block after block, and blocks are freed as they are used: a rank needs one more than its own and the result.

        Raises:
            DataError: no video could be read; on every rank.
        """
        found = ranks.gather(lambda: (self.unreadable, [block.form for block in self._blocks]))
        unreadable = {path: message for messages, _ in found for path, message in messages.items()}
        others = [(rank, form) for rank, (_, forms) in enumerate(found) if rank for form in forms]
        if not found[0][1] and not others:
            raise none_readable(unreadable, count)
        of_videos = [block.of_videos for block in self._blocks]
        if not ranks.is_first:
            for columns in chain(of_videos, self._taken()):
                _send(columns, ranks)
            return None
        of_videos += [_receive(form.of_videos, rank, ranks) for rank, form in others]
        received = (_receive(form.of_views, rank, ranks) for rank, form in others)
        return _joined(of_videos, chain(self._taken(), received), unreadable)

    def _taken(self) -> Iterator[_Columns]:
        """The views of each block, which is not kept."""
        while self._blocks:
            yield self._blocks.pop(0).of_views


def none_readable(unreadable: Mapping[str, str], count: int) -> DataError:
    """The error of a set of `count` videos of which none could be read."""
    first = next(iter(unreadable.values()), "the set is empty")
    found = f"none of {count} videos could be read"
    return DataError("", found, advice=f"the first: {first}", reason="too_many_failures")


class _Form(NamedTuple):
    """The shapes and types of the columns of a block."""

    of_videos: Mapping[str, tuple[torch.Size, torch.dtype]]
    of_views: Mapping[str, tuple[torch.Size, torch.dtype]]


class _Block:
    """Columns with room for more groups like the first one."""

    def __init__(self, of_videos: _Columns, of_views: _Columns) -> None:
        rows = max(len(of_views["row"]), _BLOCK_BYTES // sum(column[0].nbytes for column in of_views.values()))
        # No video has less than one view.
        self._of_videos, self._of_views = (
            {name: column.new_empty(rows, *column.shape[1:]) for name, column in columns.items()}
            for columns in (of_videos, of_views)
        )
        self._rows, self._videos, self._views = rows, 0, 0

    def has_room(self, of_views: _Columns) -> bool:
        return self._views + len(of_views["row"]) <= self._rows

    def add(self, of_videos: _Columns, of_views: _Columns) -> None:
        for name, column in of_videos.items():
            self._of_videos[name][self._videos : self._videos + len(column)] = column
        for name, column in of_views.items():
            self._of_views[name][self._views : self._views + len(column)] = column
        self._videos += len(of_videos["index"])
        self._views += len(of_views["row"])

    @property
    def of_videos(self) -> _Columns:
        return {name: column[: self._videos] for name, column in self._of_videos.items()}

    @property
    def of_views(self) -> _Columns:
        return {name: column[: self._views] for name, column in self._of_views.items()}

    @property
    def form(self) -> _Form:
        return _Form(*(
            {name: (column.shape, column.dtype) for name, column in columns.items()}
            for columns in (self.of_videos, self.of_views)
        ))  # fmt: skip


def _send(columns: _Columns, ranks: Ranks) -> None:
    for column in columns.values():
        ranks.send_to_first(column)


def _receive(form: Mapping[str, tuple[torch.Size, torch.dtype]], rank: int, ranks: Ranks) -> _Columns:
    return {name: ranks.receive(torch.empty(shape, dtype=dtype), rank) for name, (shape, dtype) in form.items()}


def _joined(of_videos: Sequence[_Columns], of_views: Iterator[_Columns], unreadable: dict[str, str]) -> SeenViews:
    """The videos of blocks in the order of the set. Each block's views are read after its videos, in the same order of blocks."""
    index, label, counts = (torch.cat([columns[name] for columns in of_videos]) for name in ("index", "label", "views"))
    order = index.argsort()
    begins = torch.empty_like(counts)
    begins[order] = counts[order].cumsum(0) - counts[order]
    joined: dict[str, Tensor] = {}
    done = 0
    for columns, size in zip(of_views, [len(columns["index"]) for columns in of_videos], strict=True):
        own = slice(done, done + size)
        within = counts[own].cumsum(0) - counts[own]
        rows = (begins[own] - within).repeat_interleave(counts[own]) + torch.arange(len(columns["row"]))
        for name, column in columns.items():
            if name not in joined:
                joined[name] = column.new_empty(int(counts.sum()), *column.shape[1:])
            joined[name].index_copy_(0, rows, column)
        done += size
    places = (joined[name].numpy() for name in ("frame_indices", "pts_seconds", "crop"))
    return SeenViews(
        outputs_of(joined),
        torch.arange(len(index)).repeat_interleave(counts[order]),
        label[order],
        joined["row"],
        unreadable,
        tuple(index[order].tolist()),
        ViewPlaces(*places),
    )
