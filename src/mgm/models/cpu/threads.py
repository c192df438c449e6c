"""Work on a CPU that is shared among threads by whole pieces."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier

import torch


def for_each(work: Callable[[int], None], count: int) -> None:
    """work(0) to work(count - 1), shared among as many threads as PyTorch has. Errors of `work` are raised.

    A thread does a piece alone. If all shared one operation after the other, each would wait at every one for the slowest,
    and on a busy machine that takes many times as long as the operation.
    """

    @torch.no_grad()  # a thread's own setting, which threads do not inherit
    def alone(piece: int) -> None:
        work(piece)

    threads = torch.get_num_threads()
    if min(count, threads) <= 1:
        for piece in range(count):
            alone(piece)
    else:
        list(_pool(threads, os.getpid()).map(alone, range(count)))


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads whose operations have one thread each. process: no thread outlives a fork."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="mgm", initializer=_take_one)
    # A thread that sets its own number sets that of all threads that are yet to come, too: all start here, then it is put back.
    together = Barrier(threads, timeout=60)
    list(pool.map(lambda _: together.wait(), range(threads)))
    torch.set_num_threads(threads)
    return pool


def _take_one() -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread's first question is what gives it the number that was set last, of whichever thread
