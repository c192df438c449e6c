"""Frames, motion and masks in the form that the page draws: strips of pictures, packed bits, and numbers."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mgm.explore.request import MaskRequest
from mgm.masks import TokenMask, draw_statistics, mask_rng, mask_statistics
from mgm.show.figures import RgbFrames, colour_motion, colour_wheel, motion_scale
from mgm.show.style import EDGE, HIDDEN, HOT, QUERY, VEIL
from mgm.video import Clip, MotionField
from mgm.video.motion.field import CELL_PIXELS

DRAWS = 50
"""Masks of the statistics over draws."""

_QUALITY = 90


def describe_clip(clip: Clip, grid: tuple[int, int, int]) -> dict[str, Any]:
    """A clip for the page: its frames below each other in one JPEG, its motion in one PNG of a pixel per cell, and times."""
    times = clip.pts_seconds - clip.pts_seconds[0]
    return {
        "frames": jpeg(stack_frames(clip.frames)),
        "size": clip.frames.shape[1],
        "count": len(clip.frames),
        "grid": list(grid),
        "indices": clip.frame_indices.tolist(),
        "begin": json_number(clip.pts_seconds[0]),
        "times": [json_number(time) for time in times],
        "motion": None if clip.motion is None else _describe_motion(clip.motion, grid),
    }


def describe_mask(
    clip: Clip, grid: tuple[int, int, int], asked: MaskRequest, *, seed: int, start: int
) -> dict[str, Any]:
    """A mask for the page: its hidden tokens as bits, row-major, and its statistics. The draw is that of `mgm preview`.

    Raises:
        MaskError: ratio and grid leave nothing hidden or visible, or the motion cannot be used.
    """
    (drawn,) = _draw(clip, grid, asked, seed=seed, start=start, draws=1)
    one = mask_statistics(drawn, motion=clip.motion)
    return {
        "bits": pack_bits(drawn),
        "hidden": drawn.masked.sum(axis=(1, 2)).tolist(),
        "tokens": grid[1] * grid[2],
        "ratio": one.ratio,
        "motion_share": one.motion_share,
        "step_iou": one.step_iou,
        "fallback": drawn.fallback.tolist(),
    }


def describe_draws(
    clip: Clip, grid: tuple[int, int, int], asked: MaskRequest, *, seed: int, start: int
) -> dict[str, Any]:
    """Statistics over `DRAWS` masks; the first is the mask of `describe_mask`. They take longer than drawing one mask.

    Raises:
        MaskError: as `describe_mask`.
    """
    found = draw_statistics(_draw(clip, grid, asked, seed=seed, start=start, draws=DRAWS), motion=clip.motion)
    return {
        "draws": found.draws,
        "motion_share": found.motion_share,
        "overlap": found.overlap,
        "never_visible": found.never_visible,
        "least_visible": found.least_visible,
        "fallback_share": found.fallback_share,
        "visibility": np.round(found.visibility.mean(axis=0), 3).tolist(),
    }


def _draw(
    clip: Clip, grid: tuple[int, int, int], asked: MaskRequest, *, seed: int, start: int, draws: int
) -> list[TokenMask]:
    motion = clip.motion if asked.rule.uses_motion else None
    return [asked.rule.draw(grid, asked.ratio, motion, mask_rng(seed, draw, start, 0)) for draw in range(draws)]


def _describe_motion(motion: MotionField, grid: tuple[int, int, int]) -> dict[str, Any]:
    _, rows, columns = motion.valid.shape
    cells = (rows * CELL_PIXELS, columns * CELL_PIXELS)
    scale = motion_scale(motion.vectors)
    coloured = colour_motion(motion.vectors, extent=cells, size=(rows, columns), full_scale=scale)
    return {
        "picture": png(stack_frames(coloured)),
        "cells": [rows, columns],
        "shown": [motion.extent[0] / CELL_PIXELS, motion.extent[1] / CELL_PIXELS],
        "scale": json_number(scale),
        "unit": "grey levels" if motion.source == "difference" else "px per step",
        "directed": motion.source != "difference",
        "source": motion.source,
        "measured": float(motion.valid.mean()),
        "mean": json_number(motion.magnitude.mean()),
        "p99": json_number(np.percentile(motion.magnitude, 99)),
        "extent": list(motion.extent),
        "arrows": _arrows(motion, grid),
    }


def _arrows(motion: MotionField, grid: tuple[int, int, int]) -> list[float]:
    """The vector in the middle of each token, flat (T, h, w, 2), as shares of the region's sides."""
    height, width = motion.extent
    rows = ((np.arange(grid[1]) + 0.5) / grid[1] * height / CELL_PIXELS).astype(np.intp)
    columns = ((np.arange(grid[2]) + 0.5) / grid[2] * width / CELL_PIXELS).astype(np.intp)
    chosen = motion.vectors[:, rows][:, :, columns].astype(np.float64) / np.array([width, height])
    return [float(share) for share in np.round(chosen, 4).ravel()]


def colours() -> dict[str, Any]:
    """The colours of masks and of attention and the wheel of directions, the same as in all figures."""
    shown = {"veil": VEIL, "edge": EDGE, "hidden": HIDDEN, "hot": HOT, "query": QUERY}
    return shown | {"wheel": png(colour_wheel(96))}


def stack_frames(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Frames (T, H, W, 3) below each other, (T * H, W, 3)."""
    return frames.reshape(-1, *frames.shape[2:])


def pack_bits(mask: TokenMask) -> str:
    """The hidden tokens, row-major (t, h, w), eight to a byte from the highest bit on, in base64."""
    return base64.b64encode(np.packbits(mask.flat).tobytes()).decode()


def jpeg(picture: RgbFrames) -> str:
    """A picture as a data URL of JPEG."""
    return _data_url(picture, "jpeg", quality=_QUALITY, subsampling=0)


def png(picture: RgbFrames) -> str:
    """A picture as a data URL of PNG."""
    return _data_url(picture, "png", compress_level=1)


def json_number(value: float | np.floating[Any], digits: int = 4) -> float | None:
    """A number for JSON; None if it is not finite."""
    return round(float(value), digits) if np.isfinite(value) else None


def _data_url(picture: RgbFrames, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
