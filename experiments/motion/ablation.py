"""The contribution of each rule of the clean reading to its agreement with dense optical flow.

    python experiments/motion/ablation.py [VIDEO...]

Reads the clips of run.py with one rule left out at a time, summed over the stride, and scores them as run.py does. The rules were
chosen on those clips, in two halves: the second confirmed the choices made on the first. The surveillance clips that run.py
did not draw took no part in it: as many again as there are clips are read to see whether the choice holds on others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from agreement import Scores, agree, dis_maps, field_maps, grey_frames
from run import begin, clips_of, head, row

from mgm.video import read_motion
from mgm.video.clip import clip_motion
from mgm.video.motion import velocity
from mgm.video.motion.field import VectorField
from mgm.video.motion.velocity import VelocitySum, accumulate_vectors

Parts = dict[str, Callable[..., object]]


def alone(
    vectors: npt.NDArray[np.void],
    grid: tuple[int, int],
    *,
    past: float,
    future: float,
    enclosing: VelocitySum | None = None,
) -> VelocitySum:
    """Velocity sum without that of the enclosing frame."""
    return accumulate_vectors(vectors, grid, past=past, future=future)


def of_any_length(
    vectors: npt.NDArray[np.void],
    grid: tuple[int, int],
    *,
    past: float,
    future: float,
    enclosing: VelocitySum | None = None,
) -> VelocitySum:
    """Velocity sum that keeps the longer of two estimates; spurious zeros are discarded."""
    first, other = (
        accumulate_vectors(vectors[vectors["source"] == source], grid, past=past, future=future) for source in (-1, 1)
    )
    both = (first[2] > 0) & (other[2] > 0)
    still, stills = (~e[:2].any(axis=0) for e in (first, other))
    total: VelocitySum = first * ~(both & still & ~stills) + other * ~(both & stills & ~still)
    return total if enclosing is None else total + enclosing


def short_of_enclosing(
    vectors: npt.NDArray[np.void],
    grid: tuple[int, int],
    *,
    past: float,
    future: float,
    enclosing: VelocitySum | None = None,
) -> VelocitySum:
    """Without the enclosing frame and the rule of length: the lists and their distances only."""
    return of_any_length(vectors, grid, past=past, future=future)


def unsmoothed(total: VelocitySum, interval: float, out: VectorField | None = None) -> VectorField:
    """As `smooth`, without the neighbouring cells."""
    measured = total[2] > 0
    velocity = total[:2] / np.where(measured, total[2], 1)
    field = VectorField(np.moveaxis(velocity * np.float32(interval), 0, -1), measured)
    if out is not None:
        out.vectors[:], out.valid[:] = field.vectors, field.valid
    return field


def same(measured: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """As `smoothed_support`, without the neighbouring cells."""
    return measured


SHARP: Parts = {"smooth": unsmoothed, "smoothed_support": same}
WAYS: dict[str, Parts] = {
    "all rules": {},
    "without smoothing": SHARP,
    "without filling gaps from around": {"smoothed_support": same},
    "without enclosing frames": {"accumulate_vectors": alone},
    "without the rule of length": {"accumulate_vectors": of_any_length},
    "distances, two lists, zeros, and nothing else": {"accumulate_vectors": short_of_enclosing, **SHARP},
}


def measure(path: Path, *, stride: int, most: int) -> dict[str, Scores]:
    """Score every way of reading a clip."""
    frames = grey_frames(path, stride=stride, most=most)
    truth = dis_maps(frames, anchor="earlier")
    scores = {}
    for name, parts in WAYS.items():
        with ExitStack() as patched:
            for part, function in parts.items():
                module = velocity if part == "accumulate_vectors" else clip_motion
                patched.enter_context(patch.object(module, part, function))
            field = read_motion(path, frames=len(frames), stride=stride, cache="ignore").motion
        scores[name] = agree(field_maps(field), truth)
    return scores


def mean(scores: Sequence[Scores], measure: str) -> float:
    """The mean of a measure over all pairs of frames of some clips."""
    return float(np.concatenate([getattr(s, measure) for s in scores]).mean())


def main() -> None:
    """Print the table."""
    arguments = begin(__doc__)
    print()
    groups = [arguments.videos]
    if not arguments.videos:
        # By folder and name: run.py lists clips of one kind together, which would bias the halves.
        known = sorted(clips_of(arguments.data, seed=arguments.seed), key=lambda path: (path.parent.name, path.name))
        others = sorted(set((arguments.data / "surv_fights").glob("*/*.mp4")) - set(known))
        drawn = np.random.default_rng(arguments.seed).choice(len(others), min(len(known), len(others)), replace=False)
        groups = [known, known[::2], known[1::2], [others[i] for i in sorted(drawn.tolist())]]
    scores = {path: measure(path, stride=arguments.stride, most=arguments.frames) for path in sorted({*chain(*groups)})}
    print(f"{len(groups[0])} clips; {len(groups[-1])} others.\n")
    head(["reading", "cosine", "peak distance", "overlap", "cosine, halves and others"])
    for name in WAYS:
        found = [[scores[path][name] for path in group] for group in groups]
        rest = " / ".join(f"{mean(group, 'cosine'):.3f}" for group in found[1:])
        first = found[0]
        row([name, mean(first, "cosine"), f"{mean(first, 'distance'):.2f}", mean(first, "overlap"), rest])


if __name__ == "__main__":
    main()
