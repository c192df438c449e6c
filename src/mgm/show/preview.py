"""Previews of masks before training: frames, motion and masks side by side, with statistics."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from mgm.data.annotations import VideoItem, load_items
from mgm.data.boxes import read_boxes
from mgm.data.clips.images import probe_any, read_any
from mgm.data.clips.transform import Geometry
from mgm.data.items import evenly_spaced
from mgm.errors import ConfigError, DataError, VideoError
from mgm.files.atomic import atomic_write, cannot_write
from mgm.masks import (
    DrawStatistics,
    MaskStatistics,
    TokenMask,
    build_mask,
    draw_statistics,
    mask_rng,
    mask_statistics,
    pool_statistics,
)
from mgm.notebook import Pictured
from mgm.printable import table_cell
from mgm.show.figures import RgbFrames, colour_motion, motion_scale, paint_mask, paint_visibility
from mgm.show.filmstrip import encode_image, filmstrip, strip
from mgm.show.panels import write_panels
from mgm.show.report.elements import Legend, Strip
from mgm.video import MotionField
from mgm.video.clip.options import MotionName
from mgm.video.clip.reader import Clip
from mgm.video.clip.rgb import upright_region
from mgm.video.motion.camera import CameraModel
from mgm.video.motion.field import Policy, Reading


@dataclass(frozen=True, slots=True)
class PreviewSettings:
    """Clips, masks and draws of a preview.

    Attributes:
        frames, stride, size: as for `mgm.read_clip`.
        patch, tubelet: pixels and frames of a token.
        ratio: share of hidden tokens.
        masks: names of the masks to show.
        options: options of each mask by name.
        motion: "auto", "codec", "flow", "difference", or None to read frames only; see `mgm.read_clip`.
        policy, camera, reading: of the motion, as for `mgm.read_clip`.
        seed: of the masks.
        draws: number of masks of each kind in the statistics over draws; the pictures show the first.
    """

    frames: int = 16
    stride: int = 4
    size: int = 224
    patch: int = 16
    tubelet: int = 2
    ratio: float = 0.75
    masks: tuple[str, ...] = ("mgm",)
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    motion: MotionName | None = "auto"
    policy: Policy = "window_sum"
    camera: CameraModel = "none"
    reading: Reading = "clean"
    seed: int = 0
    draws: int = 100

    @property
    def grid(self) -> tuple[int, int, int]:
        """(t, h, w) tokens; ConfigError if the clip does not divide into tokens."""
        if self.size % self.patch or self.frames % self.tubelet:
            raise ConfigError(
                "preview",
                f"{self.frames} frames of {self.size} pixels do not divide into tokens of {self.tubelet} x {self.patch} x "
                f"{self.patch}",
                advice="choose --size as a multiple of --patch and --frames as one of --tubelet",
                reason="mismatch",
            )
        return self.frames // self.tubelet, self.size // self.patch, self.size // self.patch


@dataclass(frozen=True, slots=True, eq=False)
class Preview(Pictured):
    """One clip with its masks.

    Attributes:
        clip: the clip as read.
        masks, statistics, draws: by name of the mask: the one shown, its statistics, and those over many draws.
        boxes: true boxes per frame in pixels of `clip.frames`; None without a file of boxes.
    """

    clip: Clip
    masks: dict[str, TokenMask]
    statistics: dict[str, MaskStatistics]
    draws: dict[str, DrawStatistics]
    boxes: list[npt.NDArray[np.float64]] | None

    def show(self, *, columns: int = 8) -> Image.Image:
        """The contact sheet as a `PIL.Image.Image`."""
        return Image.fromarray(self.picture(columns=columns))

    def __repr__(self) -> str:
        return f"Preview({self.clip!r}, masks {', '.join(self.masks)})"

    @property
    def full_scale(self) -> float:
        """Pixels per step shown at full colour."""
        return 1.0 if self.clip.motion is None else motion_scale(self.clip.motion.vectors)

    def rows(self) -> list[tuple[str, RgbFrames]]:
        """Labelled clips: frames, motion, one per mask."""
        frames = self.clip.frames
        rows = [("frames", frames)]
        if self.clip.motion is not None:
            rows.append(("motion", motion_picture(self.clip.motion, frames.shape[1:3], full_scale=self.full_scale)))
        rows += [(name, paint_mask(frames, mask.masked, boxes=self.boxes)) for name, mask in self.masks.items()]
        return rows

    def picture(self, *, columns: int = 8, cell_height: int = 112) -> npt.NDArray[np.uint8]:
        """A contact sheet uint8 (H, W, 3); see `filmstrip`."""
        return filmstrip(
            self.rows(),
            columns=columns,
            times=self.clip.pts_seconds - self.clip.pts_seconds[0],
            notes=self.notes(),
            ends={name: paint_visibility(s.visibility.mean(axis=0)) for name, s in self.draws.items()},
            end_name="visibility",
            cell_height=cell_height,
        )

    def notes(self) -> dict[str, tuple[str, ...]]:
        """The statistics over draws of each mask, in short lines."""
        return {name: _notes(found) for name, found in self.draws.items()}

    def strip(self, *, caption: str = "", legend: Legend | None = None, columns: int = 8) -> Strip:
        """The same for a report."""
        times = self.clip.pts_seconds - self.clip.pts_seconds[0]
        return strip(self.rows(), columns=columns, times=times, caption=caption, legend=legend)

    def write_video(self, path: str | Path, *, rounds: int = 3) -> None:
        """Write the rows as moving panels side by side, at the speed of the clip, `rounds` times; see `write_panels`."""
        pts = self.clip.pts_seconds
        seconds = float(pts[-1] - pts[0])
        fps = (len(pts) - 1) / seconds if seconds > 0 else 8.0
        write_panels(path, self.rows(), fps=fps, notes=self.notes(), rounds=rounds)


def motion_picture(motion: MotionField, size: tuple[int, int], *, full_scale: float | None = None) -> RgbFrames:
    """The field in colour; cells without a measured vector show the one filled in."""
    return colour_motion(motion.vectors, extent=motion.extent, size=size, full_scale=full_scale)


def preview_clip(
    path: str | Path,
    *,
    start: int | None = None,
    settings: PreviewSettings,
    boxes: str | Path | None = None,
) -> Preview:
    """Read one clip and draw its masks; `start=None` takes the middle of the video. `boxes`: see `preview`.

    Raises:
        VideoError: the video cannot be read.
        DataError, MaskError: its boxes cannot be read, or the masks do not fit it.
    """
    grid = settings.grid
    info = probe_any(str(path))
    if start is None:
        start = max(info.frames - ((settings.frames - 1) * settings.stride + 1), 0) // 2
    clip = read_any(
        str(path),
        start=start,
        frames=settings.frames,
        stride=settings.stride,
        size=settings.size,
        motion=settings.motion,
        policy=settings.policy,
        camera=settings.camera,
        reading=settings.reading,
    )
    shown = true_boxes(path, clip.frame_indices.tolist(), settings.size, file=boxes)
    extent = (float(settings.size), float(settings.size))
    masks: dict[str, TokenMask] = {}
    statistics: dict[str, MaskStatistics] = {}
    draws: dict[str, DrawStatistics] = {}
    for name in settings.masks:
        rule = build_mask(name, **dict(settings.options.get(name, {})))
        motion = clip.motion if rule.uses_motion else None
        drawn = [
            rule.draw(grid, settings.ratio, motion, mask_rng(settings.seed, epoch, start, 0))
            for epoch in range(settings.draws)
        ]
        masks[name] = drawn[0]
        statistics[name] = mask_statistics(drawn[0], motion=clip.motion, boxes=shown, extent=extent)
        draws[name] = draw_statistics(drawn, motion=clip.motion, boxes=shown, extent=extent)
    return Preview(clip, masks, statistics, draws, shown)


def true_boxes(
    path: str | Path, frames: Sequence[int], size: int, *, file: str | Path | None = None
) -> list[npt.NDArray[np.float64]] | None:
    """The true boxes of a video's frames in the pixels of its clip of `size` x `size`: per frame (n, 4), see `read_boxes`."""
    truth = read_boxes(path, file=file)
    if truth is None:
        return None
    info = probe_any(str(path))
    box = upright_region(info.height, info.width, size, "centre")
    geometry = Geometry((info.height, info.width), box, (size, size))
    none = np.empty((0, 4), np.float32)  # the file of boxes ends at the last frame with a box
    return [geometry.boxes((truth[i] if i < len(truth) else none).astype(np.float64)) for i in frames]


def _notes(found: DrawStatistics) -> tuple[str, ...]:
    places = found.visibility[0].size
    hidden = [f"hidden {found.ratio:.0%}"]
    hidden += [f"motion {found.motion_share:.0%}"] if found.motion_share is not None else []
    objects = [f"object {found.object_share:.0%}"] if found.object_share is not None else []
    overlap = [f"IoU of steps {found.step_iou:.2f}"] if found.step_iou is not None else []
    overlap += [f"of draws {found.overlap:.2f}"] if found.overlap is not None else []
    never = [f"never visible {found.never_visible} of {places}"]
    never += [f"fallback {found.fallback_share:.0%}"] if found.fallback_share else []
    return tuple(", ".join(words) for words in (hidden + objects, overlap, never) if words)


class WrittenPreview(NamedTuple):
    """A preview and the path of its picture."""

    preview: Preview
    picture: Path


@dataclass(frozen=True, slots=True)
class PreviewReport:
    """Previews of the videos of a set.

    Attributes:
        written: the previews with their pictures.
        failed: errors of videos that could not be read.
        statistics: path of the table, one row per clip and mask; None without previews.
    """

    written: tuple[WrittenPreview, ...]
    failed: tuple[VideoError, ...]
    statistics: Path | None

    def __repr__(self) -> str:
        return f"PreviewReport({len(self.written)} previews, {len(self.failed)} unreadable videos, {self.statistics})"

    def to_dict(self) -> dict[str, Any]:
        """For programs: the pictures, the pooled statistics of each mask, and the errors."""
        return {
            "pictures": [picture for _, picture in self.written],
            "masks": self.pooled(),
            "statistics": self.statistics,
            "failed": [error.line for error in self.failed],
        }

    def pooled(self) -> dict[str, DrawStatistics]:
        """Statistics over all clips by name of the mask."""
        names = self.written[0].preview.draws if self.written else ()
        return {name: pool_statistics([one.preview.draws[name] for one in self.written]) for name in names}


def preview(
    paths: Sequence[str | Path],
    *,
    out: str | Path,
    start: int | None = None,
    settings: PreviewSettings | None = None,
    moving: bool = True,
    boxes: str | Path | None = None,
) -> list[WrittenPreview]:
    """Write `NAME.png` (a contact sheet) and, if `moving`, the video `NAME.mp4` for each video into the folder `out`; see
    `picture_name`.

    Both show frames, motion, and each mask, with the statistics over `settings.draws` draws; the sheet also shows the
    visibility of each place. `boxes`: a file with the true boxes of the objects, instead of the one beside each video; see
    `mgm.data.boxes.read_boxes`.
    """
    folder = Path(out)
    _make_folder(folder)
    made = []
    for path in paths:
        shown = preview_clip(path, start=start, settings=settings or PreviewSettings(), boxes=boxes)
        picture = folder / f"{picture_name(path)}.png"
        with atomic_write(picture) as file:
            file.write(encode_image(shown.picture()))
        if moving:
            shown.write_video(picture.with_suffix(".mp4"))
        made.append(WrittenPreview(shown, picture))
    return made


def preview_set(
    videos: Sequence[str],
    *,
    out: str | Path,
    clips: int = 10,
    start: int | None = None,
    settings: PreviewSettings | None = None,
    moving: bool = True,
    boxes: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PreviewReport:
    """Preview up to `clips` videos, evenly spaced, and write `statistics.csv`.

    Args:
        videos: videos, folders of videos, annotation files or specifications of sets, see `mgm.load_set`.
        start: first frame; None: the middle of the video, or of its annotated part.
        progress: called with (videos done, videos to preview).
        others: as for `preview`.

    Raises:
        VideoError: the only video cannot be read.
        DataError: a set cannot be used, or `boxes` with several videos.
        FileError: the folder cannot be written.
    """
    settings, folder = settings or PreviewSettings(), Path(out)
    found: dict[str, VideoItem] = {}
    for given in videos:
        for item in load_items(given):
            found.setdefault(item.path, item)  # the first of several parts of a file
    own = Path(os.path.realpath(folder))  # videos of an earlier preview do not belong to the set
    chosen = evenly_spaced(
        [item for path, item in found.items() if own not in Path(os.path.realpath(path)).parents], clips
    )
    if boxes is not None and len(chosen) > 1:
        raise DataError(
            boxes,
            f"found {len(chosen)} videos",
            "one, the video of these boxes",
            "name it in place of the set",
            reason="conflict",
        )
    _make_folder(folder)
    written: list[WrittenPreview] = []
    failed: list[VideoError] = []
    span = (settings.frames - 1) * settings.stride + 1
    for number, item in enumerate(chosen):
        if progress is not None:
            progress(number, len(chosen))
        numbered = replace(settings, seed=settings.seed + number)  # else clips of one length would share a mask
        try:
            first = _middle(item, span) if start is None else start
            written += preview([item.path], out=folder, start=first, settings=numbered, boxes=boxes, moving=moving)
        except VideoError as error:
            if len(chosen) == 1:
                raise
            failed.append(error)
    table = write_statistics(folder / "statistics.csv", written) if written else None
    return PreviewReport(tuple(written), tuple(failed), table)


def _middle(item: VideoItem, span: int) -> int | None:
    """First frame of a clip in the middle of a part of a file; None for a whole file, whose length is not known yet."""
    if item.end is None:
        return item.start or None
    return item.start + max(item.end - item.start - span, 0) // 2


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def picture_name(path: str | Path) -> str:
    """Name of the picture of a video: its last two folders and its own name.

    Class folders often number their files alike."""
    parts = [p for p in Path(os.path.realpath(path)).with_suffix("").parts[-3:] if p.strip("/\\")]
    return "_".join(parts)


def write_statistics(path: str | Path, made: Sequence[WrittenPreview]) -> Path:
    """Write the statistics over draws as a table, one row per clip and mask; empty if a clip does not permit one."""
    path = Path(path)
    columns = (
        "ratio",
        "motion_share",
        "object_share",
        "step_iou",
        "overlap",
        "least_visible",
        "never_visible",
        "fallback_share",
    )
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(("video", "start", "mask", "draws", *columns))
    for shown, _ in made:
        for name, found in shown.draws.items():
            values = [getattr(found, column) for column in columns]
            table.writerow((table_cell(shown.clip.path), int(shown.clip.frame_indices[0]), name, found.draws, *values))
    with atomic_write(path) as file:
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))  # names need not be valid text
    return path
