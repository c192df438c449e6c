"""Contact sheets of clips, motion fields and masks, and the losses of a run: the pictures behind their `show()`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mgm.errors import ConfigError, MaskError
from mgm.masks import TokenMask
from mgm.notebook import Pictured
from mgm.show.chart import Panel, Series, draw_charts
from mgm.show.drawing.raster import draw_image
from mgm.show.figures import RgbFrames, colour_motion, colour_wheel, motion_scale, paint_mask, reconstruction
from mgm.show.filmstrip import PAPER, LabelledClip, filmstrip
from mgm.show.panels import clip_times
from mgm.show.preview import Preview
from mgm.show.preview_sheet import draw_preview
from mgm.video import Clip, MotionField

TOKEN_PIXELS = 16
"""Side of a token in the picture of a mask without its clip."""

_VEILED = "dark: hidden"
"""What `paint_mask` does to a frame."""


def show(value: Any, *masks: TokenMask, columns: int | None = None, **named: TokenMask) -> Image.Image:
    """A picture of a clip with its motion and any number of masks, or of any value that shows itself, or of a run.

        mgm.show(clip, mask)
        mgm.show(clip, mgm=mask, tube=other)

    Args:
        value: a `Clip`; or, without masks, anything with a picture (`MotionField`, `TokenMask`, `Preview`, `AttentionMap`,
            `TrainingResult`), or the folder of a run, whose losses are drawn.
        masks, named: drawn over the clip, a row each.
        columns: the most frames of a row; 8.

    Raises:
        ConfigError: `value` has no picture, or masks are given with something else than a clip.
        MaskError: the number of frames is not a multiple of a mask's steps.
    """
    over = {
        ("mask" if len(masks) == 1 else f"mask {number}"): mask for number, mask in enumerate(masks, start=1)
    } | named
    if isinstance(value, Clip):
        return _clip_rows(value, over, columns or 8)
    if not over and isinstance(value, str | Path):
        return _run_losses(Path(value))
    if over or not isinstance(value, Pictured):
        expected = "a clip and its masks" if over else "a clip, a motion field, a mask, or a value with `show()`"
        raise ConfigError("mgm.show", f"found {type(value).__name__}", expected, reason="invalid_type")
    options: dict[str, Any] = {} if columns is None else {"columns": columns}
    return value.show(**options)


def clip_sheet(clip: Clip, *, columns: int = 8) -> Image.Image:
    """Frames, and motion if the clip has any, at up to `columns` evenly spaced times."""
    return _clip_rows(clip, {}, columns)


def motion_sheet(motion: MotionField, *, columns: int = 8) -> Image.Image:
    """The field in colour at up to `columns` evenly spaced frames: hue is direction, strength is speed."""
    return _with_motion([], motion, motion.extent, columns=columns, times=None)


def mask_sheet(mask: TokenMask, clip: Clip | None = None, *, columns: int = 8) -> Image.Image:
    """Hidden tokens, veiled and outlined, over the frames of `clip`, or over an empty frame.

    Raises:
        MaskError: the number of frames is not a multiple of the mask's steps.
    """
    steps, height, width = mask.masked.shape
    if clip is None:
        ground = np.full((steps, height * TOKEN_PIXELS, width * TOKEN_PIXELS, 3), 255, np.uint8)
        return Image.fromarray(
            filmstrip([("mask", paint_mask(ground, mask.masked))], columns=columns, notes={"mask": _VEILED})
        )
    _check_steps(mask, clip)
    rows = [("frames", clip.frames), ("mask", paint_mask(clip.frames, mask.masked))]
    times = clip_times(clip.pts_seconds)
    return Image.fromarray(filmstrip(rows, columns=columns, times=times, notes={"mask": _VEILED}))


def preview_sheet(shown: Preview, *, columns: int = 8) -> Image.Image:
    """The sheet of a preview; see `draw_preview`."""
    return draw_image(draw_preview(shown, columns=columns))


ExampleClip = tuple[RgbFrames, npt.NDArray[np.float32] | None, npt.NDArray[np.bool_], RgbFrames]
"""Frames uint8 (T, H, W, 3), motion (T, h, w, 2) in pixels per patch if known, hidden tokens bool (t, h, w), reconstruction."""


def examples_sheet(clips: Sequence[ExampleClip], *, columns: int = 8) -> Image.Image:
    """Clips below each other, each with its motion, its mask, the encoder's input and the reconstruction."""
    sheets = []
    for frames, motion, masked, predicted in clips:
        original, seen, made = reconstruction(frames, predicted, masked)
        rows = [original]
        if motion is not None:
            patch = frames.shape[1] // motion.shape[1]
            rows.append(("motion", colour_motion(motion, extent=frames.shape[1:3], cell=patch)))
        rows += [("mask", paint_mask(frames, masked)), seen, made]
        sheets.append(Image.fromarray(filmstrip(rows, columns=columns, notes={"mask": _VEILED})))
    page = Image.new("RGB", (max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)), PAPER)
    top = 0
    for sheet in sheets:
        page.paste(sheet, (0, top))
        top += sheet.height
    return page


def losses_sheet(losses: Sequence[float], *, x_label: str = "step", xs: Sequence[float] | None = None) -> Image.Image:
    """The losses of a run over its steps; non-finite ones are omitted. xs: default 0, 1, 2, ..."""
    places = range(len(losses)) if xs is None else xs
    points = tuple((float(x), loss) for x, loss in zip(places, losses, strict=True) if math.isfinite(loss))
    title = f"Loss: {points[0][1]:.4g} to {points[-1][1]:.4g}" if points else "Loss: no finite value"
    panel = Panel("", x_label, "loss", (Series("", points or ((0.0, 0.0),), 0, mark=None),))
    return draw_image(draw_charts([panel], title=title, size=(560, 200)))


def _clip_rows(clip: Clip, masks: Mapping[str, TokenMask], columns: int) -> Image.Image:
    """Frames, motion if there is any, and a row for each mask."""
    for mask in masks.values():
        _check_steps(mask, clip)
    size = (clip.frames.shape[1], clip.frames.shape[2])
    below = [(name, paint_mask(clip.frames, mask.masked)) for name, mask in masks.items()]
    times = clip_times(clip.pts_seconds)
    if clip.motion is None:
        notes = dict.fromkeys(masks, _VEILED)
        return Image.fromarray(filmstrip([("frames", clip.frames), *below], columns=columns, times=times, notes=notes))
    return _with_motion([("frames", clip.frames)], clip.motion, size, below=below, columns=columns, times=times)


def _check_steps(mask: TokenMask, clip: Clip) -> None:
    """Raise MaskError unless the mask fits the clip."""
    steps = len(mask.masked)
    if len(clip.frames) % steps:
        raise MaskError(
            "TokenMask.show",
            f"found a clip of {len(clip.frames)} frames",
            f"a multiple of the mask's {steps} steps",
            "give the clip that the mask was drawn for",
            reason="mismatch",
        )


def _run_losses(folder: Path) -> Image.Image:
    from mgm.show.curves import read_run  # needs the packages for training

    run = read_run(folder)
    losses = [math.nan if loss is None else loss for loss in run.values["loss"]]
    return losses_sheet(losses, x_label="clips seen", xs=run.clips)


def _with_motion(
    rows: list[tuple[str, RgbFrames]],
    motion: MotionField,
    size: tuple[int, int],
    *,
    below: Sequence[LabelledClip] = (),
    columns: int,
    times: npt.NDArray[np.float64] | None,
) -> Image.Image:
    """A contact sheet with a row for the motion, and the colour wheel after it."""
    scale = motion_scale(motion.vectors)
    coloured = colour_motion(motion.vectors, extent=motion.extent, size=size, full_scale=scale)
    sheet = filmstrip(
        [*rows, ("motion", coloured), *below],
        columns=columns,
        times=times,
        notes={name: _VEILED for name, _ in below},
        ends={"motion": _wheel(size)},
        end_name=f"rim: {scale:.1f} px per step",
    )
    return Image.fromarray(sheet)


def _wheel(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The colour wheel in the middle of a picture of `size`, (height, width), on paper."""
    side = min(size)
    ground = Image.new("RGB", (size[1], size[0]), PAPER)
    wheel = Image.fromarray(colour_wheel(side))
    ground.paste(wheel, ((size[1] - side) // 2, (size[0] - side) // 2), wheel)
    return np.asarray(ground)
