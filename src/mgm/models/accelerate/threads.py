"""Run independent pieces of work on the threads of a CPU, one piece per thread."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier

import torch


def for_each(work: Callable[[int], None], count: int) -> None:
    """Call work(0) to work(count - 1) on as many threads as PyTorch uses. Errors of `work` are raised.

    Each piece runs on one thread. If all threads shared every operation, each operation would wait for the slowest thread,
    which on a busy machine takes many times as long as the operation.
    """

    @torch.no_grad()  # new threads do not inherit this setting
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
    """Threads whose operations use one thread each. process: key of the cache, because a fork ends the threads."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="mgm", initializer=_take_one)
    # torch.set_num_threads in a thread also changes the default of later threads: start all here, then restore the default.
    together = Barrier(threads, timeout=60)
    list(pool.map(lambda _: together.wait(), range(threads)))
    torch.set_num_threads(threads)
    return pool


def _take_one() -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # the first call in a thread fixes the number that was set last, in whichever thread
