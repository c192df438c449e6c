"""`map_files`: apply a function to many files. A file may hang or kill its process; the others are still done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Generic, TypeVar

from mgm.errors import VideoError
from mgm.workers.map_ray import map_over_ray
from mgm.workers.pool import WorkerPool
from mgm.workers.process import BeginItem, out_of_memory
from mgm.workers.time_limit import TimeLimit

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

TIMEOUT_SECONDS = 300.0
"""Time without progress after which a file is abandoned. A network file system may stall for minutes."""


def map_files(
    function: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    *,
    processes: int,
    on_death: Callable[[ItemT, VideoError], ResultT],
    timeout_seconds: float = TIMEOUT_SECONDS,
    ray: bool = False,
) -> Iterator[tuple[ItemT, ResultT]]:
    """Yield (item, function(item)) of every item as it is done, in no particular order.

    A result is kept once it is yielded; only a few items per process are held at a time, for any length of `items`.

    Args:
        function: a module's function (it travels to other processes); an exception that it raises ends the iteration. It may call
            `report_progress` to restart the time limit.
        processes: their number; with 1 the function runs in a thread of this process, which a crash ends. With more, call it under
            `if __name__ == "__main__":`.
        on_death: makes the result of an item on which a process hung (reason "timed_out") or had no memory ("crashed"), or two
            processes died ("crashed"): one among others, one alone.
        timeout_seconds: time limit of an item, from its beginning or its last progress; not with Ray.
        ray: tasks of Ray instead of own processes; see `mgm.workers.map_ray`.
    """
    if ray:
        yield from map_over_ray(function, items, processes=processes, on_death=on_death)
        return
    source = iter(items)
    first = list(islice(source, max(processes, 1)))
    if processes <= 1 or not first:
        with TimeLimit(function, timeout_seconds) as limited:
            for item in chain(first, source):
                outcome = limited(item)
                yield item, on_death(item, outcome) if isinstance(outcome, VideoError) else outcome
        return
    pool: WorkerPool[tuple[int, ItemT], ResultT | VideoError] = WorkerPool(
        _OneItem(function),
        workers=len(first),
        timeout_seconds=timeout_seconds,
        name=lambda number: f"item {number}",
        # The caller may hold threads (torch does), which a fork would copy in an undefined state.
        start_method="spawn",
    )
    with pool:
        for (_, item), result in pool.as_completed(enumerate(chain(first, source))):
            yield item, on_death(item, result) if isinstance(result, VideoError) else result


class _OneItem(Generic[ItemT, ResultT]):
    """A task of one item: its result, or the error of an item that was given up."""

    def __init__(self, function: Callable[[ItemT], ResultT]) -> None:
        self._function = function

    def __call__(self, task: tuple[int, ItemT], begin: BeginItem) -> ResultT | VideoError:
        number, item = task
        try:
            begin(number)
        except VideoError as error:
            return error
        try:
            return self._function(item)
        except MemoryError:
            return out_of_memory(f"item {number}")
