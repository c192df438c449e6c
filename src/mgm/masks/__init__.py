"""From motion to a mask over the tokens of a clip. numpy, and loops compiled by numba; no torch."""

from mgm.masks.catalog import build_mask, make_mask, mask_names
from mgm.masks.grid import Grid
from mgm.masks.mask import Mask, TokenMask
from mgm.masks.motion import Motion, MotionLike, motion_energy
from mgm.masks.seeding import mask_rng
from mgm.masks.statistics import (
    Boxes,
    DrawStatistics,
    MaskStatistics,
    draw_statistics,
    mask_statistics,
    object_area,
    pool_statistics,
)

__all__ = [
    "Boxes",
    "DrawStatistics",
    "Grid",
    "Mask",
    "MaskStatistics",
    "Motion",
    "MotionLike",
    "TokenMask",
    "build_mask",
    "draw_statistics",
    "make_mask",
    "mask_names",
    "mask_rng",
    "mask_statistics",
    "motion_energy",
    "object_area",
    "pool_statistics",
]
