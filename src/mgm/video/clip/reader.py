"""Read clips: `read_clip`, `read_motion`, and `VideoReader` for several clips of one file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.files.atomic import cannot_write
from mgm.notebook import Pictured, draw
from mgm.spans import span
from mgm.video.clip.clip_motion import clip_motion
from mgm.video.clip.decode import DecodedClip, decode_clip
from mgm.video.clip.options import Box, ClipOptions, Crop, MotionOptions, keywords_of, motion_source
from mgm.video.clip.plan import ClipPlan, check_alignment, plan_clip, prepared_unit
from mgm.video.container.clip_packets import PacketWindow, demux_window, frame_at, frame_at_by_decoding
from mgm.video.container.keyframes import KeyframeIndex
from mgm.video.container.locator import VideoLocator, describe_locator, is_url
from mgm.video.container.shortcuts import ShortcutFailedError, Shortcuts
from mgm.video.container.stream import DecoderSettings, OpenVideo, configure, open_video
from mgm.video.motion.accumulation import accumulate_motion
from mgm.video.motion.cache import (
    build_sidecar,
    open_sidecar,
    sidecar_path,
    sidecar_problem,
)
from mgm.video.motion.field import MotionField
from mgm.video.motion.sidecar import DamagedSidecarError, Sidecar

if TYPE_CHECKING:
    from mgm.notebook import Image


@dataclass(frozen=True, slots=True, eq=False)
class Clip(Pictured):
    """Frames and motion of one stretch of a video.

    Attributes:
        path: the file.
        frames: uint8 (T, H, W, 3), RGB.
        motion: the motion field of the same region; None if it was not requested.
        pts_seconds: float64 (T,), presentation times.
        frame_indices: int64 (T,), frame numbers in display order. Shorter videos repeat numbers (see `short` of `ClipOptions`).
    """

    path: str
    frames: npt.NDArray[np.uint8]
    motion: MotionField | None
    pts_seconds: npt.NDArray[np.float64]
    frame_indices: npt.NDArray[np.int64]

    def show(self, *, columns: int = 8) -> Image:
        """A contact sheet of frames and motion, at up to `columns` times, as a `PIL.Image.Image`."""
        return draw("clip_sheet", self, columns=columns)

    def __repr__(self) -> str:
        motion = "no motion" if self.motion is None else f"{self.motion!r}"
        return f"Clip({self.path}: frames uint8 {self.frames.shape}, {_span(self.pts_seconds)}, {motion})"


@dataclass(frozen=True, slots=True, eq=False)
class MotionClip(Pictured):
    """The motion of one stretch of a video, without its frames.

    Attributes:
        path, motion, pts_seconds, frame_indices: see `Clip`.
        picture_types: a letter per frame, "I", "P" or "B"; "?" for a frame that was not decoded.
    """

    path: str
    motion: MotionField
    pts_seconds: npt.NDArray[np.float64]
    frame_indices: npt.NDArray[np.int64]
    picture_types: str

    @property
    def accumulated(self) -> MotionField:
        """The motion since the last intra-coded frame; see `mgm.video.accumulate_motion`.

        Raises:
            VideoError: the frames do not follow each other.
        """
        if (np.diff(self.frame_indices) != 1).any():
            found = "its motion was read at a distance of several frames"
            raise VideoError(self.path, found, "consecutive frames", "read it with stride=1", reason="mismatch")
        return accumulate_motion(self.motion, np.array([kind == "I" for kind in self.picture_types], np.bool_))

    def show(self, *, columns: int = 8) -> Image:
        """The motion at up to `columns` times, as a `PIL.Image.Image`."""
        return self.motion.show(columns=columns)

    def __repr__(self) -> str:
        return f"MotionClip({self.path}: {_span(self.pts_seconds)}, {self.motion!r})"


def _span(pts_seconds: npt.NDArray[np.float64]) -> str:
    return f"{pts_seconds[0]:.2f} s to {pts_seconds[-1]:.2f} s" if len(pts_seconds) else "no frames"


@keywords_of(ClipOptions)
def read_clip(video: VideoLocator, options: ClipOptions) -> Clip:
    """Read frames of a video with their motion, in one decode pass on one thread.

    Frames are bit-identical to those of a full sequential decode. Videos with a display matrix come upright, motion included.

    The video is a path, a URL (https://, s3://, ...), the bytes of a file, or a binary file object that can seek. The keyword
    arguments are the fields of `mgm.video.clip.options.ClipOptions`.

    Raises:
        VideoError: unreadable, damaged or truncated file; `start` beyond the end; "codec" motion of a stream that has none.
    """
    with VideoReader(video) as reader:
        return reader.read(options)[0]


@keywords_of(MotionOptions)
def read_motion(video: VideoLocator, options: MotionOptions) -> MotionClip:
    """Read the motion of a video without its frames: cheaper from the codec, since pictures are neither converted nor deblocked.

    The keyword arguments are those of `read_clip` but `size`; the default is the whole video, every frame:
    `frames=None, stride=1, crop=None`. A field of one hour at 720p takes gigabytes;
    `mgm.video.motion.streaming.iter_frame_motion` streams.
    """
    with VideoReader(video) as reader:
        return reader._read_motion(options)


class VideoReader:
    """A video that is opened once for several clips: use it in a `with` block, or call `close`. For one thread at a time:

        with mgm.VideoReader("video.mp4") as reader:
            for start in (0, 100, 50):
                clip = reader.read_clip(start=start)

    MP4 and MOV are entered at the keyframe before a clip, by their own index. In other containers the first clip counts packets
    from the start of the file (cheap, compared to decoding), later ones enter at the keyframes that were passed before.

    Raises:
        VideoError: as `read_clip`, but at the first clip.
    """

    def __init__(self, video: VideoLocator, *, sidecar: Sidecar | None = None) -> None:
        """`sidecar`: the motion of a video without a sidecar file beside it."""
        self.name = describe_locator(video)
        self._locator = video
        self._sidecars = _Sidecars(video, sidecar)
        self._opened = ExitStack()
        self._video: OpenVideo | None = None
        self._keyframes: KeyframeIndex | None = None
        self._shortcuts = Shortcuts()  # those that have not failed for the whole file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. A clip that is read afterwards opens it again."""
        self._video = None
        self._opened.close()

    @keywords_of(ClipOptions)
    def read_clip(self, options: ClipOptions) -> Clip:
        """Read a clip of this video; arguments and errors as for `mgm.read_clip`."""
        return self.read(options)[0]

    @keywords_of(ClipOptions)
    def read_clips(self, crops: Sequence[Box], options: ClipOptions) -> list[Clip]:
        """Read the same clip once for each region, in one decode pass: bit for bit the clips of `read_clip` with `crop=box`.

        Args:
            crops: regions (x, y, width, height) in pixels of the upright frame, all scaled to `size`; `crop` is ignored.
        """
        return self.read(options, crops)

    @keywords_of(MotionOptions)
    def read_motion(self, options: MotionOptions) -> MotionClip:
        """Read the motion of a clip of this video; arguments and errors as for `mgm.video.read_motion`."""
        return self._read_motion(options)

    def read(self, options: ClipOptions, crops: Sequence[Box] | None = None) -> list[Clip]:
        """Read the clip of an options object: one `Clip` for each of `crops`, or the one of `options.crop`."""
        if crops is not None and not crops:
            return []
        decoded, motion, _ = self._read(options, (options.crop,) if crops is None else crops)
        return [
            Clip(
                self.name,
                decoded.images(position),
                None if motion is None else region.transform_motion(motion),
                decoded.pts_seconds,
                decoded.sampled,
            )
            for position, region in enumerate(decoded.converter.regions)
        ]

    def _read_motion(self, options: MotionOptions) -> MotionClip:
        """Read the motion of an options object."""
        decoded, motion, plan = self._read(options, (options.crop,))
        assert motion is not None
        region, kinds = decoded.converter.regions[0], _picture_types(decoded, plan)
        return MotionClip(self.name, region.transform_motion(motion), decoded.pts_seconds, decoded.sampled, kinds)

    def _read(self, options: ClipOptions, crops: Sequence[Crop]) -> tuple[DecodedClip, MotionField | None, ClipPlan]:
        """Read with every shortcut that may work, then again without each one that fails."""
        options.check(self.name)
        options = options.normalised()
        shortcuts = self._shortcuts
        try:
            while True:
                try:
                    return self._attempt(options, crops, shortcuts)
                except ShortcutFailedError as failed:
                    shortcuts = shortcuts.without(failed.shortcut)
                    if failed.lasting:
                        self._shortcuts = self._shortcuts.without(failed.shortcut)
                except DamagedSidecarError:
                    if options.motion == "raft":
                        raise
                    self._sidecars.discard(options)
                    shortcuts = shortcuts.without("sidecar")
        except BaseException:
            self.close()  # the decoder's state is unknown
            raise

    def _attempt(
        self, options: ClipOptions, crops: Sequence[Crop], shortcuts: Shortcuts
    ) -> tuple[DecodedClip, MotionField | None, ClipPlan]:
        """Plan, demux, decode, and derive the motion. Raises ShortcutFailedError to be called again."""
        plan = self._plan(options, shortcuts)
        video = self._open(shortcuts)
        with span("demux"):
            window = demux_window(video, self._index(video), plan.first, plan.read_to, shortcuts)
        if plan.steps.unit > 1:
            check_alignment(plan, window)
        if plan.source == "codec" and options.motion == "auto" and self._is_intra_only(video, window, shortcuts):
            raise ShortcutFailedError("vectors", lasting=True)
        video = self._decoder(plan, window)
        decoded = decode_clip(video, window, plan, crops)
        return decoded, clip_motion(video, window, plan, decoded), plan

    def _plan(self, options: ClipOptions, shortcuts: Shortcuts) -> ClipPlan:
        video = self._open(shortcuts)
        start = options.start if options.frame_indices is None else int(options.frame_indices[0])
        if options.start_seconds is not None:
            start = self._frame_at(options.start_seconds, shortcuts)
            video = self._open(shortcuts)
        if options.motion == "raft":
            return plan_clip(video, options, start, "codec", unit=1, sidecar=self._sidecars.raft(options))
        source = motion_source(options, video, vectors=shortcuts.vectors)
        unit = 1
        if source == "codec" and shortcuts.profile and shortcuts.packet_times:
            unit = prepared_unit(options, start, video.container.metadata)
        sidecar = None
        if source == "codec" and unit == 1 and shortcuts.sidecar:
            sidecar = self._sidecars.find(options)
        return plan_clip(video, options, start, source, unit=unit, sidecar=sidecar)

    def _frame_at(self, seconds: float, shortcuts: Shortcuts) -> int:
        """Number of the frame that is shown at a time."""
        if shortcuts.packet_times:
            video = self._open(shortcuts)
            return frame_at(video, self._index(video), seconds, shortcuts)
        self.close()
        video = self._open(shortcuts)
        configure(video, DecoderSettings(skip_loop_filter=True))
        number = frame_at_by_decoding(video, seconds)
        self.close()
        return number

    def _is_intra_only(self, video: OpenVideo, window: PacketWindow, shortcuts: Shortcuts) -> bool:
        """Whether every picture is a keyframe: such a stream has no motion, even if its codec can export vectors."""
        if not window.coded or not all(c.key for c in window.coded):
            return False
        if len(window.coded) > 1:
            return True
        if not window.ended or not shortcuts.packet_times:
            return False
        # The window is the last frame alone: the frames before it decide.
        return self._index(video).all_keyframes(video, window.base)

    def _open(self, shortcuts: Shortcuts) -> OpenVideo:
        """The opened video; at its start if `shortcuts` does not permit a seek."""
        if self._video is not None and self._video.demuxed and not shortcuts.may_seek:
            self.close()
        if self._video is None:
            self._video = self._opened.enter_context(open_video(self._locator, vectors=False, brief=True))
        return self._video

    def _index(self, video: OpenVideo) -> KeyframeIndex:
        if self._keyframes is None:
            self._keyframes = KeyframeIndex.of(video)
        return self._keyframes

    def _decoder(self, plan: ClipPlan, window: PacketWindow) -> OpenVideo:
        """The opened video with a decoder set up for a plan. The setup is fixed once the decoder has begun, but it may decode the
        packets of an earlier opening."""
        codec = plan.source == "codec"
        settings = DecoderSettings(
            vectors=codec and plan.sidecar is None,
            skip_loop_filter=codec and not plan.options.with_pixels,
            strict=window.strict,
        )
        video = self._open(Shortcuts())
        if video.stream.codec_context.is_open and video.settings != settings:
            before = video
            self.close()
            video = self._open(Shortcuts())
            video.timed, video.orientation = before.timed, before.orientation  # as its first packets have shown
        if video.stream.codec_context.is_open:
            video.stream.codec_context.flush_buffers()  # it has seen the end of the clip before
        else:
            configure(video, settings)
        return video


def _picture_types(decoded: DecodedClip, plan: ClipPlan) -> str:
    """The types of the sampled frames: those of a sidecar, whose frames are not decoded, or of the decoder."""
    if plan.sidecar is not None:
        return "".join(plan.sidecar.picture_types[i] for i in decoded.sampled.tolist())
    return "".join(decoded.frames[i].kind if i in decoded.frames else "?" for i in decoded.sampled.tolist())


@dataclass(slots=True)
class _Sidecars:
    """The stored motion of a video.

    Attributes:
        argument: the sidecar that was passed to the reader.
        found: by the folder that was searched; None: no usable sidecar.
    """

    video: VideoLocator
    argument: Sidecar | None
    found: dict[str | Path | None, Sidecar | None] = field(default_factory=dict)

    def find(self, options: ClipOptions) -> Sidecar | None:
        """The stored motion, if a clip of these options can use it and it exists, or is to be built."""
        if options.reading != "clean" or options.cache == "ignore":
            return None
        if self.argument is not None:
            return self.argument
        if not isinstance(self.video, str | Path) or is_url(self.video):
            return None
        folder = options.cache_folder
        if folder not in self.found or (self.found[folder] is None and options.cache == "build"):
            sidecar = open_sidecar(self.video, folder)
            if sidecar is None and options.cache == "build":
                build_sidecar(self.video, folder)  # a folder that cannot be written is an error: the user requested it
                sidecar = open_sidecar(self.video, folder)
            self.found[folder] = sidecar
        return self.found[folder]

    def raft(self, options: ClipOptions) -> Sidecar:
        """The stored motion of RAFT. Raises VideoError without one."""
        problem = "only files have one"
        if isinstance(self.video, str | Path) and not is_url(self.video):
            sidecar = open_sidecar(self.video, options.cache_folder, source="raft")
            if sidecar is not None:
                return sidecar
            problem = str(sidecar_problem(self.video, options.cache_folder, source="raft"))
        raise VideoError(
            describe_locator(self.video),
            f"no stored motion of RAFT ({problem})",
            advice="store it with 'mgm motion VIDEO --raft WEIGHTS', or measure it with mgm.flow.raft.RaftEstimator(weights), "
            "which is data.raft_weights in a run",
            reason="missing_value",
        )

    def discard(self, options: ClipOptions) -> None:
        """Drop a sidecar that does not fit its video; under "build" the file is deleted, so that the next clip builds it again."""
        self.argument = None
        self.found[options.cache_folder] = None
        if options.cache == "build" and isinstance(self.video, str | Path):
            path = sidecar_path(self.video, options.cache_folder)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(path, error) from error
