"""Columns of numbers about many videos, in few large blocks on each rank, which the first rank joins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple, TypeAlias

import torch
from torch import Tensor

from mgm.data.unreadable import none_readable
from mgm.evaluation.ranks import Ranks

Columns: TypeAlias = Mapping[str, Tensor]
"""Columns by name, with as many rows each."""

_BLOCK_BYTES: Final = 64 * 2**20
"""Size of a block. glibc maps each allocation of more than 32 MiB, and returns it to the system when it is freed."""


@dataclass(frozen=True, slots=True, eq=False)
class JoinedColumns:
    """Columns of all ranks in the order of the videos.

    Attributes:
        of_videos, of_rows: as in `ColumnBlocks.add`.
        unreadable: path -> message, of the videos that could not be read.
    """

    of_videos: Columns
    of_rows: Columns
    unreadable: dict[str, str]


class ColumnBlocks:
    """Groups of videos as columns.

    As tensors of its own for each video, between the large ones of its group, they break up the heap: 100 kB for each video.
    """

    def __init__(self) -> None:
        self._unreadable: dict[str, str] = {}
        self._blocks: list[_Block] = []

    def add(self, of_videos: Columns, of_rows: Columns, unreadable: Mapping[str, str]) -> None:
        """Copy a group of videos, which may be empty.

        Args:
            of_videos: int64 (videos,); "index" is the number of each in the set, "rows" how many it has in `of_rows`, at least 1.
            of_rows: tensors whose rows belong to the videos in their order.
            unreadable: path -> message, of videos that have no rows.
        """
        self._unreadable |= unreadable
        if not len(of_videos["index"]):
            return
        if not self._blocks or not self._blocks[-1].has_room(of_rows):
            self._blocks.append(_Block(of_videos, of_rows))
        self._blocks[-1].add(of_videos, of_rows)

    def join(self, ranks: Ranks, count: int) -> JoinedColumns | None:
        """The videos of all ranks in the order of the set, which has `count`, on the first rank; None on the others.

        The others send block after block, and blocks are freed as they are used: a rank needs one more than its own and the result.

        Raises:
            DataError: no video could be read; on every rank.
        """
        found = ranks.gather(lambda: (self._unreadable, [block.form for block in self._blocks]))
        unreadable = {path: message for messages, _ in found for path, message in messages.items()}
        others = [(rank, form) for rank, (_, forms) in enumerate(found) if rank for form in forms]
        if not found[0][1] and not others:
            raise none_readable(count, unreadable.values())
        of_videos = [block.of_videos for block in self._blocks]
        if not ranks.is_first:
            for columns in chain(of_videos, self._taken()):
                _send(columns, ranks)
            return None
        of_videos += [_receive(form.of_videos, rank, ranks) for rank, form in others]
        received = (_receive(form.of_rows, rank, ranks) for rank, form in others)
        return _joined(of_videos, chain(self._taken(), received), unreadable)

    def _taken(self) -> Iterator[Columns]:
        """The rows of each block, which is not kept."""
        while self._blocks:
            yield self._blocks.pop(0).of_rows


class _Form(NamedTuple):
    """The shapes and types of the columns of a block."""

    of_videos: Mapping[str, tuple[torch.Size, torch.dtype]]
    of_rows: Mapping[str, tuple[torch.Size, torch.dtype]]


class _Block:
    """Columns with room for more groups like the first one."""

    def __init__(self, of_videos: Columns, of_rows: Columns) -> None:
        size = max(_rows(of_rows), _BLOCK_BYTES // sum(column[0].nbytes for column in of_rows.values()))
        # No video has less than one row.
        self._of_videos, self._of_rows = (
            {name: column.new_empty(size, *column.shape[1:]) for name, column in columns.items()}
            for columns in (of_videos, of_rows)
        )
        self._size, self._videos, self._rows = size, 0, 0

    def has_room(self, of_rows: Columns) -> bool:
        return self._rows + _rows(of_rows) <= self._size

    def add(self, of_videos: Columns, of_rows: Columns) -> None:
        for name, column in of_videos.items():
            self._of_videos[name][self._videos : self._videos + len(column)] = column
        for name, column in of_rows.items():
            self._of_rows[name][self._rows : self._rows + len(column)] = column
        self._videos += _rows(of_videos)
        self._rows += _rows(of_rows)

    @property
    def of_videos(self) -> Columns:
        return {name: column[: self._videos] for name, column in self._of_videos.items()}

    @property
    def of_rows(self) -> Columns:
        return {name: column[: self._rows] for name, column in self._of_rows.items()}

    @property
    def form(self) -> _Form:
        return _Form(*(
            {name: (column.shape, column.dtype) for name, column in columns.items()}
            for columns in (self.of_videos, self.of_rows)
        ))  # fmt: skip


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _send(columns: Columns, ranks: Ranks) -> None:
    for column in columns.values():
        ranks.send_to_first(column)


def _receive(form: Mapping[str, tuple[torch.Size, torch.dtype]], rank: int, ranks: Ranks) -> Columns:
    return {name: ranks.receive(torch.empty(shape, dtype=dtype), rank) for name, (shape, dtype) in form.items()}


def _joined(of_videos: Sequence[Columns], of_rows: Iterator[Columns], unreadable: dict[str, str]) -> JoinedColumns:
    """The videos of blocks in the order of the set. Each block's rows are read after its videos, in the same order of blocks."""
    of_all = {name: torch.cat([columns[name] for columns in of_videos]) for name in of_videos[0]}
    counts, order = of_all["rows"], of_all["index"].argsort()
    begins = torch.empty_like(counts)
    begins[order] = counts[order].cumsum(0) - counts[order]
    joined: dict[str, Tensor] = {}
    done = 0
    for columns, size in zip(of_rows, map(_rows, of_videos), strict=True):
        own = slice(done, done + size)
        within = counts[own].cumsum(0) - counts[own]
        rows = (begins[own] - within).repeat_interleave(counts[own]) + torch.arange(_rows(columns))
        for name, column in columns.items():
            if name not in joined:
                joined[name] = column.new_empty(int(counts.sum()), *column.shape[1:])
            joined[name].index_copy_(0, rows, column)
        done += size
    return JoinedColumns({name: column[order] for name, column in of_all.items()}, joined, unreadable)
