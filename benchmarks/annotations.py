"""Time the loading of annotations of the size of Kinetics-400: processor time on one thread.

    python benchmarks/annotations.py [--lines 240000]

Makes a tree of empty files in 400 folders, with one in twenty listed files missing, a `path label` list of it and a csv of ids.
"""

from __future__ import annotations

import argparse
import platform
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mgm.data.annotations import load_set
from mgm.data.annotations.summary import summarise_set
from mgm.version import VERSION

CLASSES = 400
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


def make_files(root: Path, lines: int, seed: int) -> tuple[Path, Path]:
    """Write the files, the list and the csv. Returns the paths of the list and the csv."""
    rng = random.Random(seed)
    videos = root / "videos"
    for number in range(CLASSES):
        (videos / f"class {number:03d}").mkdir(parents=True)
    listed, rows = [], ["label,youtube_id,time_start,time_end,split"]
    for number in range(lines):
        label, name, start = rng.randrange(CLASSES), "".join(rng.choices(LETTERS, k=11)), rng.randrange(300)
        path = f"class {label:03d}/{name}_{start:06d}_{start + 10:06d}.mp4"
        if number % 20:
            (videos / path).touch()
        listed.append(f"{path} {label}")
        rows.append(f"class {label:03d},{name},{start},{start + 10},{'train' if number % 12 else 'validate'}")
    paths = root / "train.csv", root / "k400.csv"
    for written, lines in zip(paths, (listed, rows), strict=True):
        written.write_text("\n".join(lines), encoding="utf-8")
    return paths


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Print a line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=240_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, mgm {VERSION}")
    print(f"{arguments.lines:,} lines, {CLASSES} folders, seed {arguments.seed}; seconds of processor time")
    with tempfile.TemporaryDirectory() as folder:
        listed, rows = make_files(Path(folder), arguments.lines, arguments.seed)
        for name, spec in (("path label", f"train={listed}"), ("kinetics csv", f"data={rows}")):
            given = f"{spec},root={folder}/videos"
            print(f"{name:14} load_set      {seconds(lambda given=given: load_set(given)):6.2f}")
            print(f"{name:14} summarise_set {seconds(lambda given=given: summarise_set(given)):6.2f}")


if __name__ == "__main__":
    main()
