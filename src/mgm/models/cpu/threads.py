"""Work on a CPU that is shared among threads by whole pieces."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch


def for_each(work: Callable[[int], None], count: int) -> None:
    """work(0) to work(count - 1), shared among as many threads as PyTorch has. Errors of `work` are raised.

    A thread does a piece alone. If all shared one operation after the other, each would wait at every one for the slowest,
    and on a busy machine that takes many times as long as the operation.
    """

    @torch.no_grad()  # a thread's own setting, which threads do not inherit
    def alone(piece: int) -> None:
        work(piece)

    threads = min(count, torch.get_num_threads())
    if threads <= 1:
        for piece in range(count):
            alone(piece)
    else:
        list(_pool(threads, os.getpid()).map(alone, range(count)))


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads whose operations have one thread each. process: no thread outlives a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="mgm", initializer=torch.set_num_threads, initargs=(1,))
