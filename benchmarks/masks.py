"""Drawing a mask on the paper's grid from the motion of a 256 x 256 clip, every mask of the catalog.

python benchmarks/masks.py --clock cpu | tee benchmarks/results/masks.txt

From a motion field as `mgm.read_clip` returns it, including checks and pooling to the token grid. The last line compares the time
of a batch with a training step: this is arithmetic, no step is run.
"""

from __future__ import annotations

import argparse
import functools

import numpy as np

import mgm
from mgm.masks.kernels import compile_kernels
from timing import compare, print_header, print_table

SEED, DRAWS, ROUNDS = 0, 200, 7
GRID, RATIO = (8, 14, 14), 0.75
BATCH, CLIPS_A_SECOND = 256, 1000
"""The batch, and the rate of a ViT-B step on a modern GPU, that the masks are compared with."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time, for busy machines"
    )
    args = parser.parse_args()
    rng = np.random.default_rng(SEED)
    vectors = rng.normal(size=(16, 32, 32, 2)).astype(np.float32)
    motion = mgm.video.MotionField(vectors, np.ones((16, 32, 32), np.bool_), "codec", (256, 256))
    print_header(f"{DRAWS} draws at {GRID}, ratio {RATIO}, motion {vectors.shape}, one core, {args.clock} time", SEED)
    compile_kernels()

    def draw(mask: object) -> None:
        generator = np.random.default_rng(SEED)
        for _ in range(DRAWS):
            mask.draw(GRID, RATIO, motion, generator)  # type: ignore[attr-defined]

    masks = {name: mgm.masks.build_mask(name) for name in mgm.list_masks()}
    for boundary in ("shift", "grow", "wrap"):
        masks[f"mgm, {boundary}"] = mgm.masks.build_mask("mgm", boundary=boundary)
    for name in ("mgm", "mgm-sparse", "mgmae", "motion-topk"):
        masks[f"{name}, camera=median"] = mgm.masks.build_mask(name, camera="median")
    functions = {name: functools.partial(draw, mask) for name, mask in masks.items()}
    timings = compare(functions, peer="tube", rounds=ROUNDS, clock=args.clock)
    print_table(timings, peer="tube", per=DRAWS, unit="us a mask", scale=1e6)

    seconds = timings["mgm"].seconds / DRAWS
    step = BATCH / CLIPS_A_SECOND
    print(
        f"a batch of {BATCH} with mgm: {seconds * BATCH * 1e3:.0f} ms of one core; at {CLIPS_A_SECOND} clips a second a step takes "
        f"{step * 1e3:.0f} ms, so that its masks are {seconds * BATCH / step:.0%} of one loader core, and 1% of "
        f"{seconds * BATCH / step * 100:.0f} cores"
    )


if __name__ == "__main__":
    main()
