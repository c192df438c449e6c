"""`mgm pack` with one process and with several: time on the clock and of the processors, beside Python's `tarfile` alone.

    python benchmarks/pack.py [VIDEO...] [--processes 2] [--copies 200] [--out FOLDER]

Every video is linked under many names, so that the system has the files in memory: what is measured is reading their metadata,
copying and writing, on the disk of FOLDER. `tarfile` writes the same videos without looking into them, without an index, and leaves
flushing to the system. On fewer cores than processes the processor time shows what more processes cost, and the clock nothing.

Without videos it takes two real clips of ../shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mgm.data import load_set, pack_set
from timing import print_header, processor_seconds, ratios
from video import DEFAULT, REAL

PEER = "tarfile alone"


def tar_alone(source: Path, out: Path) -> None:
    """All videos in one tar file."""
    out.mkdir()
    with tarfile.open(out / "all.tar", "w", format=tarfile.GNU_FORMAT, dereference=True) as tar:
        for path in sorted(source.iterdir()):
            tar.add(path, arcname=path.name)


def pack(source: Path, out: Path, *, processes: int, shard_size: int) -> None:
    """`mgm pack`, as its command does it."""
    pack_set(load_set(str(source)), out, shard_size=shard_size, processes=processes)


def measure(ways: dict[str, Callable[[Path], None]], folder: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """(seconds on the clock, of processors) of each way in each round, in turn; the first round is not counted."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in ways if number % 2 else reversed(ways):
            out = folder / "out"
            clock, processor = time.perf_counter(), processor_seconds()
            ways[name](out)
            if number:
                found[name].append((time.perf_counter() - clock, processor_seconds() - processor))
            shutil.rmtree(out)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--copies", type=int, default=200, help="names of each video")
    parser.add_argument("--shard-size", type=int, default=32, help="MiB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder on the disk to write to; temporary by default")
    arguments = parser.parse_args()
    videos = arguments.videos or [REAL / file for file in DEFAULT if (REAL / file).exists()]
    if not videos:
        parser.error("no videos, and no ../shared/data")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print_header(f"medians of {arguments.rounds} interleaved rounds [smallest, largest], {cores} cores to run on", 0)
    with tempfile.TemporaryDirectory(dir=arguments.out) as name:
        folder, source = Path(name), Path(name) / "videos"
        source.mkdir()
        for number, video in enumerate(videos):
            original = Path(shutil.copy(video, folder / f"original-{number}{video.suffix}"))
            for copy in range(arguments.copies):
                (source / f"{number}-{copy:05d}{video.suffix}").hardlink_to(original)
        count, size = len(videos) * arguments.copies, sum(path.stat().st_size for path in source.iterdir())
        ways: dict[str, Callable[[Path], None]] = {PEER: partial(tar_alone, source)}
        for processes in (1, arguments.processes):
            several = "es" if processes > 1 else ""
            ways[f"mgm pack, {processes} process{several}"] = partial(
                pack, source, processes=processes, shard_size=arguments.shard_size
            )
        found = measure(ways, folder, arguments.rounds)
    print(f"{count} videos, {size / 2**20:.0f} MiB, shards of {arguments.shard_size} MiB")
    print(f"{'':28s} {'seconds on the clock':>24s} {'of processors':>16s} {'us of processors a video':>26s}")
    for name, rounds in found.items():
        clock, processor = zip(*rounds, strict=True)
        each = statistics.median(processor) / count * 1e6
        print(f"{name:28s} {statistics.median(clock):24.2f} {statistics.median(processor):16.2f} {each:26.0f}")
    one = found["mgm pack, 1 process"]
    for name, rounds in found.items():
        if rounds is not one:
            for index, title in enumerate(("on the clock", "of processors")):
                ratio, low, high = ratios([r[index] for r in rounds], [r[index] for r in one])
                print(f"{name}: {ratio:.2f} of one process's seconds {title} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
