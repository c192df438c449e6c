"""All masks by name. A new one is a class in a file of this folder and one line here; docs/adding-a-mask.md lists the steps."""

from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module

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


def list_masks() -> tuple[str, ...]:
    """The names that `make_mask` and `build_mask` know, in the catalog's order."""
    return tuple(MASKS)


def build_mask(name: str | Mask, **options: object) -> Mask:
    """Build a mask once, to draw from it often.

    Args:
        name: one of `list_masks()`; or `package.module:Class` for a mask of your own; or a mask, which is given back as it is.
        options: fields of its class; those left out keep their defaults.

    Raises:
        MaskError: unknown name or option, or a value that the option does not take.
    """
    if isinstance(name, Mask):
        if options:
            raise MaskError(
                f"{name.name}: found a mask that is built already together with the options {', '.join(options)}, "
                "expected a name with options; pass them to the mask's class"
            )
        return name
    kind = _foreign(name) if ":" in name else MASKS.get(name)
    if kind is None:
        raise MaskError(
            f"{name}: found no mask of this name, expected one of {', '.join(MASKS)}{_nearest(name, list(MASKS))}"
        )
    known = [field.name for field in fields(kind)]
    for option in options:
        if option not in known:
            raise MaskError(
                f"{name}: found unknown option {option!r}, expected {', '.join(known) or 'no options'}"
                f"{_nearest(option, known) or '; leave it out'}"
            )
    return kind(**options)


def make_mask(
    name: str | Mask,
    *,
    grid: Grid,
    ratio: float,
    motion: Motion | None = None,
    rng: np.random.Generator,
    **options: object,
) -> TokenMask:
    """Draw one mask by name: `build_mask(name, **options).draw(grid, ratio, motion, rng)`.

    Args:
        name: one of `list_masks()`, or what else `build_mask` takes.
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
            f"{mask.name}: found rng of type {type(rng).__name__}, expected numpy.random.Generator; "
            "pass np.random.default_rng(seed) or mask_rng(...)"
        )
    return mask.draw(grid, ratio, motion, rng)


def _foreign(path: str) -> type[Mask]:
    """The class that `package.module:Class` names, so that a recipe can use a mask that is not part of this package."""
    module, _, attribute = path.partition(":")
    try:
        kind = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise MaskError(
            f"{path}: cannot be imported ({error}), expected package.module:Class; "
            "install the package, or put its folder on PYTHONPATH"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Mask)):
        raise MaskError(f"{path}: found {kind!r}, expected a class on mgm.masks.Mask; see docs/adding-a-mask.md")
    return kind


def _nearest(name: str, known: list[str]) -> str:
    match = get_close_matches(name, known, n=1)
    return f"; did you mean {match[0]!r}?" if match else ""
