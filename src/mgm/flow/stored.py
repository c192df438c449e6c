"""RAFT's motion of a whole video, measured once and stored beside it: for `motion="raft"`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import av.video.frame
import numpy as np
import numpy.typing as npt

from mgm.flow.raft import RaftEstimator
from mgm.video.clip.rgb import PictureConverter
from mgm.video.container.picture_size import OneSize
from mgm.video.container.stream import OpenVideo
from mgm.video.motion.cache import build_sidecar
from mgm.video.motion.estimators import to_cells
from mgm.video.motion.field import VectorField
from mgm.video.motion.streaming import FrameMotion, iter_frame_motion


def store_raft(video_path: str | Path, raft: RaftEstimator, folder: str | Path | None = None) -> Path:
    """Measure the motion between all successive frames and store it as `NAME.EXT.raft.mgmv`; returns that path.

    Clips add it up over skipped frames, as they do with the codec's motion, while an estimator measures across them.

    Args:
        folder: see `mgm.video.motion.cache.sidecar_path`.

    Raises:
        VideoError: an unreadable video, or the package zstandard is missing. FileError: the sidecar cannot be written.
    """
    return build_sidecar(video_path, folder, source="raft", frames=partial(_measured, raft))


def _measured(raft: RaftEstimator, video: OpenVideo) -> Iterator[FrameMotion]:
    """Every frame with its displacement since the previous one; the first has none."""
    convert = PictureConverter(raft.pixel_format, raft.shrink)
    pictures: deque[npt.NDArray[np.uint8]] = deque()
    before: npt.NDArray[np.uint8] | None = None
    check_size = OneSize(video.name)

    def observe(frame: av.video.frame.VideoFrame) -> None:
        """Keep the picture of each decoded frame, in the order in which the frames are yielded."""
        check_size(frame)
        pictures.append(convert(frame, (frame.height, frame.width)))

    for frame in iter_frame_motion(video, reading="raw", observe=observe):
        picture, grid = pictures.popleft(), frame.field.valid.shape
        field = VectorField(np.zeros((*grid, 2), np.float32), np.full(grid, before is not None))
        if before is not None:
            field = replace(field, vectors=to_cells(raft.between(before, picture), raft.shrink, (grid[0], grid[1])))
        yield replace(frame, field=field)
        before = picture
