"""Where a mask's randomness comes from: four numbers that name the draw, so that any worker can repeat it."""

import operator

import numpy as np

from mgm.errors import MaskError


def mask_rng(seed: int, epoch: int, sample: int, repeat: int) -> np.random.Generator:
    """The generator of one draw: a pure function of its four arguments, independent of workers, ranks and order.

    Args:
        seed: the run's seed.
        epoch: the pass over the data.
        sample: the index of the video in its set, not in the batch or on the rank.
        repeat: which copy of the sample under repeated augmentation; 0 without it.

    Raises:
        MaskError: one of them is negative or not an integer.
    """
    key = {"seed": seed, "epoch": epoch, "sample": sample, "repeat": repeat}
    for name, value in key.items():
        try:
            valid = operator.index(value) >= 0
        except TypeError:
            valid = False
        if not valid:
            raise MaskError(
                f"mask_rng: found {name} {value!r}, expected an integer of at least 0; pass its index or count"
            )
    return np.random.default_rng(np.random.SeedSequence([operator.index(value) for value in key.values()]))
