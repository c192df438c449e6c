"""Clips as pictures that fit a page or a file: contact sheets, strips for the report, animations."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from mgm.show.figures import RgbFrames, colour_wheel
from mgm.show.font import label_font
from mgm.show.report.elements import Animation, Legend, Strip, StripRow
from mgm.show.style import LABEL, SMALL, THEMES

LabelledClip = tuple[str, RgbFrames]

_MARGIN = 14
_GAP = 4
_WEBP_QUALITY = 84
PAPER, _INK, _FAINT_INK = THEMES["light"].ground, THEMES["light"].ink, THEMES["light"].faint


def encode_image(image: npt.NDArray[np.uint8], *, form: Literal["png", "webp"] = "png") -> bytes:
    """uint8 (H, W, 3) or (H, W, 4) as PNG, or as WebP, about a tenth of the size."""
    buffer = BytesIO()
    if form == "png":
        Image.fromarray(image).save(buffer, "PNG")
    else:
        Image.fromarray(image).save(buffer, "WEBP", quality=_WEBP_QUALITY, method=4)
    return buffer.getvalue()


def pick_moments(length: int, columns: int) -> npt.NDArray[np.intp]:
    """At most `columns` frames of `length`, evenly spread, first and last included: ascending indices (n,)."""
    return np.unique(np.linspace(0, length - 1, min(columns, length)).round().astype(np.intp))


def filmstrip(
    rows: Sequence[LabelledClip],
    *,
    columns: int = 8,
    times: npt.NDArray[np.floating] | None = None,
    cell_height: int = 112,
    notes: Mapping[str, str] | None = None,
    ends: Mapping[str, npt.NDArray[np.uint8]] | None = None,
    end_name: str = "",
) -> npt.NDArray[np.uint8]:
    """A contact sheet with painted labels, for a file of its own: one row per clip, time from left to right.

    Args:
        rows: (label, uint8 (T, H, W, 3)), all of one T; each frame is resized to the first row's aspect.
        columns: the number of frames shown, evenly spread.
        times: seconds (T,), written under the columns.
        cell_height: pixels.
        notes: label of a row -> words in small letters below it.
        ends: a picture uint8 (h, w, 3) after the last frame of a row, without smoothing; `end_name` is written under them.

    Returns:
        uint8 (H, W, 3), ready for `encode_image`.

    Raises:
        ValueError: there are no rows, or their lengths differ.
    """
    notes, ends = notes or {}, ends or {}
    moments, cell_width = _layout(rows, columns, cell_height)
    names = _moment_names(times, moments, len(rows[0][1]))
    font, small = label_font(LABEL), label_font(SMALL)
    words = [font.getlength(label) for label, _ in rows] + [small.getlength(note) for note in notes.values()]
    left = _MARGIN * 2 + round(max(words))
    foot = 22 if names or ends else 0
    width = left + len(moments) * (cell_width + _GAP) - _GAP + _MARGIN + bool(ends) * (cell_width + 3 * _GAP)
    height = _MARGIN * 2 + len(rows) * (cell_height + _GAP) - _GAP + foot
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, (label, clip) in enumerate(rows):
        top = _MARGIN + i * (cell_height + _GAP)
        pen.text((_MARGIN, top + cell_height / 2), label, fill=_INK, font=font, anchor="lm")
        if label in notes:
            pen.text((_MARGIN, top + cell_height / 2 + 12), notes[label], fill=_FAINT_INK, font=small, anchor="lt")
        for j, frame in enumerate(_resized(clip[moments], cell_width, cell_height)):
            sheet.paste(frame, (left + j * (cell_width + _GAP), top))
        if label in ends:
            end = Image.fromarray(ends[label]).resize((cell_width, cell_height), Image.Resampling.NEAREST)
            sheet.paste(end, (width - _MARGIN - cell_width, top))
            below = (width - _MARGIN - cell_width / 2, top + cell_height + 6)
            pen.text(below, end_name, fill=_FAINT_INK, font=small, anchor="mt")
    for j, name in enumerate(names):
        centre = left + j * (cell_width + _GAP) + cell_width / 2
        pen.text((centre, height - _MARGIN), name, fill=_FAINT_INK, font=small, anchor="mb")
    return np.asarray(sheet)


def strip(
    rows: Sequence[LabelledClip],
    *,
    columns: int = 8,
    times: npt.NDArray[np.floating] | None = None,
    cell_height: int = 120,
    caption: str = "",
    legend: Legend | None = None,
) -> Strip:
    """A contact sheet for the report, with labels and times as text: readable on a phone and in either theme.

    Arguments and errors as for `filmstrip`. The gaps between frames are transparent.
    """
    moments, cell_width = _layout(rows, columns, cell_height)
    made = []
    for label, clip in rows:
        row = Image.new("RGBA", (len(moments) * (cell_width + _GAP) - _GAP, cell_height))
        for j, frame in enumerate(_resized(clip[moments], cell_width, cell_height)):
            row.paste(frame, (j * (cell_width + _GAP), 0))
        alt = f"{label}: {len(moments)} frames of the clip, time running left to right"
        made.append(StripRow(label=label, image=encode_image(np.asarray(row), form="webp"), alt=alt))
    names = _moment_names(times, moments, len(rows[0][1]))
    return Strip(rows=tuple(made), moments=names, caption=caption, legend=legend)


def animate(
    panels: Sequence[LabelledClip],
    *,
    alt: str,
    fps: float = 8.0,
    height: int = 240,
    limit: int = 400_000,
    caption: str = "",
    legend: Legend | None = None,
) -> Animation:
    """Clips that move side by side, as an animated WebP that loops and pauses on its last frame.

    Args:
        panels: (label, uint8 (T, H, W, 3)), all of one T.
        fps: frames shown a second.
        height: of a panel, pixels.
        limit: largest size in bytes; quality, then height, are reduced until it fits.

    Raises:
        ValueError: as `filmstrip`.
    """
    _layout(panels, 1, height)
    while True:
        frames = _side_by_side(panels, height)
        for quality in (82, 70, 55, 40):
            moving = _encode_animation(frames, fps=fps, quality=quality)
            if len(moving) <= limit or (height <= 64 and quality == 40):
                still = encode_image(np.asarray(frames[len(frames) // 2]), form="webp")
                labels = tuple(label for label, _ in panels)
                return Animation(image=moving, still=still, panels=labels, alt=alt, caption=caption, legend=legend)
        height = height * 3 // 4


def motion_legend(full_scale: float) -> Legend:
    """The colour wheel and its words. full_scale: the magnitude at full strength, see `motion_scale`."""
    words = (
        f"Colour is direction, brightness is speed; the rim of the wheel is {full_scale:.1f} px a step or more. "
        "Cells without a vector show the one filled in."
    )
    return Legend(image=encode_image(colour_wheel(96)), text=words)


def _layout(rows: Sequence[LabelledClip], columns: int, cell_height: int) -> tuple[npt.NDArray[np.intp], int]:
    if not rows:
        raise ValueError("no rows to show; give at least one (label, frames)")
    lengths = {label: len(clip) for label, clip in rows}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"the rows have {lengths} frames; give clips of one length, at least one frame each")
    _, height, width, _ = rows[0][1].shape
    return pick_moments(len(rows[0][1]), columns), max(1, round(width * cell_height / height))


def _resized(frames: RgbFrames, width: int, height: int) -> list[Image.Image]:
    return [Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS) for frame in frames]


def _side_by_side(panels: Sequence[LabelledClip], height: int) -> list[Image.Image]:
    _, width = _layout(panels, 1, height)
    gap = 2 * _GAP
    frames = [Image.new("RGBA", (len(panels) * (width + gap) - gap, height)) for _ in panels[0][1]]
    for j, (_, clip) in enumerate(panels):
        for whole, frame in zip(frames, _resized(clip, width, height), strict=True):
            whole.paste(frame, (j * (width + gap), 0))
    return frames


def _encode_animation(frames: list[Image.Image], *, fps: float, quality: int) -> bytes:
    step = round(1000 / fps)
    durations = [step] * (len(frames) - 1) + [step + 500]
    buffer = BytesIO()
    first, *rest = frames
    first.save(buffer, "WEBP", save_all=True, append_images=rest, duration=durations, loop=0, quality=quality, method=3)
    return buffer.getvalue()


def _moment_names(
    times: npt.NDArray[np.floating] | None, moments: npt.NDArray[np.intp], length: int
) -> tuple[str, ...]:
    if times is None:
        return ()
    if len(times) != length:
        raise ValueError(f"{len(times)} times given for clips of {length} frames; give the seconds of each frame")
    return tuple(f"{float(t):.2f} s" for t in times[moments])
