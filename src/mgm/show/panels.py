"""Clips side by side as a video or an animated GIF: panels that move together, each with its name and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from mgm.files.atomic import atomic_write
from mgm.show.figures import RgbFrames
from mgm.show.font import label_font
from mgm.show.style import THEMES
from mgm.video.transcode.write import write_video

MOVING = (".mp4", ".gif")
"""Suffixes of `write_panels`."""

_GAP = 8
_LINE = 17
_DARK = THEMES["dark"]  # as players are
_RATE, _SLOWEST, _FASTEST = 8.0, 1.0, 100.0
_SIDE = 224


def panels(
    clips: Sequence[tuple[str, RgbFrames]], *, notes: Mapping[str, Sequence[str]] | None = None
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield frames uint8 (H, W, 3) of even sides, each with all clips, in rows from the upper left; up to four share one row.

    Args:
        clips: (name, uint8 (T, h, w, 3)), all of one T; they are shown 224 pixels high.
        notes: lines in small print under a name.
    """
    notes = notes or {}
    columns = len(clips) if len(clips) <= 4 else math.ceil(math.sqrt(len(clips)))
    _, height, width, _ = clips[0][1].shape
    wide = round(_SIDE * width / height)
    foot = 6 + _LINE * (1 + max((len(lines) for lines in notes.values()), default=0))
    size = (
        columns * (wide + _GAP) + _GAP,
        math.ceil(len(clips) / columns) * (_SIDE + foot + _GAP) + _GAP,
    )
    ground = Image.new("RGB", (size[0] + size[0] % 2, size[1] + size[1] % 2), _DARK.ground)
    pen = ImageDraw.Draw(ground)
    corners = [
        (_GAP + k % columns * (wide + _GAP), _GAP + k // columns * (_SIDE + foot + _GAP)) for k in range(len(clips))
    ]
    for (x, y), (name, _) in zip(corners, clips, strict=True):
        pen.text((x, y + _SIDE + 4 + _LINE / 2), name, fill=_DARK.ink, font=label_font(14), anchor="lm")
        for number, line in enumerate(notes.get(name, ()), start=1):
            place = (x, y + _SIDE + 4 + (number + 0.5) * _LINE)
            pen.text(place, line, fill=_DARK.faint, font=label_font(11), anchor="lm")
    for t in range(len(clips[0][1])):
        frame = ground.copy()
        for corner, (_, clip) in zip(corners, clips, strict=True):
            frame.paste(Image.fromarray(clip[t]).resize((wide, _SIDE), Image.Resampling.LANCZOS), corner)
        yield np.asarray(frame)


def write_panels(
    path: str | Path,
    clips: Sequence[tuple[str, RgbFrames]],
    *,
    fps: float,
    notes: Mapping[str, Sequence[str]] | None = None,
    rounds: int = 1,
) -> None:
    """Write `panels` as an .mp4 (H.264) of `fps` frames a second, the whole `rounds` times over; or as a .gif, which loops.

    Raises:
        FileError: the file cannot be written.
        DataError: the frames cannot be encoded.
    """
    frames = list(panels(clips, notes=notes))
    if Path(path).suffix.lower() == ".gif":
        first, *rest = (Image.fromarray(frame).quantize(128) for frame in frames)
        with atomic_write(Path(path)) as file:
            first.save(file, "GIF", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)
        return
    write_video(
        path, (frame for _ in range(rounds) for frame in frames), fps=fps, options={"crf": 24, "preset": "veryfast"}
    )


def clip_times(pts_seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Seconds of each frame from the first one, float64 (T,); None without presentation times."""
    times: npt.NDArray[np.float64] = pts_seconds - pts_seconds[0]
    return times if np.isfinite(times).all() else None


def clip_rate(pts_seconds: npt.NDArray[np.float64]) -> float:
    """Frames per second at which a clip moves as its video does, but 1 to 100 so that it can be watched; 8 without presentation
    times. A gap of the clip, or of a camera that records when something moves, does not count."""
    steps = np.diff(pts_seconds)
    steps = steps[steps > 0]  # a short video repeats its last frame
    return watchable_rate(1 / float(np.median(steps))) if len(steps) else _RATE


def watchable_rate(rate: float | Fraction) -> float:
    """The nearest of the rates at which a picture that moves can be watched, in frames per second."""
    return min(max(float(rate), _SLOWEST), _FASTEST)
