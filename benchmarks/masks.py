"""Drawing a mask on the paper's grid from the motion of a 256 x 256 clip, every mask of the catalog.

python benchmarks/masks.py
"""

from __future__ import annotations

import functools

import numpy as np

import mgm
from timing import compare, print_header, print_table

SEED, DRAWS, ROUNDS = 0, 200, 7
GRID, RATIO = (8, 14, 14), 0.75


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(SEED)
    motion = rng.normal(size=(16, 32, 32, 2)).astype(np.float32)
    print_header(f"{DRAWS} draws at {GRID}, ratio {RATIO}, motion {motion.shape}, one core", SEED)

    def draw(mask: object) -> None:
        generator = np.random.default_rng(SEED)
        for _ in range(DRAWS):
            mask.draw(GRID, RATIO, motion, generator)  # type: ignore[attr-defined]

    functions = {name: functools.partial(draw, mgm.build_mask(name)) for name in mgm.mask_names()}
    for boundary in ("shift", "grow", "wrap"):
        functions[f"mgm, {boundary}"] = functools.partial(draw, mgm.build_mask("mgm", boundary=boundary))
    print_table(compare(functions, peer="tube", rounds=ROUNDS), peer="tube", per=DRAWS, unit="us a mask", scale=1e6)


if __name__ == "__main__":
    main()
