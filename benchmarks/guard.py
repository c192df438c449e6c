"""Measure the ratios again and compare them with the committed ones: `make bench`, before each release.

    python benchmarks/guard.py [masks augment step loader video] [--out FOLDER]

Ratios of processor times of interleaved rounds vary little with the machine and its load; fewer rounds than those of the results
make it fast: all in under ten minutes on two idle cores. A ratio is worse if it is more than a tenth above the committed one and
none of its rounds is within the committed range. The exit status is 1 if a ratio is worse. Peers that are not installed, and clips
of ../shared/data that are missing, leave their rows out, and the rows are counted.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mgm.masks.kernels import compile_kernels
from mgm.video.clip.interleave import compile_clip_kernels

HERE = Path(__file__).parent
CLIPS = HERE.parents[1] / "shared" / "data" / "surv_fights"
JOBS = {
    "masks": "masks.py --clock cpu",
    "augment": "augment.py --clock cpu",
    "step": "step.py --clock cpu --threads 1 --rounds 3 --no-eager --ratios 0.9",
    "loader": f"loader.py {shlex.quote(str(CLIPS))} --clock cpu --rounds 3 --videos 12",
    "video": "video.py --clock cpu --rounds 3 --clips 4",
}
OWN_ROWS = ("step", "loader", "video")
"""The results in which only the rows of mgm count; the others are peers."""
WORSE = 1.1
_ROW = re.compile(r"(.+?) {2,}\S.*?([\d.]+) of (.+?) \[([\d.]+), ([\d.]+)\]")
_CHANGING = re.compile(r"; [\d.]+ of its bytes|, \d+ bytes")


@dataclass(frozen=True)
class Ratio:
    """The median, smallest and largest ratio of a row to its peer."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def is_above(self, other: Ratio) -> bool:
        """Whether it is larger than another by more than noise."""
        return self.median > WORSE * other.median and self.low > other.high


Key = tuple[str, str, str]
"""Heading of the block, row and peer."""


def read_ratios(text: str, *, own: bool) -> dict[Key, Ratio]:
    """The first ratio of each row of a result; with `own`, of the rows of mgm only."""
    found: dict[Key, Ratio] = {}
    for block in text.split("\n\n"):
        lines = block.strip().splitlines()
        headed = bool(lines) and not any(line.startswith("mgm 0.") for line in lines)  # else its heading has the rounds
        heading = _CHANGING.sub("", lines[0]) if headed else ""
        for line in lines:
            row = _ROW.match(line)
            if row is not None and (not own or line.startswith("mgm")):
                found.setdefault((heading, row[1], row[3]), Ratio(*map(float, (row[2], row[4], row[5]))))
    return found


def compare(name: str, now: dict[Key, Ratio], before: dict[Key, Ratio]) -> int:
    """Print the rows that differ, and the counts. Returns the number of worse rows."""
    both = [key for key in before if key in now]
    worse = [key for key in both if now[key].is_above(before[key])]
    better = [key for key in both if before[key].is_above(now[key])]
    for word, keys in (("WORSE", worse), ("better", better)):
        for heading, row, peer in keys:
            key = (heading, row, peer)
            print(
                f"  {word}: {heading + ': ' * bool(heading)}{row}, of {peer}: {before[key]} committed, {now[key]} now"
            )
    print(
        f"{name}: {len(both)} ratios compared, {len(worse)} worse, {len(better)} better; not measured: "
        f"{len(before) - len(both)}, without a committed one: {len(now) - len(both)}",
        flush=True,
    )
    return len(worse)


def main() -> None:
    """Run the jobs; exit with 1 if a ratio is worse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", help=f"of {', '.join(JOBS)}; default: all")
    parser.add_argument("--out", type=Path, help="folder for the outputs, as in benchmarks/results")
    arguments = parser.parse_args()
    # In a fresh checkout nothing is compiled, and programs as short as these would not wait for it.
    compile_kernels()
    compile_clip_kernels()
    began, worse = time.monotonic(), 0
    for name in arguments.jobs or JOBS:
        if name == "loader" and not CLIPS.is_dir():
            print(f"{name}: not measured, {CLIPS} is missing")
            continue
        command = [sys.executable, *shlex.split(JOBS[name])]
        ran = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise SystemExit(f"{JOBS[name]} failed:\n{ran.stderr}")
        if arguments.out is not None:
            arguments.out.mkdir(parents=True, exist_ok=True)
            (arguments.out / f"{name}.txt").write_text(ran.stdout, encoding="utf-8")
        committed = (HERE / "results" / f"{name}.txt").read_text(encoding="utf-8")
        now, before = (read_ratios(text, own=name in OWN_ROWS) for text in (ran.stdout, committed))
        worse += compare(name, now, before)
    print(f"{time.monotonic() - began:.0f} s; {worse} ratios worse than committed")
    raise SystemExit(1 if worse else 0)


if __name__ == "__main__":
    main()
