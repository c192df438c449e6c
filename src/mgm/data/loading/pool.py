"""Reading in processes that may hang or die: each costs one video or nothing, never the run."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

import torch

from mgm.data.loading.dataset import Guard
from mgm.data.loading.memory import keep_freed_memory
from mgm.data.loading.transfer import receive, send
from mgm.errors import DataError, MgmError, VideoError
from mgm.workers.over_files import end_with_parent

Task = TypeVar("Task")
Result = TypeVar("Result")

GIVEN = 2
"""Tasks that a process holds: one that it reads, one so that it need not wait for the next."""

AHEAD = 4
"""Results per process that are read ahead of the one that is waited for."""

STARTS = 30
"""Seconds in which a process comes to its first video, at least: a fork may inherit a lock that nobody opens any more."""

PATIENCE = 5
"""Deaths in a row, per process, without a result between them: then something is wrong with the machine, not with a video."""

DEATHS = 2
"""A video whose reading process died so often is not read again: once may be chance."""


@dataclass(slots=True)
class _Worker(Generic[Task]):
    process: Any
    pipe: Connection
    desk: Any  # shared memory: [number of the video that is being read, since when]; 0 in the second place: none
    given: dict[int, Task] = field(default_factory=dict)
    told: int = 0  # how many of the pool's known troubles it has heard of
    quiet: float = 0.0  # since when it has had tasks and was seen to read none; 0: it was not

    @property
    def reading(self) -> tuple[int, float] | None:
        """(number of the video that is being read, seconds since it began)."""
        index, since = self.desk
        return (int(index), time.monotonic() - since) if since else None


class ReadingPool(Generic[Task, Result]):
    """Processes that read, watched by this one; use it in a `with` block.

    A video that takes longer than `timeout` costs its process, which is killed and replaced: nothing else stops code that hangs in
    the kernel or in a decoder. From then on `guard` raises for that video, so that what is read instead is drawn as for any other
    that cannot be read. A process that dies by itself is replaced, and what it was reading is read again; where that kills the next
    one too, it is the video's fault. Results come in the order of their tasks, whatever happens.

    Processes are forked on Linux, where they start in milliseconds with all that is in memory, and spawned elsewhere.

    Args:
        read: `(task, guard) -> result`; calls `guard(index)` before it reads video `index`.
        name: how messages call a video, by its number.
        timeout: seconds that reading one video may take.

    Attributes:
        incidents: one line for each process that was lost, and why; whoever shows them clears the list.
    """

    def __init__(
        self, read: Callable[[Task, Guard], Result], *, workers: int, timeout: float, name: Callable[[int], str]
    ) -> None:
        self.incidents: list[str] = []
        self._read, self._timeout, self._name = read, timeout, name
        self._bad: list[tuple[int, str]] = []  # videos that hang or kill, and the message
        self._deaths: dict[int, int] = {}
        self._lost = 0  # processes, since the last result
        self._context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
        self._workers: list[_Worker[Task]] = []
        for _ in range(workers):
            self._workers.append(self._start())

    def __enter__(self) -> ReadingPool[Task, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.process.kill()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(1)
        self._workers = []

    def results(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """The result of each task, in order.

        Raises:
            MgmError: what `read` raised. DataError: processes die whatever they read.
            RuntimeError: `read` raised something else, with its traceback.
        """
        fresh = enumerate(tasks)
        again: list[tuple[int, Task]] = []
        ready: dict[int, Any] = {}
        wanted = 0
        most = AHEAD * len(self._workers)
        more = True
        while True:
            for worker in self._by_load():
                while len(worker.given) < GIVEN and (again or (more and self._ahead(ready) < most)):
                    job = again.pop(0) if again else next(fresh, None)
                    if job is None:
                        more = False
                        break
                    self._give(worker, *job)
            if wanted in ready:
                yield _opened(ready.pop(wanted))
                wanted += 1
            elif any(worker.given for worker in self._workers):
                again += self._wait(ready)
                again.sort(key=lambda job: job[0])
            elif not more and not again:
                return

    def _by_load(self) -> list[_Worker[Task]]:
        return sorted(self._workers, key=lambda worker: len(worker.given))

    def _ahead(self, ready: dict[int, Any]) -> int:
        return len(ready) + sum(len(worker.given) for worker in self._workers)

    def _start(self) -> _Worker[Task]:
        ours, theirs = self._context.Pipe()
        desk = self._context.RawArray("d", 2)
        others = (
            [worker.pipe for worker in self._workers] + [ours] if self._context.get_start_method() == "fork" else []
        )
        process = self._context.Process(target=_work, args=(self._read, theirs, desk, others), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours, desk)

    def _give(self, worker: _Worker[Task], number: int, task: Task) -> None:
        worker.given[number] = task
        try:
            worker.pipe.send((number, task, self._bad[worker.told :]))
            worker.told = len(self._bad)
        except OSError:  # it died: `_wait` finds out, and why
            pass

    def _wait(self, ready: dict[int, Any]) -> list[tuple[int, Task]]:
        """Wait until something happens. Returns the tasks of processes that were lost."""
        left = [self._timeout - r[1] for worker in self._workers if (r := worker.reading) is not None]
        # Looked at again soon where nothing is being read: what comes next may hang.
        pause = max(min([*left, self._timeout / 4, 1.0]), 0.01)
        pipes = [worker.pipe for worker in self._workers]
        ended = [worker.process.sentinel for worker in self._workers]
        heard = set(multiprocessing.connection.wait([*pipes, *ended], pause))
        again: list[tuple[int, Task]] = []
        for worker in list(self._workers):
            try:
                while worker.pipe.poll():  # what it sent before it died is good
                    number, outcome = receive(worker.pipe)
                    worker.quiet = 0.0
                    worker.given.pop(number)
                    ready[number] = outcome
                    self._lost = 0
            except (EOFError, OSError):
                again += self._replace(worker)
                continue
            if worker.process.sentinel in heard:
                again += self._replace(worker)
            elif (reading := worker.reading) is not None:
                worker.quiet = 0.0
                if reading[1] > self._timeout:
                    again += self._replace(worker, hung=reading[0])
            elif worker.given:
                worker.quiet = worker.quiet or time.monotonic()
                if time.monotonic() - worker.quiet > max(self._timeout, STARTS):
                    again += self._replace(worker, why="did nothing")
        return again

    def _replace(
        self, worker: _Worker[Task], *, hung: int | None = None, why: str | None = None
    ) -> list[tuple[int, Task]]:
        """Put a new process in the place of one that died, or that hangs on a video; returns what it had not done."""
        worker.process.kill()
        worker.process.join(5)  # one that waits for a dead disk cannot be killed: it is left behind
        reading = worker.reading
        if hung is not None:
            self._condemn(
                hung,
                f"no answer within {self._timeout:g} s (data.read_timeout), expected a file that can be read; its reading "
                "process was replaced: check the file and its disk",
            )
        else:
            self._blame(worker, None if reading is None else reading[0], why or _ending(worker.process.exitcode))
        worker.pipe.close()
        self._workers[self._workers.index(worker)] = self._start()
        return list(worker.given.items())

    def _blame(self, worker: _Worker[Task], index: int | None, why: str) -> None:
        what = "between videos" if index is None else f"while it read {self._name(index)}"
        self.incidents.append(f"reading process {worker.process.pid} {why} {what}; replaced, nothing is lost")
        self._lost += 1
        if self._lost > PATIENCE * len(self._workers):
            raise DataError(
                f"reading processes end whatever they read, {self._lost} in a row; the last one {why} {what}, expected at most "
                "one now and then; where memory is short, take fewer (data.workers)"
            )
        if index is not None:
            self._deaths[index] = self._deaths.get(index, 0) + 1
            if self._deaths[index] == DEATHS:
                self._condemn(
                    index, f"its reading process {why}, {DEATHS} times, expected a file that can be read; remove it"
                )

    def _condemn(self, index: int, message: str) -> None:
        self._bad.append((index, f"{self._name(index)}: {message}"))
        self._lost = 0


def _ending(code: int | None) -> str:
    if code is None:
        return "could not be ended"
    if code >= 0:
        return f"ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _opened(outcome: tuple[str, Any]) -> Any:
    """The result, or the error that a process sent in its place."""
    kind, value = outcome
    if kind == "result":
        return value
    if kind == "error":
        raise value[0](value[1])
    raise RuntimeError(f"a reading process failed:\n{value}")


def _work(read: Callable[[Any, Guard], Any], pipe: Connection, desk: Any, others: list[Connection]) -> None:
    """What a process does: read what it is given until nobody gives any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: the one that trains decides
    end_with_parent()
    for other in others:  # copies that a fork made: a pipe ends when all of its copies are closed
        other.close()
    keep_freed_memory()
    torch.set_num_threads(1)  # beside a training process, threads of many workers spin against each other
    bad: dict[int, str] = {}

    def guard(index: int) -> None:
        if index in bad:
            raise VideoError(bad[index])
        desk[1] = 0  # the time of one video is never seen with the number of another
        desk[0] = index
        desk[1] = time.monotonic()

    while True:
        try:
            number, task, news = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        bad.update(news)
        try:
            outcome = ("result", read(task, guard))
        except MgmError as error:
            outcome = ("error", (type(error), str(error)))
        except BaseException:
            outcome = ("failure", traceback.format_exc())
        desk[1] = 0
        send(pipe, (number, outcome))
