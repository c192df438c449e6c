"""Compiles the kernels of motion and masks, tens of seconds once per installation, while the explorer already answers.

A process of low priority compiles them, and keeps them on the disk for the others: a compiler in a thread of the server would hold
up its answers. Until then clips and masks are made without them, or wait for the few that have no other form.
"""

from __future__ import annotations

import multiprocessing
import signal
from threading import Event, Thread

from mgm.compiled import load_cached
from mgm.masks.kernels import compile_kernels
from mgm.terminal import note
from mgm.video.clip.interleave import compile_clip_kernels
from mgm.workers.process import end_with_parent, lower_priority, shielded

_END_SECONDS = 2.0
"""Time that the end of the explorer gives to the compiler."""


def compile_all() -> None:
    """Compile all kernels in this thread; those that the disk keeps are loaded."""
    compile_clip_kernels()
    compile_kernels()


class KernelLoader:
    """Loads the kernels in a thread from `start` on, and compiles those that the disk does not keep; use it in a `with` block."""

    def __init__(self) -> None:
        self._compiles, self._ended = Event(), Event()
        self._thread = Thread(target=self._load, name="kernels", daemon=True)

    @property
    def compiling(self) -> bool:
        """Whether they are compiled now, so that pictures take longer."""
        return self._compiles.is_set()

    def start(self) -> None:
        """Begin, and return at once."""
        self._thread.start()

    def wait(self) -> None:
        """Wait until all are loaded."""
        self._thread.join()

    def __enter__(self) -> KernelLoader:
        return self

    def __exit__(self, *_: object) -> None:
        """End a compilation."""
        self._ended.set()
        if self._thread.is_alive() and self._compiles.is_set():
            self._thread.join(_END_SECONDS)

    def _load(self) -> None:
        if load_cached(compile_all):
            return
        self._compiles.set()
        note("compiling loops, once for this installation; meanwhile pictures take longer ...", topic="explore")
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_compile_patiently, daemon=True)
        with shielded(context):
            process.start()
        while process.is_alive() and not self._ended.is_set():
            process.join(0.2)
        if self._ended.is_set():
            process.kill()
            return
        compile_all()  # from the disk; where it keeps nothing they are compiled here
        self._compiles.clear()
        note("the loops are compiled", topic="explore")


def _compile_patiently() -> None:
    """In a process of its own, which leaves the processor to those of the visitors."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    lower_priority()
    compile_all()
