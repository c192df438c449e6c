"""One function over many files in processes that may die: a crash in a decoder, or the kernel out of memory, costs one file."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4
"""Items handed out per process: enough to keep it busy, few to suspect when one dies."""


def over_files(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    processes: int,
    died: Callable[[Item], Result],
) -> Iterator[tuple[Item, Result]]:
    """Yield (item, function(item)) for every item as it is done, in no particular order.

    A result is kept once it is yielded; only a few items per process are held at a time, whatever the length of `items`.

    Args:
        function: a module's function (it travels to other processes); what it raises ends the iteration.
        processes: how many to run; with 1 it runs here, without protection against crashes. With more, call it under
            `if __name__ == "__main__":`.
        died: makes the result of an item whose process died, twice: once among others, once alone.
    """
    if processes <= 1:
        for item in items:
            yield item, function(item)
        return
    source = iter(items)
    left: list[Item] = []
    while True:
        left = yield from _until_a_worker_dies(function, left, source, processes)
        if not left:
            return
        # One of those that were handed out killed its worker: one process tells which.
        while left:
            suspects = yield from _until_a_worker_dies(function, left, iter(()), 1)
            if suspects:
                yield suspects[0], died(suspects[0])
            left = suspects[1:]


def end_with_parent() -> None:
    """Let a worker end when the command that started it is killed: it would go on writing, and then wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _until_a_worker_dies(
    function: Callable[[Item], Result], first: list[Item], more: Iterator[Item], processes: int
) -> Generator[tuple[Item, Result], None, list[Item]]:
    """Yield results; return the items that were handed out and not done, in order: none, unless a worker died."""
    ahead = 1 if processes == 1 else AHEAD * processes
    source = iter([*first])
    # spawn: the caller may hold threads (torch does), which a fork would copy in an undefined state
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent)
    running: dict[Future[Result], Item] = {}
    lost: list[Item] = []
    with pool:
        while True:
            wanted = ahead - len(running)
            fresh = list(islice(source, wanted))
            fresh += islice(more, wanted - len(fresh))
            for item in fresh:
                try:
                    running[pool.submit(function, item)] = item
                except BrokenProcessPool:
                    lost.append(item)
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                item = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    lost.append(item)
                else:
                    yield item, result
            if lost:
                lost += running.values()
                break
    return [*lost, *source] if lost else []
