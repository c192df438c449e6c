"""Read thousands of damaged videos in watched processes: each must give a valid clip or a VideoError, in time, without a leak.

python -m tests.fuzz.run --count 3000 --seed 0 --processes 2 [--real FOLDER] [--keep FOLDER]
python -m tests.fuzz.run --replay h264_b.mp4:flip_few:17
"""

import argparse
import contextlib
import ctypes
import faulthandler
import gc
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

import av
import numpy as np

from tests.fuzz.examine import Examine, Outcome, draw_options, examine
from tests.fuzz.sources import Case, damaged, draw_cases, make_sources


@dataclass(frozen=True)
class Usage:
    """Resources of a worker: resident bytes (0 if the system does not report them) and open files."""

    resident: int
    files: int


def _usage() -> Usage:
    statm, descriptors = Path("/proc/self/statm"), Path("/proc/self/fd")
    if not statm.exists():
        return Usage(0, 0)
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # glibc keeps freed memory by default
        ctypes.CDLL(None).malloc_trim(0)
    return Usage(int(statm.read_text().split()[1]) * resource.getpagesize(), len(list(descriptors.iterdir())))


MEASURE_EVERY = 10
MEMORY = 6 << 30  # bytes of address space per worker: a lying header must not take the machine down


def _work(pipe: Connection, sources: Path, folder: Path, function: Examine) -> None:
    """A worker: reads the cases that it is sent, until None."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("error")
    with (folder / "trace").open("w") as trace:
        faulthandler.enable(trace)
        done = 0
        while (case := pipe.recv()) is not None:
            pipe.send(("stage", "mutate"))
            path = folder / f"case{Path(case.source).suffix}"
            outcomes = []
            try:
                path.write_bytes(damaged(case, sources))
            except (av.FFmpegError, ValueError) as error:  # the muxer refused it altogether
                outcomes.append(Outcome("mutate", "refused", repr(error)))
            else:
                outcomes = function(path, case.seed, lambda name: pipe.send(("stage", name)))
            done += 1
            pipe.send(("done", outcomes, _usage() if done % MEASURE_EVERY == 0 else None))


@dataclass(frozen=True)
class Finding:
    """Something that must not happen. `kind`: crash, hang, leak, wrong, undocumented, differs."""

    kind: str
    call: str
    case: Case | None
    detail: str
    trace: str = ""

    @property
    def cause(self) -> tuple[str, ...]:
        """What findings have in common that are one bug: the innermost lines of our own code, else the words of the message."""
        ours = [line.strip() for line in self.trace.splitlines() if "/mgm/" in line][-1:]
        if ours:
            return (self.kind, self.detail.split("(")[0], *ours)
        return (self.kind, self.call, "".join(c for c in self.detail if c.isalpha())[:30])


@dataclass
class Report:
    """What a run counted and found."""

    counts: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    findings: list[Finding] = field(default_factory=list)
    usage: dict[int, list[Usage]] = field(default_factory=lambda: defaultdict(list))
    slowest: tuple[float, str] = (0.0, "")


class Worker:
    """A watched process and its current task."""

    def __init__(self, number: int, sources: Path, folder: Path, function: Examine) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self.number, self.folder = number, folder
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, sources, folder, function), daemon=True)
        self.process.start()
        theirs.close()
        self.case: Case | None = None
        self.stage, self.since, self.began = "start", 0.0, 0.0

    def give(self, case: Case) -> None:
        self.case, self.stage = case, "start"
        self.since = self.began = time.monotonic()
        self.pipe.send(case)

    def end(self, *, kill: bool = False) -> int | None:
        """Its exit code, after it was query to end or killed."""
        if kill:
            self.process.kill()
        else:
            with contextlib.suppress(OSError):
                self.pipe.send(None)
        self.process.join()
        self.pipe.close()
        return self.process.exitcode

    def trace(self) -> str:
        """What the interpreter wrote when it crashed."""
        return (self.folder / "trace").read_text(errors="replace")


class Run:
    """Hands cases to workers, and sees to it that each comes back."""

    def __init__(
        self, sources: Path, folder: Path, *, processes: int, limit: float, keep: Path, function: Examine
    ) -> None:
        self.sources, self.folder, self.keep = sources, folder, keep
        self.limit, self.function = limit, function
        self.report = Report()
        self.started = 0
        self.workers = [self._start() for _ in range(processes)]
        self.doubted: set[Case] = set()

    def _start(self) -> Worker:
        self.started += 1
        return Worker(self.started, self.sources, self.folder / f"worker{self.started}", self.function)

    def over(self, cases: Iterable[Case]) -> Report:
        """Read all cases; returns the report."""
        queue = deque(cases)
        while queue or any(w.case for w in self.workers):
            for worker in self.workers:
                if worker.case is None and queue:
                    worker.give(queue.popleft())
            busy = {w.pipe: w for w in self.workers if w.case}
            for pipe in wait(list(busy), timeout=0.5):
                self._listen(busy[pipe], queue)  # type: ignore[index]
            for worker in list(busy.values()):
                # A worker's first case waits for its imports, and for numba to compile.
                limit = self.limit if worker.stage != "start" else 60.0
                if worker.case and time.monotonic() - worker.since > limit:
                    self._hung(worker, queue)
        for worker in self.workers:
            worker.end()
        self._judge_leaks()
        return self.report

    def _listen(self, worker: Worker, queue: deque[Case]) -> None:
        case = worker.case
        assert case is not None
        try:
            kind, *rest = worker.pipe.recv()
        except (EOFError, OSError):
            code = worker.end()
            self._found("crash", worker, f"process ended with {code}", worker.trace())
            self._replace(worker)
            return
        if kind == "stage":
            worker.stage, worker.since = rest[0], time.monotonic()
            return
        outcomes, usage = rest
        counts = self.report.counts[case.source, case.mutation]
        counts["files"] += 1
        for outcome in outcomes:
            counts[outcome.kind] += 1
            if outcome.kind in ("differs", "wrong", "undocumented"):
                worker.stage = outcome.call
                self._found(outcome.kind, worker, outcome.detail, outcome.trace)
        if usage is not None:
            self.report.usage[worker.number].append(usage)
        self.report.slowest = max(self.report.slowest, (time.monotonic() - worker.began, str(case)))
        worker.case = None

    def _hung(self, worker: Worker, queue: deque[Case]) -> None:
        case = worker.case
        assert case is not None
        if case in self.doubted:
            self._found("hang", worker, f"no end after {self.limit:.0f} s, twice")
        else:  # the machine may have been busy: once more
            self.doubted.add(case)
            queue.appendleft(case)
        worker.end(kill=True)
        self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        self.workers[self.workers.index(worker)] = self._start()

    def _found(self, kind: str, worker: Worker, detail: str, trace: str = "") -> None:
        case = worker.case
        assert case is not None
        if worker.stage == "mutate":  # it died while the file was made: nothing of ours
            self.report.counts[case.source, case.mutation]["refused"] += 1
            return
        finding = Finding(kind, worker.stage, case, detail, trace)
        self.report.findings.append(finding)
        self.keep.mkdir(parents=True, exist_ok=True)
        written = worker.folder / f"case{Path(case.source).suffix}"
        if written.exists():
            shutil.copyfile(written, self.keep / f"{case.mutation}_{case.seed}_{case.source}")

    def _judge_leaks(self) -> None:
        for number, series in self.report.usage.items():
            settled = series[len(series) // 3 :]
            if len(settled) < 4:
                continue
            files = settled[-1].files - settled[0].files
            if files > 0:
                self.report.findings.append(
                    Finding("leak", "worker", None, f"worker {number}: {files} more open files")
                )
            half = len(settled) // 2
            grown = np.median([u.resident for u in settled[half:]]) - np.median([u.resident for u in settled[:half]])
            cases = half * MEASURE_EVERY
            # 64 px of one frame are 18 KB; allocators wander by some MB.
            if grown > (16 << 20) and grown / cases > (16 << 10):
                detail = f"worker {number}: {grown / 2**20:.0f} MiB more resident memory after {cases} files"
                self.report.findings.append(Finding("leak", "worker", None, detail))


def fuzz(
    cases: Sequence[Case],
    *,
    sources: Path,
    keep: Path,
    processes: int = 1,
    limit: float = 10.0,
    function: Examine = examine,
) -> Report:
    """Read every case in processes that may crash or hang; call it under `if __name__ == "__main__":`.

    Args:
        sources: folder of `make_sources`.
        keep: folder for the files with findings.
        limit: seconds that one call may take.
        function: how a file is read; a module's function.
    """
    with tempfile.TemporaryDirectory() as folder:
        return Run(sources, Path(folder), processes=processes, limit=limit, keep=keep, function=function).over(cases)


def table(report: Report, position: int) -> str:
    """Files, calls that read, calls that raised, findings; by source (position 0) or mutation (1)."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for pair, counts in report.counts.items():
        rows[pair[position]].update(counts)
    columns = ("files", "read", "raised", "differs", "wrong", "undocumented", "refused")
    lines = [f"{'mutation' if position else 'source':28}" + "".join(f"{c:>14}" for c in columns)]
    total: Counter[str] = sum(rows.values(), Counter())
    for name, counts in [*sorted(rows.items()), ("all", total)]:
        lines.append(f"{name:28}" + "".join(f"{counts[c]:14}" for c in columns))
    return "\n".join(lines)


def describe(report: Report) -> str:
    """Every finding once, the most frequent first, with its first case."""
    groups: dict[tuple[str, ...], list[Finding]] = defaultdict(list)
    for finding in report.findings:
        groups[finding.cause].append(finding)
    lines = []
    for same in sorted(groups.values(), key=len, reverse=True):
        first = same[0]
        lines.append(f"{len(same)} x {first.kind} in {first.call}: {first.detail[:400]}")
        lines.append(f"    cases: {' '.join(str(f.case) for f in same[:4])}")
        lines += [f"    {line.strip()}" for line in first.trace.splitlines() if "/mgm/" in line][-4:]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds that one call may take")
    parser.add_argument("--only", default="", help="only sources whose name contains this")
    parser.add_argument("--real", type=Path, help="folder of real videos to damage as well")
    parser.add_argument("--keep", type=Path, help="folder for files with findings")
    parser.add_argument("--strict", action="store_true", help="frames that differ from a whole decode count as failure")
    parser.add_argument("--replay", help="one case, SOURCE:MUTATION:SEED, read in this process")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "sources"
        found = make_sources(sources, real=given.real)
        keep = given.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
        keep.mkdir(parents=True, exist_ok=True)
        if given.replay:
            return _replay(given.replay, sources, keep)
        cases = draw_cases([s for s in found if given.only in s], given.count, seed=given.seed)
        began = time.monotonic()
        report = fuzz(cases, sources=sources, keep=keep, processes=given.processes, limit=given.limit)
    print(table(report, 0), table(report, 1), sep="\n\n")
    print(
        f"\n{len(cases)} files in {time.monotonic() - began:.0f} s; slowest {report.slowest[0]:.1f} s: {report.slowest[1]}"
    )
    for number, series in report.usage.items():
        ends = series[len(series) // 3], series[-1]
        print(
            f"worker {number}: " + ", then ".join(f"{u.resident / 2**20:.0f} MiB, {u.files} open files" for u in ends)
        )
    print(f"\n{len(report.findings)} findings; their files are in {keep}\n{describe(report)}")
    return int(any(given.strict or f.kind != "differs" for f in report.findings))


def _replay(text: str, sources: Path, keep: Path) -> int:
    source, mutation, seed = text.rsplit(":", 2)
    case = Case(source, mutation, int(seed))
    path = keep / f"{case.mutation}_{case.seed}_{case.source}"
    path.write_bytes(damaged(case, sources))
    print(path, draw_options(np.random.default_rng(case.seed)))
    outcomes = examine(path, case.seed, lambda name: None)
    for outcome in outcomes:
        print(f"{outcome.call}: {outcome.kind} {outcome.detail}\n{outcome.trace}".rstrip())
    return int(any(o.kind in ("wrong", "undocumented") for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
