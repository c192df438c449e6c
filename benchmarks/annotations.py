"""Time and memory of loading annotations of the size of Kinetics-400, or of ten times that: processor time on one thread.

    python benchmarks/annotations.py [--lines 2400000] [--folder FOLDER]

Makes a tree of empty files in 400 folders, with one in twenty listed files missing, a `path label` list of it and a csv of ids.
Every row is a process of its own; its memory is the largest that it had, the program itself (the row `nothing`) included.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mgm.data.annotations import load_set
from mgm.data.annotations.summary import summarise_set
from timing import peak_memory, print_header

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
            os.close(os.open(f"{videos}/{path}", os.O_CREAT | os.O_WRONLY))  # in half the time of `touch`
        listed.append(f"{path} {label}")
        rows.append(f"class {label:03d},{name},{start},{start + 10},{'train' if number % 12 else 'validate'}")
    paths = root / "train.csv", root / "k400.csv"
    for written, lines in zip(paths, (listed, rows), strict=True):
        written.write_text("\n".join(lines), encoding="utf-8")
    return paths


CALLS = {"nothing": lambda given: None, "load_set": load_set, "summarise_set": summarise_set}


def measure(call: str, given: str) -> None:
    """Print the processor time of one call and the largest memory of this process."""
    began = time.process_time()
    kept = CALLS[call](given)
    seconds = time.process_time() - began
    print(f"{call:14} {seconds:7.2f} s {peak_memory():7.0f} MB", flush=True)
    del kept


def main() -> None:
    """Print a line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=240_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the files are made, and removed")
    parser.add_argument("--call", choices=CALLS, help=argparse.SUPPRESS)
    parser.add_argument("--given", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.call is not None:
        measure(arguments.call, arguments.given)
        return
    print_header(f"{arguments.lines:,} lines, {CLASSES} folders; processor time and largest memory", arguments.seed)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        listed, rows = make_files(Path(folder), arguments.lines, arguments.seed)
        for name, spec in (("path label", f"train={listed}"), ("kinetics csv", f"data={rows}")):
            for call in CALLS:
                print(f"{name:14}", end=" ", flush=True)
                given = f"{spec},root={folder}/videos"
                subprocess.run([sys.executable, __file__, "--call", call, "--given", given], check=True)


if __name__ == "__main__":
    main()
