"""Time and memory of every part of the data path on synthetic sets of growing size.

    python benchmarks/scale.py [scan] [shards] [loader] [neighbours] [--sizes 100000 1000000] [--folder FOLDER]

Every row is a process of its own. Times are processor time; memory is the largest that the process had, itself included.

    scan         a folder of empty files into a manifest, stopped after half of them, then continued, then run again
    shards       the index of a set in 100 videos per shard, without the bytes of the videos
    loader       the first batch of four clips from a set of as many names of a thousand files, in two reading processes
    neighbours   k-NN of 1,024 queries among as many features of 768 numbers

`benchmarks/annotations.py --lines` has the lists.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from timing import peak_memory, print_header

SEED, CLASSES, WIDTH, QUERIES, PER_FOLDER, PER_SHARD, FILES = 0, 400, 768, 1024, 2000, 100, 1000
CLIP, STRIDE, SIDE = 8, 2, 64


def own_memory(process: int | None) -> float:
    """Memory in MB that a process shares with no other."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private")) / 1024


def spend(name: str, count: int, work: Callable[[], object]) -> None:
    """Run and print one row."""
    began = time.process_time()
    work()
    seconds = time.process_time() - began
    print(f"{name:28s} {count:10,} {seconds:9.2f} s {peak_memory():8.0f} MB", flush=True)


def scan(count: int, folder: Path) -> None:
    """A manifest of `count` empty files."""
    from mgm.video.scan.folder import scan_to_manifest

    class StoppedError(Exception):
        """In place of an interrupt."""

    def stop(done: int, total: int) -> None:
        if done == total // 2:
            raise StoppedError

    def stopped() -> None:
        try:
            scan_to_manifest(manifest, videos, progress=stop)
        except StoppedError:
            return
        raise AssertionError("was not stopped")

    videos, manifest = folder / "videos", folder / "manifest.jsonl"
    for number in range(count):
        if number % PER_FOLDER == 0:
            place = videos / f"class {number // PER_FOLDER:04d}"
            place.mkdir(parents=True)
        os.close(os.open(place / f"a video {number:08d}.mp4", os.O_CREAT))
    spend("scan, stopped at half", count, stopped)
    spend("scan, continued", count, lambda: scan_to_manifest(manifest, videos))
    spend("scan again", count, lambda: scan_to_manifest(manifest, videos))
    with manifest.open() as file:
        assert sum(1 for _ in file) == count


def shards(count: int, folder: Path) -> None:
    """The index of `count` videos."""
    from mgm.data.shards.index import SHARDS_FILE, SHARDS_FORMAT, index_name, load_shards

    names = [f"shard-{number:06d}.tar" for number in range(count // PER_SHARD)]
    info = {"frames": 300, "height": 256, "width": 340, "motion": True, "step": 1}
    for number, name in enumerate(names):
        samples = []
        for video in range(number * PER_SHARD, (number + 1) * PER_SHARD):
            label, offset = video * 7919 % CLASSES, 500_000 * (video % PER_SHARD)
            split = "test" if video % 12 == 0 else "train"
            annotation = {"number": video, "split": split, "label": label, "class": str(label), "start": 0, "end": None}
            samples.append(
                {
                    "key": f"{video:08d}",
                    "name": f"class {label:03d}/a video {video:08d}.mp4",
                    "info": info,
                    "annotations": [annotation],
                    "modified": 1_700_000_000_000_000_000,
                    "members": {"video": [offset + 512, 400_000], "json": [offset + 401_000, 300]},
                }
            )
        (folder / index_name(name)).write_text(json.dumps({"format": SHARDS_FORMAT, "samples": samples}))
    about = {"format": SHARDS_FORMAT, "shards": names, "classes": [str(n) for n in range(CLASSES)], "split": "given"}
    (folder / SHARDS_FILE).write_text(json.dumps(about))
    spend(f"load {len(names):,} shards", count, lambda: load_shards(folder))


def loader(count: int, folder: Path) -> None:
    """The first batch of a set of `count` videos."""
    from contextlib import closing

    from mgm.data.clips.source import ClipSettings, FileSource
    from mgm.data.items import VideoItems
    from mgm.data.loading.dataset import ClipSet, ClipTransform
    from mgm.data.loading.loader import BatchOrder, batches
    from mgm.data.synthetic.known_motion import make_translation
    from mgm.files.path_column import PathColumn

    made = make_translation(folder / "0.mp4", velocity=(2, 1), frames=24, size=(SIDE, SIDE))
    for number in range(1, FILES):
        os.link(made, folder / f"{number}.mp4")
    names = PathColumn(f"{folder}/{number % FILES}.mp4" for number in range(count))
    items = VideoItems(names, (number % CLASSES for number in range(count)))
    settings = ClipSettings(CLIP, STRIDE, SIDE, None)
    own = peak_memory()
    reading = []

    def first() -> None:
        clips = ClipSet(items, FileSource(), settings, ClipTransform("centre", flip=False), seed=SEED)
        with closing(batches(clips, BatchOrder(count, 4, SEED), first=0, last=10, workers=2)) as read:  # type: ignore[type-var]
            next(read)
            for child in multiprocessing.active_children():
                reading.append(own_memory(child.pid))

    spend("first batch, training process", count, first)
    shown = ", ".join(f"{size:.0f}" for size in reading)
    print(
        f"{'  its set':28s} {count:10,} {'':11s} {own:8.0f} MB; of their own the reading processes have {shown} MB",
        flush=True,
    )


def neighbours(count: int, folder: Path) -> None:
    """k-NN among `count` features."""
    import torch

    from mgm.evaluation.nearest import nearest_neighbours
    from mgm.evaluation.views import Features

    torch.manual_seed(SEED)

    def features(rows: int) -> Features:
        every = torch.arange(rows)
        return Features(torch.randn(rows, WIDTH), every, torch.randint(CLASSES, (rows,)), every)

    bank, queries = features(count), features(QUERIES)
    print(f"{'  its bank':28s} {count:10,} {'':11s} {peak_memory():8.0f} MB", flush=True)
    spend("k-NN", count, lambda: nearest_neighbours(bank, queries, classes=CLASSES, neighbours=[10, 20, 200]))


PARTS = {"scan": scan, "shards": shards, "loader": loader, "neighbours": neighbours}


def main() -> None:
    """Print the rows of all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=(*PARTS, []), default=[])
    parser.add_argument("--sizes", nargs="+", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where the files are made, and removed")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            PARTS[arguments.parts[0]](arguments.sizes[0], Path(folder))
        return
    print_header("part, videos, processor time, largest memory", SEED)
    for part in arguments.parts or PARTS:
        for size in arguments.sizes:
            place = [] if arguments.folder is None else ["--folder", str(arguments.folder)]
            subprocess.run([sys.executable, __file__, part, "--sizes", str(size), "--alone", *place], check=True)


if __name__ == "__main__":
    main()
