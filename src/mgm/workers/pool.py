"""The pool of worker processes: for reading clips, and for folders of files.

`pebble` has a time limit per task only. A task of reading is a batch: the limit applies to each of its videos, and the pool has to
identify the one that hangs. Its results also travel through a pipe; batches here travel through shared memory, without a copy.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Generic, Literal, TypeVar

from mgm.errors import DataError, VideoError
from mgm.workers.array_transfer import receive_arrays
from mgm.workers.process import BeginItem, Marker, shielded, timed_out, work

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")

_TASKS_HELD = 2
"""Tasks that a process holds: one that it works on, one so that it need not wait for the next."""

_RESULTS_AHEAD = 4
"""Results per process that are made ahead of the one that is waited for."""

START_SECONDS = 30
"""Least time for a process to begin its first item. A fork may inherit a lock that is never released."""

MOST_DEATHS_IN_A_ROW = 5
"""Per process, without a result between them: more of them are the machine's fault, not an item's."""

_MOST_DEATHS_OF_ITEM = 2
"""An item on which so many processes died is given up; once may be chance."""


@dataclass(slots=True)
class _Worker(Generic[TaskT]):
    process: Any
    pipe: Connection
    marker: Marker
    assigned: dict[int, TaskT] = field(default_factory=dict)  # by number, in the order of work
    known_bad: int = 0  # items of the pool's list of bad ones that were sent to this worker
    idle_since: float = 0.0  # when it was first seen to have tasks and to work on none; 0: it was not


class _TaskQueue(Generic[TaskT]):
    """Tasks with their numbers: new ones, those of lost processes, and suspects, which wait until everything else is done."""

    def __init__(self, tasks: Iterable[TaskT]) -> None:
        self._fresh = enumerate(tasks)
        self._again: list[tuple[int, TaskT]] = []
        self._suspects: list[tuple[int, TaskT]] = []
        self._exhausted = False

    def next(self, *, fresh: bool) -> tuple[int, TaskT] | None:
        """The next task, new ones only if `fresh`; None if there is none now."""
        if self._again:
            return self._again.pop(0)
        if not fresh or self._exhausted:
            return None
        job = next(self._fresh, None)
        self._exhausted = job is None
        return job

    def next_suspect(self) -> tuple[int, TaskT] | None:
        """A task that killed a process, once no other task is left."""
        return self._suspects.pop(0) if self._exhausted and not self._again and self._suspects else None

    def put_back(self, jobs: Iterable[tuple[int, TaskT]]) -> None:
        """Tasks of a lost process."""
        self._again = sorted([*self._again, *jobs], key=lambda job: job[0])

    def put_suspect(self, job: tuple[int, TaskT]) -> None:
        """A task that a process died of, to be tried alone."""
        self._suspects.append(job)

    @property
    def empty(self) -> bool:
        return self._exhausted and not self._again and not self._suspects


class WorkerPool(Generic[TaskT, ResultT]):
    """Processes that run one function over tasks, each of one or several numbered items; use it in a `with` block.

    An item that makes no progress for `timeout_seconds` costs its process, which is killed and replaced: nothing else stops code
    that hangs in the kernel or in a decoder. Its task runs again, and `begin` raises for the item. A process that dies is replaced,
    and its tasks run again; an item on which a second process dies counts as bad, too.

    Args:
        function: `(task, begin) -> result`; calls `begin(item)` before it works on an item, and may call `report_progress()`.
        workers: number of processes.
        timeout_seconds: time limit of one item, from its beginning or its last progress.
        name: the name of an item in messages, by its number.
        timeout_advice: of the error of an item that reached the limit.
        crash_advice: of the error of an item on which processes died.
        set_up: called in each process before its first task.
        start_method: of the processes. A fork starts in milliseconds with everything that is in memory, but copies locks that
            threads hold. None: "fork" on Linux, the system's own elsewhere.

    Attributes:
        incidents: one line for each process that died; the caller that shows them clears the list.
    """

    def __init__(
        self,
        function: Callable[[TaskT, BeginItem], ResultT],
        *,
        workers: int,
        timeout_seconds: float,
        name: Callable[[int], str],
        timeout_advice: str = "check the file and its disk",
        crash_advice: str = "remove it from the set and report it; or use fewer processes",
        set_up: Callable[[], None] | None = None,
        start_method: Literal["fork", "spawn"] | None = None,
    ) -> None:
        self.incidents: list[str] = []
        self._function, self._set_up = function, set_up
        self._timeout, self._name = timeout_seconds, name
        self._timeout_advice, self._crash_advice = timeout_advice, crash_advice
        self._bad: list[tuple[int, VideoError]] = []
        self._deaths: dict[int, int] = {}  # by item
        self._deaths_in_a_row = 0
        self._context: Any = multiprocessing.get_context(start_method or ("fork" if sys.platform == "linux" else None))
        self._workers: list[_Worker[TaskT]] = []
        for _ in range(workers):
            self._workers.append(self._start())

    def __enter__(self) -> WorkerPool[TaskT, ResultT]:
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

    def in_order(self, tasks: Iterable[TaskT]) -> Iterator[ResultT]:
        """The result of each task, in the order of the tasks. Tasks of a process that died run again at once.

        Raises:
            MgmError: raised by the function. DataError: processes die on every item.
            RuntimeError: the function raised something else; with its traceback.
        """
        for _, result in self._results(tasks, ordered=True):
            yield result

    def as_completed(self, tasks: Iterable[TaskT]) -> Iterator[tuple[TaskT, ResultT]]:
        """(task, its result) of each task as soon as it is done. A task that a process died of runs again alone, after all others.

        Raises as `in_order`, but any number of items may be bad.
        """
        yield from self._results(tasks, ordered=False)

    def _results(self, tasks: Iterable[TaskT], *, ordered: bool) -> Iterator[tuple[TaskT, ResultT]]:
        queue = _TaskQueue(tasks)
        ready: dict[int, tuple[TaskT, tuple[str, Any]]] = {}
        awaited = 0
        while True:
            self._assign(queue, len(ready))
            number = awaited if ordered else next(iter(ready), -1)
            if number in ready:
                task, outcome = ready.pop(number)
                yield task, _result_of(outcome)
                awaited += 1
            elif any(worker.assigned for worker in self._workers):
                self._wait(queue, ready, ordered=ordered)
            elif queue.empty:
                return

    def _assign(self, queue: _TaskQueue[TaskT], ready: int) -> None:
        """Give tasks to the processes that hold too few, so that `ready` results and those to come are not too many.

        In rounds: no process gets its second task before each has its first.
        """
        most = _RESULTS_AHEAD * len(self._workers)
        for held in range(_TASKS_HELD):
            for worker in self._workers:
                ahead = ready + sum(len(other.assigned) for other in self._workers)
                if len(worker.assigned) == held and (job := queue.next(fresh=ahead < most)) is not None:
                    self._send(worker, *job)
        if not any(worker.assigned for worker in self._workers) and (job := queue.next_suspect()) is not None:
            self._send(self._workers[0], *job)

    def _start(self) -> _Worker[TaskT]:
        ours, theirs = self._context.Pipe()
        marker = Marker(self._context)
        forked = self._context.get_start_method() == "fork"
        inherited = [worker.pipe for worker in self._workers] + [ours] if forked else []
        arguments = (self._function, self._set_up, theirs, marker, inherited)
        process = self._context.Process(target=work, args=arguments, daemon=True)
        with shielded(self._context):
            process.start()
        theirs.close()
        return _Worker(process, ours, marker)

    def _send(self, worker: _Worker[TaskT], number: int, task: TaskT) -> None:
        worker.assigned[number] = task
        with suppress(OSError):  # a worker that died: `_wait` finds out the reason
            worker.pipe.send((number, task, self._bad[worker.known_bad :]))
            worker.known_bad = len(self._bad)

    def _wait(
        self, queue: _TaskQueue[TaskT], ready: dict[int, tuple[TaskT, tuple[str, Any]]], *, ordered: bool
    ) -> None:
        """Wait until something happens: results become ready, and the tasks of lost processes return to the queue."""
        left = [self._timeout - r[1] for worker in self._workers if (r := worker.marker.read()) is not None]
        # A short wait if no item is being worked on: the next one may hang.
        pause = max(min([*left, self._timeout / 4, 1.0]), 0.01)
        pipes = [worker.pipe for worker in self._workers]
        sentinels = [worker.process.sentinel for worker in self._workers]
        events = set(multiprocessing.connection.wait([*pipes, *sentinels], pause))
        for worker in list(self._workers):
            try:
                while worker.pipe.poll():  # results that it sent before it died are good
                    number, outcome = receive_arrays(worker.pipe)
                    worker.idle_since = 0.0
                    ready[number] = worker.assigned.pop(number), outcome
                    self._deaths_in_a_row = 0
            except (EOFError, OSError):
                self._replace(worker, queue, ordered=ordered)
                continue
            if worker.process.sentinel in events:
                self._replace(worker, queue, ordered=ordered)
            elif (current := worker.marker.read()) is not None:
                worker.idle_since = 0.0
                if current[1] > self._timeout:
                    self._replace(worker, queue, ordered=ordered, hung=current[0])
            elif worker.assigned:
                worker.idle_since = worker.idle_since or time.monotonic()
                if time.monotonic() - worker.idle_since > max(self._timeout, START_SECONDS):
                    self._replace(worker, queue, ordered=ordered, ending="did nothing")

    def _replace(
        self,
        worker: _Worker[TaskT],
        queue: _TaskQueue[TaskT],
        *,
        ordered: bool,
        hung: int | None = None,
        ending: str | None = None,
    ) -> None:
        """Put a new process in the place of one that died, or that hangs on an item; its tasks return to the queue."""
        worker.process.kill()
        worker.process.join(5)  # a process that waits for a dead disk cannot be killed: it is left behind
        current = worker.marker.read()
        jobs = list(worker.assigned.items())
        if hung is not None:
            self._give_up(timed_out(self._name(hung), self._timeout, self._timeout_advice), hung)
        else:
            item = None if current is None else current[0]
            bad = self._count_death(worker, item, ending or _ending_of(worker.process.exitcode), every=ordered)
            if item is not None and not bad and not ordered and jobs:
                queue.put_suspect(jobs.pop(0))
        worker.pipe.close()
        self._workers[self._workers.index(worker)] = self._start()
        queue.put_back(jobs)

    def _count_death(self, worker: _Worker[TaskT], item: int | None, ending: str, *, every: bool) -> bool:
        """Record a process that died on an item, or between items; returns whether the item counts as bad now.

        Args:
            every: count deaths on items, too, among those in a row.
        """
        during = "between videos" if item is None else f"while reading {self._name(item)}"
        self.incidents.append(f"worker process {worker.process.pid} {ending} {during}; replaced, nothing is lost")
        self._deaths_in_a_row += every or item is None
        if self._deaths_in_a_row > MOST_DEATHS_IN_A_ROW * len(self._workers):
            raise DataError(
                "worker processes",
                f"{self._deaths_in_a_row} ended in a row, regardless of the video; the last one {ending} {during}",
                "at most one now and then",
                "if memory is short, use fewer; a script that uses them must run under `if __name__ == '__main__':`",
                reason="too_many_failures",
            )
        if item is None:
            return False
        self._deaths[item] = self._deaths.get(item, 0) + 1
        if self._deaths[item] < _MOST_DEATHS_OF_ITEM:
            return False
        found = f"its worker process {ending}, {_MOST_DEATHS_OF_ITEM} times"
        self._give_up(
            VideoError(
                self._name(item),
                found,
                "a file that can be read",
                self._crash_advice,
                reason="crashed",
            ),
            item,
        )
        return True

    def _give_up(self, error: VideoError, item: int) -> None:
        self._bad.append((item, error))
        self._deaths_in_a_row = 0


def _ending_of(code: int | None) -> str:
    if code is None:
        return "could not be ended"
    if code >= 0:
        return f"ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _result_of(outcome: tuple[str, Any]) -> Any:
    """The result, or the error that a process sent in its place."""
    kind, value = outcome
    if kind == "result":
        return value
    if kind == "error":
        raise value
    raise RuntimeError(f"a worker process failed:\n{value}")
