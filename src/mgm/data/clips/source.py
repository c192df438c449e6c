"""Where clips come from: the file, decoded anew each time, or videos decoded once and kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mgm.data.clips.images import probe_any, read_any, read_any_clips
from mgm.data.clips.sampling import Frames
from mgm.data.clips.transform import Geometry, mirrored
from mgm.errors import DataError, VideoError
from mgm.video import Clip, MotionField
from mgm.video.clip.numbers import clip_index, index_strides
from mgm.video.clip.options import Motion
from mgm.video.container.metadata import VideoInfo
from mgm.video.motion.camera import Camera, remove_camera
from mgm.video.motion.field import Policy, aggregate_windows


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """What is read of a video.

    Attributes:
        frames: of a clip. stride: their distance, as far as a sampler keeps to one.
        size: side of the square result in pixels.
        motion: "auto", "codec", "flow", "difference", or None to read frames only; see `mgm.read_clip`.
        policy: how skipped frames enter the motion. Files whose motion is measured on pictures know "window_sum" alone.
        camera: how the motion of the camera is subtracted: "none", "median", "affine".
    """

    frames: int
    stride: int
    size: int
    motion: Motion | None
    policy: Policy = "window_sum"
    camera: Camera = "none"


Pictures = tuple[npt.NDArray[np.uint8], MotionField | None]
"""(frames uint8 (T, H, W, 3), motion in pixels of the result or None)."""


class ClipSource(Protocol):
    """Delivers clips of videos by path. Errors of a file are VideoErrors that name it, settings that do not fit it DataErrors."""

    def info(self, path: str) -> VideoInfo:
        """Number of frames, and the height and width that a `Geometry` for this source refers to."""

    def clip(self, path: str, start: int | Frames, geometry: Geometry, settings: ClipSettings) -> Pictures:
        """One view of a clip. `start`: its first frame, at the settings' stride; or all its frames, int64 (T,), ascending."""

    def clips(
        self, path: str, start: int | Frames, geometries: Sequence[Geometry], settings: ClipSettings
    ) -> list[Pictures]:
        """Several views of one clip, which is decoded once; all geometries are of one size."""


@dataclass(slots=True)
class FileSource:
    """Decodes each clip from its file: one pass over the fewest packets, nothing kept but what `info` found.

    Attributes:
        infos: path -> what is known of a video. Reading processes share it, since finding out costs an eighth of a clip.
    """

    infos: dict[str, VideoInfo] = field(default_factory=dict)

    def info(self, path: str) -> VideoInfo:
        """See `ClipSource.info`."""
        if path not in self.infos:
            self.infos[path] = probe_any(path)
        return self.infos[path]

    def clip(self, path: str, start: int | Frames, geometry: Geometry, settings: ClipSettings) -> Pictures:
        """See `ClipSource.clip`."""
        return self.clips(path, start, [geometry], settings)[0]

    def clips(
        self, path: str, start: int | Frames, geometries: Sequence[Geometry], settings: ClipSettings
    ) -> list[Pictures]:
        """See `ClipSource.clips`."""
        sizes = {geometry.size for geometry in geometries}
        if len(sizes) > 1:
            raise DataError(
                f"{path}: views of the sizes {sorted(sizes)} asked for, expected one size; ask for one at a time"
            )
        found = read_any_clips(
            path,
            [geometry.box for geometry in geometries],
            start=start if isinstance(start, int) else 0,
            index=None if isinstance(start, int) else start,
            frames=settings.frames,
            stride=settings.stride,
            size=geometries[0].size,
            motion=settings.motion,
            policy=settings.policy,
            camera=settings.camera,
        )
        _check_policy(found[0], settings)
        return [_view(clip, geometry) for clip, geometry in zip(found, geometries, strict=True)]


def _check_policy(clip: Clip, settings: ClipSettings) -> None:
    """Raises DataError where what was asked for cannot be had: a mask would follow another motion than the user thinks."""
    motion = clip.motion
    if settings.policy == "window_sum" or motion is None or motion.source == "codec" or not motion.valid.any():
        return
    raise DataError(
        f"{clip.path}: has no motion vectors, so that its motion is measured from one sampled frame to the next ({motion.source}), "
        f"which data.policy={settings.policy} cannot be applied to; set data.policy=window_sum, keep the videos in memory "
        "(data.memory=true), or transcode them (mgm prepare)"
    )


def _view(clip: Clip, geometry: Geometry) -> Pictures:
    frames = mirrored(clip.frames) if geometry.flip else clip.frames
    if clip.motion is None:
        return frames, None
    _, _, width, height = geometry.box
    return frames, clip.motion.scaled(geometry.size[1] / width, geometry.size[0] / height, flip=geometry.flip)


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    frames: npt.NDArray[np.uint8]  # (N, h, w, 3), the whole video, small
    motion: MotionField | None  # (N, ...), displacement per frame


@dataclass(slots=True)
class MemorySource:
    """Videos decoded once, at a small size, and kept: for sets that fit into memory.

    A 2-second video of 60 frames takes 60 x 48 x 64 x 3 = .5 MB at short side 48.

    Args:
        short_side: the shorter side of the frames that are kept, in pixels.
        motion: source of the motion to keep with them, or None.

    Attributes:
        problems: path -> problem of the videos that `load` could not read.
    """

    short_side: int
    motion: Motion | None
    problems: dict[str, str] = field(default_factory=dict, init=False)
    _videos: dict[str, _Kept] = field(default_factory=dict)

    def load(
        self, paths: Iterable[str], *, threads: int = 2, progress: Callable[[str], None] | None = None
    ) -> dict[str, str]:
        """Decode videos. Returns path -> problem of those that could not be read; they are left out."""
        problems: dict[str, str] = {}
        with ThreadPoolExecutor(threads) as pool:  # decoding lets other threads run
            futures = {pool.submit(self._keep, path): path for path in dict.fromkeys(paths)}
            for future in as_completed(futures):
                try:
                    future.result()
                except (VideoError, OSError) as error:  # a disk or a network that fails is no reason to stop, either
                    path = futures[future]
                    problems[path] = str(error) if isinstance(error, VideoError) else f"{path}: {error}"
                if progress is not None:
                    progress(futures[future])
        self.problems.update(problems)
        return problems

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels and vectors kept."""
        return sum(k.frames.nbytes + (k.motion.vectors.nbytes if k.motion else 0) for k in self._videos.values())

    def _keep(self, path: str) -> None:
        whole = probe_any(path)
        scale = self.short_side / min(whole.height, whole.width)
        size = (max(round(whole.height * scale), 1), max(round(whole.width * scale), 1))
        clip = read_any(path, frames=None, stride=1, size=size, crop=None, motion=self.motion)
        self._videos[path] = _Kept(clip.frames, clip.motion)

    def info(self, path: str) -> VideoInfo:
        """See `ClipSource.info`."""
        kept = self._kept(path)
        count, height, width, _ = kept.frames.shape
        return VideoInfo(count, height, width, kept.motion is not None)

    def clip(
        self, path: str, start: int | Frames, geometry: Geometry, settings: ClipSettings
    ) -> tuple[npt.NDArray[np.uint8], MotionField | None]:
        """See `ClipSource.clip`."""
        kept = self._kept(path)
        index = start
        if isinstance(index, int):
            index = clip_index(len(kept.frames), start=index, frames=settings.frames, stride=settings.stride)
        frames = geometry.frames(kept.frames[index])
        if settings.motion is None:
            return frames, None
        if kept.motion is None:  # without this a mask would fall back to chance in every clip, and nobody would know
            raise DataError(
                f"{path}: kept in memory without its motion, expected it for a mask that follows motion; "
                "make the MemorySource with motion='auto'"
            )
        field = kept.motion
        strides = index_strides(index, default=settings.stride)
        step = aggregate_windows(field, index, stride=strides, policy=settings.policy)
        motion = remove_camera(MotionField.of(step, field.source, field.extent), settings.camera)
        return frames, geometry.motion(motion)

    def clips(
        self, path: str, start: int | Frames, geometries: Sequence[Geometry], settings: ClipSettings
    ) -> list[Pictures]:
        """See `ClipSource.clips`."""
        return [self.clip(path, start, geometry, settings) for geometry in geometries]

    def _kept(self, path: str) -> _Kept:
        if path not in self._videos:
            self._keep(path)
        return self._videos[path]
