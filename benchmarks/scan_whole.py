"""`mgm scan` of a large folder of videos to its end, killed on the way: time, memory over time, the journal, and the set it makes.

    python benchmarks/scan_whole.py [--files 1000000] [--kill .1 .6] [--every 1] [--known] [--folder FOLDER]

Every file is a real H.264 video, the smallest that moves: two frames of 32 px. A hundred different ones are made; the others are
links to them, so that the disk reads nothing: what is measured is opening, decoding, and keeping the records. With `--every 10` one
file in ten is a video, the others are empty, which costs a twentieth. The command runs in a
process of its own, which SIGKILL ends after each share of the files; the same command then continues. At the end every file must
have its row, once, in order. The manifest is then loaded as a set, and read for a first batch.

With `--known` the manifest is made from the records of the hundred videos; only the scan of files that have not changed and the set
are measured.

Times are processor time of the command, and on the clock, which counts other programs too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from scan_files import link_files
from timing import peak_memory, print_header

SEED, DIFFERENT, PER_FOLDER, SIDE, FRAMES = 0, 100, 1000, 32, 2
SAMPLE_SECONDS, SHOWN = 0.5, 10
COMMAND = [sys.executable, "-c", "from mgm.commands.main import run; run()"]


def make_files(videos: Path, count: int, every: int) -> None:
    """Link `count` names in folders of a thousand to a hundred videos; only one in `every` is a video, the others are empty."""
    from mgm.data.synthetic.known_motion import make_translation

    made = [videos.parent / f"{number}.mp4" for number in range(DIFFERENT)]
    for number, path in enumerate(made):
        make_translation(path, velocity=(number % 10 - 5, number // 10 - 5), frames=FRAMES, size=(SIDE, SIDE))
    link_files(videos, count, made, every=every, per_folder=PER_FOLDER)


class Lines:
    """The complete lines of a file that grows, counted as they come. A second link keeps it after the command has removed it."""

    def __init__(self, path: Path) -> None:
        self.path, self.count, self.size = path, 0, 0
        self._kept = path.with_name(f"{path.name}.kept")

    def update(self) -> int:
        """Count again."""
        if not self._kept.exists():
            if not self.path.exists():
                return 0
            os.link(self.path, self._kept)
        with self._kept.open("rb") as file:
            file.seek(self.size)
            while block := file.read(2**20):
                self.count += block.count(b"\n")
                self.size += len(block)
        return self.count


@dataclass
class Observed:
    """A run of the command: memory in MB after each number of files, the largest, and when the first file was read."""

    peak: float = 0.0
    started: float | None = None
    memory: list[tuple[int, float]] = field(default_factory=list)

    def sample(self, process: int, done: int) -> None:
        """Read the memory of the process."""
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
        if "VmHWM:" in status:  # not after its end
            self.peak = max(self.peak, _kilobytes(status, "VmHWM:") / 1024)
            self.memory.append((done, _kilobytes(status, "VmRSS:") / 1024))


def _kilobytes(status: str, name: str) -> int:
    return int(status.partition(name)[2].split()[0])


def run_scan(videos: Path, manifest: Path, lines: Lines, until: int | None, title: str, status: int = 0) -> None:
    """Run the command, to its end or until the journal has a number of lines, and print its rows."""
    before, observed, began = lines.update(), Observed(), time.monotonic()
    words = [*COMMAND, "scan", str(videos), "--out", str(manifest), "--processes", "1"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as command:
        while True:
            time.sleep(SAMPLE_SECONDS)
            done = lines.update()
            observed.sample(command.pid, done)
            if done > before and observed.started is None:
                observed.started = time.monotonic() - began
            if until is not None and done >= until:
                command.send_signal(signal.SIGKILL)
            ended, raw, used = os.wait4(command.pid, 0 if until is not None and done >= until else os.WNOHANG)
            if ended:
                command.returncode = os.waitstatus_to_exitcode(raw)
                break
    assert command.returncode == (status if until is None else -signal.SIGKILL), command.returncode
    read = lines.update() - before
    spent, clock = used.ru_utime + used.ru_stime, time.monotonic() - began
    start = "" if observed.started is None else f", first record after {observed.started:.1f} s"
    print(
        f"{title:24s} {read:10,} read {spent:9.1f} s ({clock:,.0f} s by the clock{start}) {observed.peak:6.0f} MB",
        flush=True,
    )
    if read:
        print(
            f"{'  per file':24s} {spent / read * 1e3:10.3f} ms, {read / spent:,.0f} files/s of a processor", flush=True
        )
        shown = [entry for entry in observed.memory if entry[0] > before][:: max(len(observed.memory) // SHOWN, 1)]
        print(
            "  memory after files      " + ", ".join(f"{done:,}: {size:.0f}" for done, size in shown) + " MB",
            flush=True,
        )


def check(manifest: Path, count: int, every: int) -> None:
    """Every file has its row, once, in the order of their names, and the right status."""
    from mgm.video.scan.manifest import read_manifest

    began, rows, previous = time.process_time(), 0, ""
    for record in read_manifest(manifest):
        assert previous < record.path, (previous, record.path)
        assert (record.status, record.frames) == (("empty", None) if rows % every else ("ok", FRAMES)), record
        rows, previous = rows + 1, record.path
    assert rows == count, rows
    print(
        f"{'rows, each once':24s} {rows:10,}      {time.process_time() - began:9.1f} s {peak_memory():40.0f} MB",
        flush=True,
    )


def load(manifest: Path, videos: int) -> None:
    """Load the manifest as a set, and read the first batch of four clips in two processes."""
    from mgm.data import load_set
    from mgm.data.clips.source import ClipSettings, FileSource
    from mgm.data.loading.dataset import ClipSet, ClipTransform
    from mgm.data.loading.loader import BatchOrder, batches

    own, began, clock = peak_memory(), time.process_time(), time.monotonic()
    found = load_set(manifest)
    items, every = found.train, len(found.train) + len(found.test)
    assert every == videos
    print(
        f"{'load_set':24s} {every:10,}      {time.process_time() - began:9.1f} s"
        f" ({time.monotonic() - clock:,.0f} s by the clock) {peak_memory():6.0f} MB, {own:.0f} before",
        flush=True,
    )
    began, clock = time.process_time(), time.monotonic()
    clips = ClipSet(
        items, FileSource(), ClipSettings(FRAMES, 1, SIDE, None), ClipTransform("centre", flip=False), seed=SEED
    )
    with closing(batches(clips, BatchOrder(len(items), 4, SEED), first=0, last=10, workers=2)) as read:  # type: ignore[type-var]
        assert not next(read).unreadable
    print(
        f"{'first batch':24s} {4:10,}      {time.process_time() - began:9.1f} s"
        f" ({time.monotonic() - clock:,.1f} s by the clock) {peak_memory():6.0f} MB",
        flush=True,
    )


def make_manifest(videos: Path, manifest: Path) -> None:
    """Write the manifest that a scan of `make_files` with every file a video ends with."""
    from mgm.video.scan.find import find_videos
    from mgm.video.scan.folder import scan_file
    from mgm.video.scan.manifest import write_manifest

    records = [scan_file(videos.parent / f"{number}.mp4") for number in range(DIFFERENT)]
    found = enumerate(find_videos([videos]).names)
    write_manifest(manifest, (replace(records[number % DIFFERENT], path=path) for number, path in found))


def measure_known(folder: Path, count: int) -> None:
    """The rows of a set whose manifest is known."""
    videos, manifest = folder / "videos", folder / "manifest.parquet"
    context = multiprocessing.get_context("spawn")
    _run(context.Process(target=make_files, args=(videos, count, 1)))
    _run(context.Process(target=make_manifest, args=(videos, manifest)))
    _measure_again(videos, manifest, count, 1)


def _measure_again(videos: Path, manifest: Path, count: int, every: int) -> None:
    """The rows of a scan without new files, and of the manifest as a set."""
    context = multiprocessing.get_context("spawn")
    run_scan(videos, manifest, Lines(manifest.with_name("none")), None, "scan again", int(every > 1))
    _run(context.Process(target=check, args=(manifest, count, every)))
    _run(context.Process(target=load, args=(manifest, -(-count // every))))


def measure(folder: Path, count: int, kills: Sequence[float], every: int) -> None:
    """All rows of a set in a folder."""
    videos, manifest = folder / "videos", folder / "manifest.parquet"
    context = multiprocessing.get_context("spawn")
    _run(context.Process(target=make_files, args=(videos, count, every)))
    size = sum(path.stat().st_size for path in folder.glob("*.mp4")) / DIFFERENT
    readable, broken = -(-count // every), int(every > 1)
    print(
        f"{'files':24s} {count:10,}, {readable:,} videos of {size:,.0f} bytes, {count - readable:,} empty", flush=True
    )
    lines = Lines(manifest.with_name(f"{manifest.name}.journal"))
    for number, share in enumerate(kills):
        run_scan(videos, manifest, lines, int(share * count), "scan, killed" if not number else "continued, killed")
    run_scan(videos, manifest, lines, None, "continued to its end" if kills else "scan", broken)
    assert lines.count == count, lines.count  # no file was read twice
    print(f"{'journal at the end':24s} {lines.size:14,} bytes, {lines.size / count:.0f} a file", flush=True)
    print(
        f"{'manifest':24s} {manifest.stat().st_size:14,} bytes, {manifest.stat().st_size / count:.0f} a file",
        flush=True,
    )
    _measure_again(videos, manifest, count, every)


def _run(process: multiprocessing.context.SpawnProcess) -> None:
    process.start()
    process.join()
    assert process.exitcode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument(
        "--kill", type=float, nargs="*", default=[0.1, 0.6], help="shares of the files after which it is killed"
    )
    parser.add_argument("--every", type=int, default=1, help="one file in so many is a video, the others are empty")
    parser.add_argument("--known", action="store_true", help="measure only the scan of files that have not changed")
    parser.add_argument("--folder", type=Path, help="where the files are made, and removed")
    options = parser.parse_args()
    print_header("mgm scan, processor time, largest memory", SEED)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.known:
            measure_known(Path(folder), options.files)
        else:
            measure(Path(folder), options.files, options.kill, options.every)


if __name__ == "__main__":
    main()
