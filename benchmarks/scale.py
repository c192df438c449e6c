"""Time and memory of every part of the data path on synthetic sets of growing size.

    python benchmarks/scale.py [scan] [shards] [loader] [neighbours] [key] [packed] [list] [features] [predictions]
        [--sizes 100000 1000000] [--folder FOLDER] [--processes 1 2 4] [--until .5]

Every row is a process of its own, or several. Times are processor time; memory is the largest of the process, itself included.

    scan         a folder of files into a manifest, one in 200 a video, the others empty: stopped after half of them, then
                 continued, then run again
    shards       the index of a set in 100 videos per shard, without the bytes of the videos
    loader       the first batch of four clips from a set of as many names of a thousand files, in two reading processes
    neighbours   k-NN of 1,024 queries among as many features of 768 numbers
    key          the key of as many videos' features, on a disk that answers after a millisecond
    list         a `path label` list of as many videos in several processes: read by each (list_each), and once (list_once)
    packed       a set of real videos of 64 px in shards of two: written, loaded, summarised, its first batch, random clips,
                 scanned
    features     as many features of 768 numbers, of several processes: as objects on each, as was done before (features_each), and
                 in blocks on the first (features_first)
    predictions  as many predictions of 400 classes, in the same two ways

Of several processes, times and memory are sums, what they have in common counted once; `peak` is the largest during the work.
`benchmarks/annotations.py` has the lists of one process.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

from annotations import make_files
from scale_together import CLASSES, SEED, TOGETHER, WIDTH
from scan_files import link_files
from timing import peak_memory, print_header

QUERIES, PER_FOLDER, PER_SHARD, FILES = 1024, 2000, 100, 1000
EMPTY_PER_VIDEO, DIFFERENT, READ = 200, 100, 2000
CLIP, STRIDE, SIDE = 8, 2, 64
ANSWER_SECONDS = 0.001


def own_memory(process: int | None) -> float:
    """Memory in MB that a process shares with no other."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private")) / 1024


def current_memory() -> float:
    """Memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20


def spend(name: str, count: int, work: Callable[[], object]) -> None:
    """Run and print one row."""
    began = time.process_time()
    work()
    seconds = time.process_time() - began
    print(f"{name:28s} {count:10,} {seconds:9.2f} s {peak_memory():8.0f} MB", flush=True)


def scan(count: int, folder: Path, until: float = 0.5) -> None:
    """A manifest of `count` files, stopped after a share of them; continued if that is the half."""
    from mgm.video.scan.folder import scan_to_manifest

    class StoppedError(Exception):
        """In place of an interrupt."""

    def sample(done: int, total: int) -> None:
        if done % max(int(total * until) // 10, 1) == 0:
            held.append(current_memory())

    def stop(done: int, total: int) -> None:
        sample(done, total)
        if done == int(total * until):
            raise StoppedError

    def stopped() -> None:
        try:
            scan_to_manifest(manifest, videos, progress=stop)
        except StoppedError:
            return
        raise AssertionError("was not stopped")

    def spend_sampled(name: str, work: Callable[[], object]) -> None:
        held.clear()
        spend(name, count, work)
        print(f"{'  while files are read':28s} {count:10,} {'':11s} {min(held):8.0f} to {max(held):.0f} MB", flush=True)

    held: list[float] = []
    videos, manifest = folder / "videos", folder / "manifest.jsonl"
    made = folder / "0.mp4"
    maker = multiprocessing.get_context("spawn").Process(target=_make_video, args=(made,))  # not in this memory
    maker.start()
    maker.join()
    link_files(videos, count, [made], every=EMPTY_PER_VIDEO, per_folder=PER_FOLDER)
    scan_to_manifest(folder / "one.jsonl", made)  # what is imported on first use
    print(f"{'  one file':28s} {'':10s} {'':11s} {peak_memory():8.0f} MB", flush=True)
    spend_sampled(f"scan, stopped at {until:.0%}", stopped)
    if until < 0.5:
        return
    spend_sampled("scan, continued", lambda: scan_to_manifest(manifest, videos, progress=sample))
    spend("scan again", count, lambda: scan_to_manifest(manifest, videos))
    with manifest.open() as file:
        assert sum('"status": "ok"' in line for line in file) == -(-count // EMPTY_PER_VIDEO)


def _make_video(path: Path, velocity: tuple[int, int] = (2, 1), frames: int = 8) -> None:
    from mgm.data.synthetic.known_motion import make_translation

    make_translation(path, velocity=velocity, frames=frames, size=(SIDE, SIDE))


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


def packed_write(count: int, folder: Path) -> None:
    """Write `count` videos, of a hundred different ones, in shards of two."""
    from mgm.data import load_set, pack_set
    from mgm.data.shards import write

    source = folder / "videos"
    made = [folder / f"{number}.mp4" for number in range(DIFFERENT)]
    for number, path in enumerate(made):
        _make_video(path, (number % 10, number // 10), CLIP * STRIDE)
    for number in range(count):
        place = source / f"class {number % CLASSES:03d}"
        place.mkdir(parents=True, exist_ok=True)
        os.link(made[number % DIFFERENT], place / f"a video {number:08d}.mp4")
    write.MEBI = 2 * max(path.stat().st_size for path in made)  # shards of a MiB would fill a disk
    found = load_set(source)
    spend("pack", count, lambda: pack_set(found, folder / "set", shard_size=1))
    print(f"{'  in shards':28s} {len(list((folder / 'set').glob('*.tar'))):10,}", flush=True)


def packed_load(count: int, folder: Path) -> None:
    """Load the packed set."""
    from mgm.data import load_set

    spend("load the shards", count, lambda: load_set(folder / "set"))


def packed_show(count: int, folder: Path) -> None:
    """Summarise the packed set, as `mgm data show` does."""
    from mgm.data import summarise_set

    spend("summarise the shards", count, lambda: summarise_set(folder / "set"))


def packed_scan(count: int, folder: Path) -> None:
    """Scan the packed set into a manifest."""
    from mgm.data.shards.scan import scanned_shards

    manifest = folder / "manifest.jsonl"
    spend("scan the shards", count, lambda: scanned_shards(folder / "set").into_manifest(manifest))
    spend("scan the shards again", count, lambda: scanned_shards(folder / "set").into_manifest(manifest))
    with manifest.open() as file:
        assert sum('"status": "ok"' in line for line in file) == count


def packed_read(count: int, folder: Path) -> None:
    """The first batch of the packed set from two reading processes, then clips in random order from this one."""
    from contextlib import closing

    from mgm.data import load_set
    from mgm.data.clips.source import ClipSettings, FileSource
    from mgm.data.loading.dataset import ClipSet, ClipTransform
    from mgm.data.loading.loader import BatchOrder, batches

    settings = ClipSettings(CLIP, STRIDE, SIDE, "codec")
    items = load_set(folder / "set").train
    clips = ClipSet(items, FileSource(), settings, ClipTransform("centre", flip=False), seed=SEED)

    def read(workers: int, wanted: int) -> None:
        steps = -(-wanted // 4)
        order = BatchOrder(len(items), 4, SEED)
        with closing(batches(clips, order, first=0, last=steps, workers=workers)) as found:  # type: ignore[type-var]
            assert not any(batch.unreadable for batch in found)

    spend("first batch, training process", count, lambda: read(2, 4))
    began = time.monotonic()
    spend(f"{READ:,} clips", count, lambda: read(0, READ))
    print(f"{'  by the clock':28s} {count:10,} {time.monotonic() - began:9.2f} s", flush=True)


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


def key(count: int, folder: Path) -> None:
    """The key of the features of `count` videos, on a disk that answers after a millisecond."""
    from mgm.data.clips.source import FileSource
    from mgm.data.items import VideoItems
    from mgm.evaluation.feature_cache import feature_key
    from mgm.evaluation.probing import training_views, untrained_encoder
    from mgm.evaluation.ranks import Ranks
    from mgm.files.path_column import PathColumn
    from mgm.training import load_config

    for number in range(FILES):
        (folder / f"{number}.mp4").touch()
    names = PathColumn(f"{folder}/{number % FILES}.mp4" for number in range(count))
    config, ranks = load_config("debug"), Ranks()
    views = training_views(VideoItems(names, [None] * count), config, FileSource())
    encoder, state = untrained_encoder(config), Path.stat

    def far(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        time.sleep(ANSWER_SECONDS)
        return state(path, follow_symlinks=follow_symlinks)

    Path.stat = far  # type: ignore[method-assign]
    began = time.monotonic()
    spend("key of features", count, lambda: feature_key(encoder, views, "mean", ranks))
    print(f"{'  by the clock':28s} {count:10,} {time.monotonic() - began:9.2f} s", flush=True)


PARTS = {"scan": scan, "shards": shards, "loader": loader, "neighbours": neighbours, "key": key}
IN_TURN = {"packed": (packed_write, packed_load, packed_show, packed_read, packed_scan)}
MEMBERS = {member.__name__: member for members in (*IN_TURN.values(), *TOGETHER.values()) for member in members}


def main() -> None:
    """Print the rows of all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = (*PARTS, *IN_TURN, *TOGETHER)
    parser.add_argument("parts", nargs="*", choices=(*names, *MEMBERS, []), default=[], metavar="|".join(names))
    parser.add_argument("--sizes", nargs="+", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2, 4], help="of the last three parts")
    parser.add_argument("--folder", type=Path, help="where the files are made, and removed")
    parser.add_argument("--until", type=float, default=0.5, help="of the scan: the share after which it is stopped")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        run = {**PARTS, **MEMBERS, "scan": partial(scan, until=arguments.until)}[arguments.parts[0]]
        run(arguments.sizes[0], arguments.folder)
        return
    print_header("part, videos, processor time, largest memory", SEED)
    for part, size in product(arguments.parts or names, arguments.sizes):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            own = ["--sizes", str(size), "--folder", folder, "--until", str(arguments.until), "--alone"]
            if part in PARTS:
                subprocess.run([sys.executable, __file__, part, *own], check=True)
                continue
            if part in IN_TURN:
                for member in IN_TURN[part]:
                    subprocess.run([sys.executable, __file__, member.__name__, *own], check=True)
                continue
            if part.startswith("list"):
                make_files(Path(folder), size, SEED)
            members = TOGETHER[part] if part in TOGETHER else (MEMBERS[part],)
            for count, member in product(arguments.processes, members):
                launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
                subprocess.run([*launcher, __file__, member.__name__, *own], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
