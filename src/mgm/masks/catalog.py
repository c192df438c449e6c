"""All masks by name. A new one is a class in a file of this folder and one line here; docs/adding-a-mask.md lists the steps."""

from dataclasses import fields
from importlib import import_module

import numpy as np

from mgm.errors import MaskError, did_you_mean
from mgm.masks.advected import AdvectedTokens, WarpedVisible
from mgm.masks.block import BlockMask
from mgm.masks.blockwise import BeitBlocks, CubeMask
from mgm.masks.cell_motion import MotionInput
from mgm.masks.grid import Grid
from mgm.masks.mask import Mask, TokenMask
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
    "cube": CubeMask,
    "beit-block": BeitBlocks,
}


def list_masks() -> tuple[str, ...]:
    """Names for `make_mask` and `build_mask`, in the order of the catalog."""
    return tuple(MASKS)


def build_mask(name: str | Mask, **options: object) -> Mask:
    """Build a mask once, to draw from it often.

    Args:
        name: one of `list_masks()`; or `package.module:Class` for a mask of your own; or a mask, which is returned unchanged.
        options: fields of its class; omitted ones keep their defaults.

    Raises:
        MaskError: unknown name or option, or an invalid value of an option.
    """
    if isinstance(name, Mask):
        if options:
            raise MaskError(
                name.name,
                f"found a built mask together with the options {', '.join(options)}",
                "a name with options",
                "pass them to the mask's class",
                reason="conflict",
            )
        return name
    kind = _import_mask(name) if ":" in name else MASKS.get(name)
    if kind is None:
        raise MaskError(
            name,
            "not the name of a mask",
            f"one of {', '.join(MASKS)}",
            did_you_mean(name, MASKS),
            reason="unknown_name",
        )
    known = [field.name for field in fields(kind)]
    for option in options:
        if option not in known:
            raise MaskError(
                name,
                f"found unknown option {option!r}",
                ", ".join(known) or "no options",
                did_you_mean(option, known) or "leave it out",
                reason="unknown_name",
            )
    return kind(**options)


def make_mask(
    name: str | Mask,
    *,
    grid: Grid,
    ratio: float,
    motion: MotionInput | None = None,
    rng: np.random.Generator,
    **options: object,
) -> TokenMask:
    """Draw one mask by name: `build_mask(name, **options).draw(grid, ratio, motion, rng)`.

    Args:
        name: one of `list_masks()`, or another value that `build_mask` accepts.
        grid: tokens (t, h, w); (8, 14, 14) for 16 frames of 224 x 224 in tubelets of 2 x 16 x 16.
        ratio: share of tokens to hide, in (0, 1); see `Mask.count`.
        motion: a motion field or an array (T, gh, gw, 2) in pixels per sampling step, T a multiple of t; None for a
            clip without motion: guided masks then use a random centre and set `fallback`.
        rng: the only source of randomness; `mask_rng` makes one for a sample of a run.
        options: see `build_mask`.

    Raises:
        MaskError: unknown name or option; an invalid grid, ratio, motion or rng.
    """
    mask = build_mask(name, **options)
    if not isinstance(rng, np.random.Generator):  # a seed, a RandomState or the global `np.random`
        raise MaskError(
            mask.name,
            f"found rng of type {type(rng).__name__}",
            "numpy.random.Generator",
            "pass np.random.default_rng(seed) or mask_rng(...)",
            reason="invalid_type",
        )
    return mask.draw(grid, ratio, motion, rng)


def _import_mask(path: str) -> type[Mask]:
    """Import `package.module:Class`, a mask from another package."""
    module, _, attribute = path.partition(":")
    try:
        kind = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise MaskError(
            path,
            f"cannot be imported ({error})",
            "package.module:Class",
            "install the package, or put its folder on PYTHONPATH",
            reason="not_found",
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Mask)):
        raise MaskError(
            path,
            f"found {kind!r}",
            "a subclass of mgm.masks.Mask",
            "see docs/adding-a-mask.md",
            reason="invalid_type",
        )
    return kind
