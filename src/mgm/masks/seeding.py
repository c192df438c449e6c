"""The generator of a mask: four numbers name the draw, so any worker can repeat it."""

import operator

import numpy as np

from mgm.errors import MaskError


def mask_rng(seed: int, epoch: int, sample: int, repeat: int) -> np.random.Generator:
    """The generator of one draw: a pure function of its four arguments, independent of workers, ranks and order.

    Args:
        seed: the run's seed.
        epoch: the pass over the data.
        sample: the index of the video in its set, not in the batch or on the rank.
        repeat: number of the copy under repeated augmentation; 0 without it.

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
                "mask_rng",
                f"found {name} {value!r}",
                "an integer of at least 0",
                "pass its index or count",
                reason="invalid_value",
            )
    return np.random.default_rng(np.random.SeedSequence([operator.index(value) for value in key.values()]))
