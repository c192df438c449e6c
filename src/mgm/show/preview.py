"""What a mask hides of a video, before anything is trained: frames, motion and masks side by side, with the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mgm.data.images import probe_any, read_any
from mgm.data.synthetic import read_boxes
from mgm.data.transform import Geometry
from mgm.errors import MgmError
from mgm.masks import MaskStatistics, TokenMask, build_mask, mask_rng, mask_statistics
from mgm.show.figures import Clip, colour_motion, motion_scale, paint_mask
from mgm.show.filmstrip import animate, encode_image, filmstrip, strip
from mgm.show.parts import Animation, Legend, Strip
from mgm.video import MotionField
from mgm.video.convert import upright_region
from mgm.video.decode import Clip as VideoClip
from mgm.video.plan import Motion


@dataclass(frozen=True, slots=True)
class PreviewSettings:
    """How clips are cut and masked for a preview.

    Attributes:
        frames, stride, size: as for `mgm.read_clip`.
        patch, tubelet: pixels and frames of a token.
        ratio: share of hidden tokens.
        masks: names of the masks to show.
        options: options of each mask by name.
        motion: "auto", "codec", "flow", "difference", or None to read frames only; see `mgm.read_clip`.
        seed: of the masks.
    """

    frames: int = 16
    stride: int = 4
    size: int = 224
    patch: int = 16
    tubelet: int = 2
    ratio: float = 0.75
    masks: tuple[str, ...] = ("mgm",)
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    motion: Motion | None = "auto"
    seed: int = 0

    @property
    def grid(self) -> tuple[int, int, int]:
        """(t, h, w) tokens; MgmError where the clip does not divide into tokens."""
        if self.size % self.patch or self.frames % self.tubelet:
            raise MgmError(
                f"preview: {self.frames} frames of {self.size} pixels do not divide into tokens of {self.tubelet} x {self.patch} x "
                f"{self.patch}; choose --size as a multiple of --patch and --frames as one of --tubelet"
            )
        return self.frames // self.tubelet, self.size // self.patch, self.size // self.patch


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """One clip with its masks.

    Attributes:
        clip: as read.
        masks, statistics: by name of the mask.
        boxes: true boxes per frame in pixels of `clip.frames`, where a truth lies beside the video.
    """

    clip: VideoClip
    masks: dict[str, TokenMask]
    statistics: dict[str, MaskStatistics]
    boxes: list[npt.NDArray[np.float64]] | None

    @property
    def full_scale(self) -> float:
        """Pixels per step that are shown at full colour."""
        return 1.0 if self.clip.motion is None else motion_scale(self.clip.motion.vectors)

    def rows(self) -> list[tuple[str, Clip]]:
        """Labelled clips: frames, motion, one per mask."""
        frames = self.clip.frames
        rows = [("frames", frames)]
        if self.clip.motion is not None:
            rows.append(("motion", motion_picture(self.clip.motion, frames.shape[1:3], full_scale=self.full_scale)))
        rows += [(name, paint_mask(frames, mask.masked, boxes=self.boxes)) for name, mask in self.masks.items()]
        return rows

    def picture(self, *, columns: int = 8) -> npt.NDArray[np.uint8]:
        """A contact sheet uint8 (H, W, 3)."""
        return filmstrip(self.rows(), columns=columns, times=self.clip.pts - self.clip.pts[0])

    def strip(self, *, caption: str = "", legend: Legend | None = None, columns: int = 8) -> Strip:
        """The same for a report."""
        times = self.clip.pts - self.clip.pts[0]
        return strip(self.rows(), columns=columns, times=times, caption=caption, legend=legend)

    def animation(self, *, caption: str = "", fps: float = 8.0) -> Animation:
        """The rows as panels that move."""
        return animate(
            self.rows(), alt=f"{Path(self.clip.path).name}: frames, motion and masks", fps=fps, caption=caption
        )


def motion_picture(motion: MotionField, size: tuple[int, int], *, full_scale: float | None = None) -> Clip:
    """The field in colour, as it is used: cells that were held show what they hold."""
    return colour_motion(motion.vectors, extent=motion.extent, size=size, full_scale=full_scale)


def preview_clip(path: str | Path, *, start: int | None = None, settings: PreviewSettings) -> Preview:
    """Read one clip and draw its masks; `start=None` takes the middle of the video.

    Raises:
        MgmError: the video cannot be read, or the masks do not fit it.
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
    )
    truth = read_boxes(path)
    boxes = None
    if truth is not None:
        box = upright_region(info.height, info.width, settings.size, "centre")
        geometry = Geometry((info.height, info.width), box, (settings.size, settings.size))
        none = np.empty((0, 4))  # the truth ends at the last frame that has a box
        boxes = [geometry.boxes(truth[i] if i < len(truth) else none) for i in clip.index.tolist()]
    masks: dict[str, TokenMask] = {}
    statistics: dict[str, MaskStatistics] = {}
    for name in settings.masks:
        rule = build_mask(name, **dict(settings.options.get(name, {})))
        rng = mask_rng(settings.seed, 0, start, 0)
        masks[name] = rule.draw(grid, settings.ratio, clip.motion if rule.uses_motion else None, rng)
        scale = None if boxes is None else (float(settings.size), float(settings.size))
        found = mask_statistics(masks[name], motion=clip.motion)
        if boxes is not None:
            found = _with_boxes(found, mask_statistics(masks[name], boxes=boxes, extent=scale))
        statistics[name] = found
    return Preview(clip, masks, statistics, boxes)


def _with_boxes(motion: MaskStatistics, objects: MaskStatistics) -> MaskStatistics:
    return MaskStatistics(
        ratio=motion.ratio,
        motion_share=motion.motion_share,
        object_share=objects.object_share,
        step_iou=motion.step_iou,
        fallback_share=motion.fallback_share,
    )


def preview(
    paths: Sequence[str | Path],
    *,
    out: str | Path,
    start: int | None = None,
    settings: PreviewSettings | None = None,
    moving: bool = True,
) -> list[tuple[Preview, Path]]:
    """Write `NAME.png` (a contact sheet) and, if `moving`, `NAME.webp` for each video into the folder `out`; see `picture_name`.

    Returns the previews with the path of their picture.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for path in paths:
        shown = preview_clip(path, start=start, settings=settings or PreviewSettings())
        picture = folder / f"{picture_name(path)}.png"
        picture.write_bytes(encode_image(shown.picture()))
        if moving:
            picture.with_suffix(".webp").write_bytes(shown.animation().image)
        made.append((shown, picture))
    return made


def picture_name(path: str | Path) -> str:
    """A name for the picture of a video: its last two folders and its own, since class folders often number their files alike."""
    parts = [p for p in Path(path).resolve().with_suffix("").parts[-3:] if p.strip("/\\")]
    return "_".join(parts)
