"""All masks by name. A new one is a class in a file of this folder and one line here."""

from dataclasses import fields
from difflib import get_close_matches

import numpy as np

from mgm.errors import MaskError
from mgm.masks.advected import AdvectedTokens, WarpedVisible
from mgm.masks.block import BlockMask
from mgm.masks.grid import Grid
from mgm.masks.mask import Mask, TokenMask
from mgm.masks.motion import Motion
from mgm.masks.multiblock import MultiBlock
from mgm.masks.random import FrameMask, RandomMask, TubeMask
from mgm.masks.rectangle import MotionRectangle
from mgm.masks.running_cell import RunningCell
from mgm.masks.scored import MotionSampled, MotionTopK, ScoreMask
from mgm.masks.smm import SimulatedRectangle, SimulatedTokens

MASKS: dict[str, type[Mask]] = {
    "random": RandomMask,
    "frame": FrameMask,
    "tube": TubeMask,
    "block": BlockMask,
    "smm": SimulatedRectangle,
    "smm-sparse": SimulatedTokens,
    "mgm": MotionRectangle,
    "mgm-sparse": AdvectedTokens,
    "motion-topk": MotionTopK,
    "motion-prob": MotionSampled,
    "mgmae": WarpedVisible,
    "multiblock": MultiBlock,
    "score": ScoreMask,
    "running-cell": RunningCell,
}


def mask_names() -> tuple[str, ...]:
    """The names that `make_mask` and `build_mask` know, in the catalog's order."""
    return tuple(MASKS)


def build_mask(name: str, **options: object) -> Mask:
    """Build a mask once, to draw from it often.

    Args:
        name: one of `mask_names()`.
        options: fields of its class; those left out keep their defaults.

    Raises:
        MaskError: unknown name or option, or a value that the option does not take.
    """
    if name not in MASKS:
        raise MaskError(
            f"{name}: found no mask of this name, expected one of {', '.join(MASKS)}{_nearest(name, list(MASKS))}"
        )
    known = [field.name for field in fields(MASKS[name])]
    for option in options:
        if option not in known:
            raise MaskError(
                f"{name}: found unknown option {option!r}, expected {', '.join(known) or 'no options'}"
                f"{_nearest(option, known)}"
            )
    return MASKS[name](**options)


def make_mask(
    name: str,
    *,
    grid: Grid,
    ratio: float,
    motion: Motion | None = None,
    rng: np.random.Generator,
    **options: object,
) -> TokenMask:
    """Draw one mask by name: `build_mask(name, **options).draw(grid, ratio, motion, rng)`.

    Args:
        name: one of `mask_names()`.
        grid: tokens (t, h, w); (8, 14, 14) for 16 frames of 224 x 224 in tubelets of 2 x 16 x 16.
        ratio: share of tokens to hide, in (0, 1); see `Mask.count`.
        motion: a motion field or an array (T, gh, gw, 2) in pixels per sampling step, T a multiple of t; None for a
            clip without motion, to which guided masks answer with a random centre and `fallback`.
        rng: the only source of randomness; `mask_rng` makes one for a sample of a run.
        options: see `build_mask`.

    Raises:
        MaskError: unknown name or option; a grid, ratio, motion or rng that cannot be used.
    """
    mask = build_mask(name, **options)
    if not isinstance(rng, np.random.Generator):  # a seed, a RandomState or the global `np.random`
        raise MaskError(
            f"{name}: found rng of type {type(rng).__name__}, expected numpy.random.Generator; "
            "pass np.random.default_rng(seed) or mask_rng(...)"
        )
    return mask.draw(grid, ratio, motion, rng)


def _nearest(name: str, known: list[str]) -> str:
    match = get_close_matches(name, known, n=1, cutoff=0.0)
    return f"; did you mean {match[0]!r}?" if match else "; leave it out"
