"""Hidden shares of true boxes and of the codec's motion, for each mask and border rule.

    python experiments/masks/run.py --data ../shared/data | tee benchmarks/results/mask_table.txt

Sets of clips of 16 frames at 224 x 224, grid (8, 14, 14), ratio .75. The synthetic ones are encoded by x264 with its defaults
and read back, so the motion is that of a real stream:

    small   a textured square of 48 to 80 px (3 to 5 tokens) that crosses the frame by 2 to 8 px a frame, anywhere in it; over a
            still background in half of the clips, over a slower pan in the others
    large   mgm.data.synthetic.labelled: objects .42 to .62 of the frame wide, on a torus: most are cut by the border at some time
    bmx-trees, tennis: two sequences of DAVIS with a moving camera, every second frame (with --data). The boxes of bmx-trees are
            those of the rider; those of tennis reach from the player to the border, because they include the ball

A row is a mask. Its columns:

    object, motion       hidden share of the true box's area and of the codec's motion, mean over draws and clips
    steps, draws, clips  IoU of the masks of successive steps, of two draws for one clip, and of the masks of two clips
    never                places, of 196, that are visible at no step of any clip and draw
    least                visibility of the least visible token
    count                masked tokens of a step
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mgm.data.synthetic.known_motion import object_over_pan_frames
from mgm.data.synthetic.labelled import make_dataset
from mgm.machine import machine, versions
from mgm.masks import (
    DrawStatistics,
    Mask,
    MotionLike,
    build_mask,
    draw_statistics,
    list_masks,
    mask_rng,
    pool_statistics,
)
from mgm.show.preview import true_boxes
from mgm.video import read_clip
from mgm.video.container.metadata import read_video_info
from mgm.video.transcode.write import write_video

GRID, RATIO, FRAMES, SIZE = (8, 14, 14), 0.75, 16, 224
SEQUENCES = ("bmx-trees", "tennis")
BOUNDARIES = ("clip", "shift", "grow", "wrap")


@dataclass(frozen=True)
class Case:
    """A clip's motion, and the true boxes of each frame in its 224 x 224 pixels."""

    motion: MotionLike
    boxes: Sequence[npt.NDArray[np.float64]]


def rows() -> Iterator[tuple[str, Mask]]:
    """Every mask; rectangles with every border rule; masks that follow motion also without that of the camera."""
    for name in list_masks():
        if name not in ("block", "smm", "mgm"):
            yield name, build_mask(name)
            continue
        for boundary in BOUNDARIES:
            yield f"{name}, {boundary}", build_mask(name, boundary=boundary)
    for boundary in BOUNDARIES:
        yield f"mgm, {boundary}, start=motion", build_mask("mgm", boundary=boundary, start="motion")
    yield (
        "mgm, grow, start=motion, camera=median",
        build_mask("mgm", boundary="grow", start="motion", camera="median"),
    )
    yield "mgm, clip, start=motion, share=.5", build_mask("mgm", start="motion", share=0.5)
    for exact in ("clip", "none"):
        yield f"mgm, clip, start=motion, exact={exact}", build_mask("mgm", start="motion", exact=exact)
    for boundary in ("clip", "grow"):
        yield (
            f"mgm, {boundary}, start=motion, sides=motion",
            build_mask("mgm", boundary=boundary, start="motion", sides="motion"),
        )
    yield "motion-topk, camera=median", build_mask("motion-topk", camera="median")


def small(folder: Path, count: int, seed: int) -> Iterator[Case]:
    """Squares that are smaller than the rectangle and never leave the frame."""
    rng = np.random.default_rng(seed)
    margin = 128
    for number in range(count):
        side, speed, angle = rng.uniform(48, 80), rng.uniform(2, 8), rng.uniform(0, 2 * math.pi)
        velocity = (speed * math.cos(angle), speed * math.sin(angle))
        pan_angle, pan_speed = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 0.5) * speed * (number % 2)
        pan = (pan_speed * math.cos(pan_angle), pan_speed * math.sin(pan_angle))
        # The square passes the middle of a larger picture, from which a window with its whole path is cut.
        reach = [abs(v) * (FRAMES - 1) / 2 + side / 2 for v in velocity]
        shift = [rng.uniform(-1, 1) * min(max(SIZE / 2 - r, 0), margin / 2) for r in reach]
        left, top = (round(margin / 2 + s) for s in shift)
        drawn = list(
            object_over_pan_frames(
                pan=pan,
                velocity=velocity,
                side=side,
                frames=FRAMES,
                size=(SIZE + margin, SIZE + margin),
                seed=seed + 2 * number,
            )
        )
        path = folder / f"{number}.mp4"
        write_video(path, (frame[top : top + SIZE, left : left + SIZE] for frame, _ in drawn), fps=25)
        boxes = [np.array([box]) - [left, top, left, top] for _, box in drawn]
        yield Case(motion_of(path, 0, 1), boxes)


def large(folder: Path, count: int, seed: int) -> Iterator[Case]:
    """The data set of the demo at the size of the paper's clips."""
    made = make_dataset(folder / "set", train=0, test=count, frames=FRAMES, size=SIZE, seed=seed)
    for path in made.test:
        yield Case(motion_of(path, 0, 1), true_boxes(path, range(FRAMES), SIZE) or [])


def real(folder: Path) -> Iterator[Case]:
    """Clips of a sequence that overlap by three quarters."""
    path = folder / f"{folder.name}_h264_bframes.mp4"
    for start in range(0, read_video_info(path).frames - 2 * FRAMES, FRAMES // 2):
        indices = range(start, start + 2 * FRAMES, 2)
        yield Case(motion_of(path, start, 2), true_boxes(path, indices, SIZE, file=folder / "boxes.json") or [])


def motion_of(path: Path, start: int, stride: int) -> MotionLike:
    clip = read_clip(path, start=start, frames=FRAMES, stride=stride, size=SIZE, motion="codec")
    assert clip.motion is not None
    return clip.motion


def between_clips(masks: Sequence[npt.NDArray[np.bool_]]) -> float:
    """Mean IoU of masks of successive clips."""
    return float(np.mean([(a & b).sum() / (a | b).sum() for a, b in pairwise(masks)]))


@dataclass(frozen=True)
class Row:
    """A mask on one set of clips."""

    found: DrawStatistics
    between: float

    def object(self) -> str:
        return "-" if self.found.object_share is None else f"{self.found.object_share:.2f}"

    def motion(self) -> str:
        return "-" if self.found.motion_share is None else f"{self.found.motion_share:.2f}"

    def overlaps(self) -> list[str]:
        """Of steps, draws and clips."""
        return [f"{value or 0:.2f}" for value in (self.found.step_iou, self.found.overlap, self.between)]

    def count(self) -> str:
        low, high = self.found.count
        return f"{low}" if low == high else f"{low}-{high}"


def measure(mask: Mask, cases: Sequence[Case], draws: int, seed: int) -> Row:
    """Statistics of `draws` masks for each clip."""
    found: list[DrawStatistics] = []
    first: list[npt.NDArray[np.bool_]] = []
    for number, case in enumerate(cases):
        drawn = [mask.draw(GRID, RATIO, case.motion, mask_rng(seed, d, number, 0)) for d in range(draws)]
        found.append(draw_statistics(drawn, motion=case.motion, boxes=case.boxes, extent=(SIZE, SIZE)))
        first.append(drawn[0].masked)
    return Row(pool_statistics(found), between_clips(first))


def show(title: str, cases: Sequence[Case], draws: int, seed: int) -> dict[str, Row]:
    """Print the table of one set."""
    print(f"\n{title}: {len(cases)} clips, {draws} draws each\n")
    print_heads("mask", "object", "motion", "steps", "draws", "clips", "never", "least", "count", "fallback")
    made = {}
    for label, mask in rows():
        made[label] = row = measure(mask, cases, draws, seed)
        s = row.found
        ends = [f"{s.never_visible}", f"{s.least_visible:.2f}", row.count(), f"{s.fallback_share:.2f}"]
        print_cells(f"`{label}`", row.object(), row.motion(), *row.overlaps(), *ends)
    return made


def summarise(sets: dict[str, dict[str, Row]]) -> None:
    """Print one table of all sets, that of docs/masks.md: objects and motion of each, the rest of the first."""
    print("\nsummary\n")
    objects, motion = ([f"{share}, {name}" for name in sets] for share in ("object", "motion"))
    print_heads("mask", *objects, *motion, "steps", "draws", "clips", "never", "count")
    for label, row in next(iter(sets.values())).items():
        each = [made[label] for made in sets.values()]
        shares = [r.object() for r in each] + [r.motion() for r in each]
        print_cells(f"`{label}`", *shares, *row.overlaps(), f"{row.found.never_visible}", row.count())


def print_heads(*heads: str) -> None:
    print_cells(*heads)
    print("|" + "---|" * len(heads))


def print_cells(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with moving_objects/")
    parser.add_argument("--clips", type=int, default=64, help="of each synthetic set")
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(f"What masks hide, grid {GRID}, ratio {RATIO}")
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()) + f", seed {args.seed}")
    sets = {}
    with tempfile.TemporaryDirectory() as folder:
        sets["small"] = show("small", list(small(Path(folder), args.clips, args.seed)), args.draws, args.seed)
        sets["large"] = show("large", list(large(Path(folder), args.clips, args.seed)), args.draws, args.seed)
    for name in SEQUENCES if args.data else ():
        sets[name] = show(name, list(real(args.data / "moving_objects" / name)), args.draws, args.seed)
    summarise(sets)


if __name__ == "__main__":
    main()
