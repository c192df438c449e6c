"""Clips whose frames show motion instead of pixels: the codec's, accumulated since the keyframe, as CoViAR draws it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mgm.data.clips.sampling import Frames
from mgm.data.clips.source import ClipSettings, ClipView, ProbedSource
from mgm.data.clips.transform import Geometry
from mgm.data.shards.members import open_item
from mgm.spans import span
from mgm.video import MotionField
from mgm.video.clip.plan import clip_frames
from mgm.video.motion.accumulation import MOST_TRACED_FRAMES
from mgm.video.motion.field import CELL_PIXELS
from mgm.video.motion.names import CameraModel

RANGE_PIXELS = 20.0
"""Displacement that is drawn as the strongest value; longer ones are clipped (CoViAR's)."""

STILL = 128
"""The value of no motion."""

_APART = 32
"""Frames: sampled ones that are farther apart are read separately."""


@dataclass(slots=True)
class MotionPictures(ProbedSource):
    """A `ClipSource`: channel 0 of a frame is dx and channel 1 dy, 128 + 127.5 * pixels / 20, clipped; channel 2 is constant.

    Motion is that of `mgm.video.accumulate_motion` in pixels of the view: a mirrored view has the opposite dx. Streams without
    vectors are measured by optical flow.

    Attributes:
        keep: keep the motion of every video that was read in memory, for small sets.
    """

    keep: bool = False
    _kept: dict[str, tuple[MotionField, npt.NDArray[np.float64]]] = field(default_factory=dict)

    def clips(
        self, path: str, start: int | Frames, geometries: Sequence[Geometry], settings: ClipSettings
    ) -> list[ClipView]:
        """See `ClipSource.clips`. The motion of a view, if the settings ask for it, is what its frames show."""
        if isinstance(start, int):
            start = clip_frames(self.info(path).frames, start=start, frames=settings.frames, stride=settings.stride)
        motion, pts_seconds = self._accumulated(path, start, settings.camera)
        with span("transform"):
            moved = [geometry.motion(motion) for geometry in geometries]
            return [
                ClipView(draw_motion(one, geometry.size), None if settings.motion is None else one, pts_seconds)
                for one, geometry in zip(moved, geometries, strict=True)
            ]

    def _accumulated(
        self, path: str, frames: Frames, camera: CameraModel
    ) -> tuple[MotionField, npt.NDArray[np.float64]]:
        """The accumulated motion of some frames, ascending, of the whole upright picture, and their times."""
        if self.keep:
            if path not in self._kept:
                self._kept[path] = _read(path, 0, self.info(path).frames - 1, camera)
            motion, times = self._kept[path]
            return motion[frames], times[frames]
        parts = [(_read(path, int(run[0]), int(run[-1]), camera), run - run[0]) for run in _runs(np.unique(frames))]
        place = np.searchsorted(np.unique(frames), frames)
        first = parts[0][0][0]
        vectors = np.concatenate([motion.vectors[at] for (motion, _), at in parts])[place]
        valid = np.concatenate([motion.valid[at] for (motion, _), at in parts])[place]
        times = np.concatenate([pts[at] for (_, pts), at in parts])[place]
        return MotionField(vectors, valid, first.source, first.extent), times


def _runs(frames: Frames) -> Iterator[Frames]:
    """Frames that are read together."""
    yield from np.split(frames, np.flatnonzero(np.diff(frames) > _APART) + 1)


def _read(path: str, first: int, last: int, camera: CameraModel) -> tuple[MotionField, npt.NDArray[np.float64]]:
    """The accumulated motion of the frames `first` to `last`, both included, and their times."""
    begin = max(first - MOST_TRACED_FRAMES, 0)
    with open_item(path) as reader:
        found = reader.read_motion(
            start=begin, frames=last - begin + 1, stride=1, motion="auto", camera=camera, short="error"
        )
    kept = slice(first - begin, None)
    return found.accumulated[kept], found.pts_seconds[kept]


def draw_motion(motion: MotionField, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The picture of a motion field, uint8 (T, height, width, 3): the displacement of the cell under each pixel.

    Args:
        size: (height, width) of the picture of the field's whole region.
    """
    rows, columns = (
        np.minimum(((np.arange(pixels) + 0.5) * extent / pixels) // CELL_PIXELS, cells - 1).astype(np.intp)
        for pixels, extent, cells in zip(size, motion.extent, motion.valid.shape[1:], strict=True)
    )
    values = np.rint(motion.vectors * (127.5 / RANGE_PIXELS) + STILL).clip(0, 255).astype(np.uint8)
    picture = np.full((len(values), *size, 3), STILL, np.uint8)
    picture[..., :2] = values[:, rows[:, None], columns]
    return picture
