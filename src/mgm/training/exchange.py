"""What the processes of a run exchange outside of its steps: small objects, errors, and tensors for the first of them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any, Final, TypeVar

import torch
import torch.distributed
from torch import Tensor

from mgm.errors import DataError, MgmError
from mgm.training.fabric import Fabric
from mgm.training.peers import Peers, ProcessPlace

T = TypeVar("T")


class Exchange:
    """This process among those of a run; alone without torchrun. Every process must make it, and call its functions in turn.

    All goes through the CPU, and no process gives up waiting for another, which may read a list or train a probe for hours. If one
    ends, its connections close: the functions raise DataError on those that wait for it.

    Args:
        fabric: launched; see `mgm.training.devices.make_fabric`.

    Attributes:
        rank, count: number of this process, and of all.
        local_rank, node: number of this process on its machine, and of the machine.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.rank: int = fabric.global_rank
        self.count: int = fabric.world_size
        self.local_rank: int = fabric.local_rank
        self.node: int = fabric.node_rank
        self._group = _group_of_all() if self.count > 1 else None
        self._peers: Peers | None = None
        if self.count > 1:
            places = self.gather(ProcessPlace.own)
            self._peers = Peers(places, self.rank, f"{next(_MADE)}")

    @property
    def is_first(self) -> bool:
        """Whether this process reports progress and writes the results."""
        return self.rank == 0

    def gather(self, make: Callable[[], T]) -> list[T]:
        """What each process makes, on every process, in the order of the ranks. An error of one is raised on all."""
        if self.count == 1:
            return [make()]
        mine = _outcome(make)
        found: list[T | _Failure] = [mine] * self.count
        with self._connected():
            torch.distributed.all_gather_object(found, mine, group=self._group)
        found[self.rank] = mine  # an error keeps its traceback
        return [_value(one) for one in found]

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, on every process. Its error is raised on all."""
        if self.count == 1:
            return make()
        mine = _outcome(make) if self.is_first else None
        made: list[Any] = [mine]
        with self._connected():
            torch.distributed.broadcast_object_list(made, src=0, group=self._group)
        found: T = _value(mine if self.is_first else made[0])  # the first error keeps its traceback
        return found

    def on_first(self, make: Callable[[], T]) -> T | None:
        """What the first process makes, on that one alone; None on the others. Its error is raised on all."""
        made: list[T] = []
        self.from_first(lambda: made.append(make()))
        return made[0] if made else None

    def send_to_first(self, tensor: Tensor) -> None:
        """Send a contiguous tensor on the CPU to the first process, which calls `receive`."""
        with self._connected():
            torch.distributed.send(tensor, dst=0, group=self._group)

    def receive(self, tensor: Tensor, rank: int) -> Tensor:
        """Fill a tensor on the first process with the next one that `rank` sends, of the same size and type; returns it."""
        with self._connected():
            torch.distributed.recv(tensor, src=rank, group=self._group)
        return tensor

    def leave(self, error: BaseException) -> None:
        """Tell the others the error for which this process ends: those that wait for it in a step get it as their reason."""
        if self._peers is not None:
            text = error.line if isinstance(error, MgmError) else f"{type(error).__name__}: {error}"
            self._peers.leave(text.partition("\n")[0][:_MOST_CHARACTERS])

    def lost_process(self, when: str = "") -> DataError | None:
        """The error if another process of the run has ended; None if none is known to have. Takes seconds at most.

        Args:
            when: for the message, such as "in step 3".
        """
        ended = None if self._peers is None else self._peers.ended()
        if ended is None or self.rank in ended.ranks:
            return None
        several = len(ended.ranks) > 1
        numbers = ", ".join(map(str, ended.ranks[:_NAMED])) + (", ..." if len(ended.ranks) > _NAMED else "")
        who = f"process{'es' if several else ''} {numbers} of {self.count} {'have' if several else 'has'} ended {when}"
        if ended.reason:
            return _lost(f"{who.rstrip()} ({ended.reason})", "its own messages are complete")
        return _lost(who.rstrip())

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise self.lost_process() or _lost("another one has ended, or cannot be reached") from error


_MADE = count()
"""Numbers of the exchanges of this process, which all processes make in turn."""
_NAMED: Final = 8
"""Processes that a message names."""
_MOST_CHARACTERS: Final = 500
_SILENT: Final = "its own messages tell why; a process that the system ends, as for lack of memory, leaves none"


def _lost(found: str, advice: str = _SILENT) -> DataError:
    return DataError("processes of the run", found, "all of them until the end", advice, reason="crashed")


@cache
def _group_of_all() -> torch.distributed.ProcessGroup:
    """One for all exchanges: each process connects to every other. The default one may need GPUs, and gives up after minutes."""
    group: torch.distributed.ProcessGroup = torch.distributed.new_group(backend="gloo", timeout=timedelta(days=7))
    return group


@dataclass(frozen=True, slots=True)
class _Failure:
    error: Exception


def _outcome(make: Callable[[], T]) -> T | _Failure:
    """What a function returns, or its error in a form that can be sent."""
    try:
        return make()
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return _Failure(RuntimeError(f"{type(error).__name__}: {error}").with_traceback(error.__traceback__))
        return _Failure(error)


def _value(outcome: T | _Failure) -> T:
    if isinstance(outcome, _Failure):
        raise outcome.error
    return outcome
