"""Contact sheets of clips, motion fields and masks, and the losses of a run: the pictures behind their `show()`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from mgm.errors import MaskError
from mgm.masks import TokenMask
from mgm.show.drawing.raster import draw_image
from mgm.show.figures import RgbFrames, colour_motion, colour_wheel, motion_scale, paint_mask, reconstruction
from mgm.show.filmstrip import PAPER, filmstrip
from mgm.show.font import label_font
from mgm.show.preview import Preview
from mgm.show.preview_sheet import draw_preview
from mgm.video import Clip, MotionField

_LABEL, _CURVE = (96, 100, 108), (38, 92, 168)

TOKEN_PIXELS = 16
"""Side of a token in the picture of a mask without its clip."""


def clip_sheet(clip: Clip, *, columns: int = 8) -> Image.Image:
    """Frames, and motion if the clip has any, at up to `columns` evenly spaced times."""
    rows = [("frames", clip.frames)]
    times = clip.pts_seconds - clip.pts_seconds[0]
    if clip.motion is None:
        return Image.fromarray(filmstrip(rows, columns=columns, times=times))
    size = (clip.frames.shape[1], clip.frames.shape[2])
    return _with_motion(rows, clip.motion, size, columns=columns, times=times)


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
        return Image.fromarray(filmstrip([("mask", paint_mask(ground, mask.masked))], columns=columns))
    if len(clip.frames) % steps:
        raise MaskError(
            "TokenMask.show",
            f"found a clip of {len(clip.frames)} frames",
            f"a multiple of the mask's {steps} steps",
            "give the clip that the mask was drawn for",
            reason="mismatch",
        )
    rows = [("frames", clip.frames), ("mask", paint_mask(clip.frames, mask.masked))]
    times = clip.pts_seconds - clip.pts_seconds[0]
    return Image.fromarray(filmstrip(rows, columns=columns, times=times))


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
        sheets.append(Image.fromarray(filmstrip(rows, columns=columns)))
    page = Image.new("RGB", (max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)), PAPER)
    top = 0
    for sheet in sheets:
        page.paste(sheet, (0, top))
        top += sheet.height
    return page


def losses_sheet(losses: Sequence[float], *, width: int = 640, height: int = 240) -> Image.Image:
    """The losses of a run over its steps, with the first and last step and the range as labels; non-finite ones are omitted."""
    sheet = Image.new("RGB", (width, height), PAPER)
    pen, font = ImageDraw.Draw(sheet), label_font(13)
    values = np.asarray(losses, np.float64)
    steps = np.flatnonzero(np.isfinite(values))
    if not len(steps):
        pen.text((width / 2, height / 2), "no finite loss", fill=_LABEL, font=font, anchor="mm")
        return sheet
    low, high = values[steps].min(), values[steps].max()
    left, top, right, bottom = 64, 16, width - 16, height - 32
    x = left + (right - left) * steps / max(len(values) - 1, 1)
    y = bottom - (bottom - top) * (values[steps] - low) / max(high - low, 1e-12)
    pen.line((left, top, left, bottom, right, bottom), fill=_LABEL)
    pen.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=_CURVE, width=2)
    pen.text((left - 6, top), f"{high:.4g}", fill=_LABEL, font=font, anchor="rm")
    pen.text((left - 6, bottom), f"{low:.4g}", fill=_LABEL, font=font, anchor="rm")
    pen.text((left, height - 8), "step 0", fill=_LABEL, font=font, anchor="lb")
    pen.text((right, height - 8), f"step {len(values) - 1:,}", fill=_LABEL, font=font, anchor="rb")
    return sheet


def _with_motion(
    rows: list[tuple[str, RgbFrames]],
    motion: MotionField,
    size: tuple[int, int],
    *,
    columns: int,
    times: npt.NDArray[np.float64] | None,
) -> Image.Image:
    """A contact sheet with a last row for the motion, and the colour wheel after it."""
    scale = motion_scale(motion.vectors)
    coloured = colour_motion(motion.vectors, extent=motion.extent, size=size, full_scale=scale)
    sheet = filmstrip(
        [*rows, ("motion", coloured)],
        columns=columns,
        times=times,
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
