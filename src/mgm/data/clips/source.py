"""Sources of clips: files, decoded again for each clip, or videos decoded once and kept in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mgm.data.clips.images import probe_any, read_any, read_any_clips
from mgm.data.clips.sampling import Frames
from mgm.data.clips.transform import Geometry, mirrored
from mgm.data.unreadable import READ_ERRORS, Unreadable
from mgm.errors import DataError
from mgm.spans import span
from mgm.video import Clip, MotionField
from mgm.video.clip.plan import clip_frames, frame_strides
from mgm.video.container.metadata import VideoInfo
from mgm.video.motion.camera import remove_camera
from mgm.video.motion.estimators import MotionEstimator
from mgm.video.motion.field import aggregate_windows, counts_whole_steps
from mgm.video.motion.names import CameraModel, MotionName, Policy, Reading

_DECODING_THREADS = 2


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """Size, length and motion of the clips read from videos.

    Attributes:
        frames: number of frames of a clip.
        stride: distance of the frames, for samplers that use one.
        size: side of the square result in pixels.
        motion: "auto", "codec", "flow", "difference", an estimator, or None to read frames only; see `mgm.read_clip`.
        policy: how motion over skipped frames is aggregated. Motion measured on decoded frames supports only "window_sum".
        camera: how the motion of the camera is subtracted: "none", "median", "affine".
        reading: of the codec's vectors: "clean", "references", "raw"; see `mgm.read_clip`.
    """

    frames: int
    stride: int
    size: int
    motion: MotionName | MotionEstimator | None
    policy: Policy = "window_sum"
    camera: CameraModel = "none"
    reading: Reading = "clean"


class ClipView(NamedTuple):
    """One view of a clip: its frames under a `Geometry`.

    Attributes:
        frames: uint8 (T, H, W, 3).
        motion: in pixels of the view; None unless requested.
        pts_seconds: float64 (T,), presentation times of the frames; NaN where the video has none.
    """

    frames: npt.NDArray[np.uint8]
    motion: MotionField | None
    pts_seconds: npt.NDArray[np.float64]


class ClipSource(Protocol):
    """Delivers clips of videos by path. Raises VideoError for an unreadable file, DataError for unsuitable settings."""

    def info(self, path: str) -> VideoInfo:
        """Number of frames, and the height and width that a `Geometry` for this source refers to."""

    def clip(self, path: str, start: int | Frames, geometry: Geometry, settings: ClipSettings) -> ClipView:
        """One view of a clip. `start`: its first frame, at the settings' stride; or all its frames, int64 (T,), ascending."""

    def clips(
        self, path: str, start: int | Frames, geometries: Sequence[Geometry], settings: ClipSettings
    ) -> list[ClipView]:
        """Several views of one clip, which is decoded once; all geometries have the same size."""


@dataclass(slots=True)
class ProbedSource(ABC):
    """A `ClipSource` of files, each of which is probed once; a subclass says how it reads clips.

    Attributes:
        infos: path -> metadata of the video. Reading processes share it, since probing costs an eighth of a clip.
    """

    infos: dict[str, VideoInfo] = field(default_factory=dict)

    def info(self, path: str) -> VideoInfo:
        """See `ClipSource.info`."""
        if path not in self.infos:
            self.infos[path] = probe_any(path)
        return self.infos[path]

    def clip(self, path: str, start: int | Frames, geometry: Geometry, settings: ClipSettings) -> ClipView:
        """See `ClipSource.clip`."""
        return self.clips(path, start, [geometry], settings)[0]

    @abstractmethod
    def clips(
        self, path: str, start: int | Frames, geometries: Sequence[Geometry], settings: ClipSettings
    ) -> list[ClipView]:
        """See `ClipSource.clips`."""


@dataclass(slots=True)
class FileSource(ProbedSource):
    """Decodes each clip from its file, in one pass over the fewest packets. Only the results of `info` are kept."""

    def clips(
        self, path: str, start: int | Frames, geometries: Sequence[Geometry], settings: ClipSettings
    ) -> list[ClipView]:
        """See `ClipSource.clips`."""
        sizes = {geometry.size for geometry in geometries}
        if len(sizes) > 1:
            raise DataError(
                path, f"views of the sizes {sorted(sizes)}", "one size", "request one size at a time", reason="conflict"
            )
        found = read_any_clips(
            path,
            [geometry.box for geometry in geometries],
            start=start if isinstance(start, int) else 0,
            frame_indices=None if isinstance(start, int) else start,
            frames=settings.frames,
            stride=settings.stride,
            size=geometries[0].size,
            motion=settings.motion,
            policy=settings.policy,
            reading=settings.reading,
            camera=settings.camera,
        )
        _check_policy(found[0], settings)
        with span("transform"):
            return [_view(clip, geometry) for clip, geometry in zip(found, geometries, strict=True)]


def _check_policy(clip: Clip, settings: ClipSettings) -> None:
    """Raise DataError if the motion does not support the requested policy: a mask would follow other motion than requested."""
    motion = clip.motion
    if settings.policy == "window_sum" or motion is None or motion.source == "codec" or not motion.valid.any():
        return
    raise DataError(
        clip.path,
        f"data.policy={settings.policy} for motion that is measured between sampled frames ({motion.source})",
        "a video with motion vectors",
        "set data.policy=window_sum, keep the videos in memory (data.memory=true), or transcode them (mgm prepare)",
        reason="unsupported",
    )


def _view(clip: Clip, geometry: Geometry) -> ClipView:
    frames = mirrored(clip.frames) if geometry.flip else clip.frames
    if clip.motion is None:
        return ClipView(frames, None, clip.pts_seconds)
    _, _, width, height = geometry.box
    motion = clip.motion.scaled(geometry.size[1] / width, geometry.size[0] / height, flip=geometry.flip)
    return ClipView(frames, motion, clip.pts_seconds)


@dataclass(frozen=True, slots=True, eq=False)
class _StoredVideo:
    frames: npt.NDArray[np.uint8]  # (N, h, w, 3), the whole video at a small size
    motion: MotionField | None  # (N, ...), displacement per frame
    pts_seconds: npt.NDArray[np.float64]  # (N,)


@dataclass(slots=True)
class MemorySource:
    """Videos decoded once at a small size and kept in memory, for small sets.

    A 2-second video of 60 frames takes 60 x 48 x 64 x 3 = .5 MB at short side 48.

    Args:
        short_side: shorter side of the frames in memory, in pixels.
        motion: source of the motion to keep with them, or None.
        reading: of the codec's vectors; see `mgm.read_clip`.

    Attributes:
        unreadable: path -> message, of the videos that `load` could not read.
    """

    short_side: int
    motion: MotionName | MotionEstimator | None
    reading: Reading = "clean"
    unreadable: dict[str, str] = field(default_factory=dict, init=False)
    _videos: dict[str, _StoredVideo] = field(default_factory=dict)

    def load(self, paths: Iterable[str], *, progress: Callable[[str], None] | None = None) -> dict[str, str]:
        """Decode videos. Unreadable ones are left out and returned: path -> message."""
        unreadable: dict[str, str] = {}
        with ThreadPoolExecutor(_DECODING_THREADS) as pool:  # the decoder releases the GIL
            futures = {pool.submit(self._decode, path): path for path in dict.fromkeys(paths)}
            for future in as_completed(futures):
                path = futures[future]
                try:
                    future.result()
                except READ_ERRORS as error:
                    unreadable[path] = Unreadable.from_error(path, error).message
                if progress is not None:
                    progress(path)
        self.unreadable.update(unreadable)
        return unreadable

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels and vectors in memory."""
        return sum(v.frames.nbytes + (v.motion.vectors.nbytes if v.motion else 0) for v in self._videos.values())

    def _decode(self, path: str) -> None:
        whole = probe_any(path)
        scale = self.short_side / min(whole.height, whole.width)
        size = (max(round(whole.height * scale), 1), max(round(whole.width * scale), 1))
        clip = read_any(path, frames=None, stride=1, size=size, crop=None, motion=self.motion, reading=self.reading)
        self._videos[path] = _StoredVideo(clip.frames, clip.motion, clip.pts_seconds)

    def info(self, path: str) -> VideoInfo:
        """See `ClipSource.info`."""
        video = self._video(path)
        count, height, width, _ = video.frames.shape
        return VideoInfo(count, height, width, video.motion is not None)

    def clip(self, path: str, start: int | Frames, geometry: Geometry, settings: ClipSettings) -> ClipView:
        """See `ClipSource.clip`."""
        video = self._video(path)
        index = start
        if isinstance(index, int):
            index = clip_frames(len(video.frames), start=index, frames=settings.frames, stride=settings.stride)
        frames = geometry.frames(video.frames[index])
        if settings.motion is None:
            return ClipView(frames, None, video.pts_seconds[index])
        field = video.motion
        if field is None:  # otherwise every mask would become random, unnoticed
            raise DataError(
                path,
                "kept in memory without its motion",
                "motion for a mask that follows it",
                "create the MemorySource with motion='auto'",
                reason="missing_value",
            )
        self._check_kept(path, field.source, settings)
        whole = counts_whole_steps(self.reading, settings.policy)
        strides = frame_strides(index, default=settings.stride) if whole else 1
        step = aggregate_windows(field, index, stride=strides, policy=settings.policy)
        motion = remove_camera(MotionField.of(step, field.source, field.extent), settings.camera)
        return ClipView(frames, geometry.motion(motion), video.pts_seconds[index])

    def clips(
        self, path: str, start: int | Frames, geometries: Sequence[Geometry], settings: ClipSettings
    ) -> list[ClipView]:
        """See `ClipSource.clips`."""
        return [self.clip(path, start, geometry, settings) for geometry in geometries]

    def _check_kept(self, path: str, source: str, settings: ClipSettings) -> None:
        """Raise DataError if other motion is asked for than is kept: the setting would do nothing, unnoticed."""
        if settings.motion not in ("auto", self.motion, source):
            kept, wanted = f"the motion of {source}", f"that of {settings.motion}"
            argument = f"motion={settings.motion!r}"
        elif source == "codec" and settings.reading != self.reading:
            kept, wanted = f"the reading {self.reading} of the vectors", settings.reading
            argument = f"reading={settings.reading!r}"
        else:
            return
        advice = f"create the MemorySource with {argument}"
        raise DataError(path, f"kept in memory with {kept}", wanted, advice, reason="mismatch")

    def _video(self, path: str) -> _StoredVideo:
        if path not in self._videos:
            self._decode(path)
        return self._videos[path]


def left_out(source: ClipSource) -> Mapping[str, str]:
    """path -> message of the videos that could not be read when a source was filled; only one in memory is filled."""
    return source.unreadable if isinstance(source, MemorySource) else {}
