"""Frames and motion of clips in one decode pass: `read_clip`, `read_motion`, and `VideoReader` for several clips of one file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np
import numpy.typing as npt

from mgm.notebook import Pictured, draw
from mgm.spans import span
from mgm.video.clip.execution import Read, carry_out
from mgm.video.clip.options import Cache, ClipOptions, Motion, MotionOptions, Request, Short
from mgm.video.clip.plan import Plan, is_aligned, prepared_unit
from mgm.video.clip.rgb import Box
from mgm.video.container.keyframes import KeyframeIndex
from mgm.video.container.locator import VideoLocator, describe_locator, is_url
from mgm.video.container.packets import (
    NotAtStartError,
    PacketWindow,
    UncountableError,
    demux_window,
    frame_at,
    frame_at_by_decoding,
)
from mgm.video.container.stream import OpenVideo, configure, open_video
from mgm.video.motion.cache import DamagedSidecarError, Sidecar, build_sidecar, open_sidecar, sidecar_path
from mgm.video.motion.camera import Camera
from mgm.video.motion.estimators import MotionEstimator, make_estimator
from mgm.video.motion.field import MotionField, Policy, Reading

if TYPE_CHECKING:
    from mgm.notebook import Image


@dataclass(frozen=True, slots=True, eq=False)
class Clip(Pictured):
    """Frames and motion of one stretch of a video.

    Attributes:
        path: the file.
        frames: uint8 (T, H, W, 3), RGB.
        motion: the motion field of the same region, or None where it was not asked for.
        pts_seconds: float64 (T,), presentation times.
        frame_indices: int64 (T,), frame numbers in display order. Shorter videos repeat numbers (see `short` of `read_clip`).
    """

    path: str
    frames: npt.NDArray[np.uint8]
    motion: MotionField | None
    pts_seconds: npt.NDArray[np.float64]
    frame_indices: npt.NDArray[np.int64]

    def show(self, *, columns: int = 8) -> Image:
        """A contact sheet of frames and motion, at up to `columns` times, as a `PIL.Image.Image`."""
        return draw("clip", self, columns=columns)

    def __repr__(self) -> str:
        motion = "no motion" if self.motion is None else f"{self.motion!r}"
        return f"Clip({self.path}: frames uint8 {self.frames.shape}, {_span(self.pts_seconds)}, {motion})"


@dataclass(frozen=True, slots=True, eq=False)
class MotionClip(Pictured):
    """The motion of one stretch of a video, without its frames. Attributes: see `Clip`."""

    path: str
    motion: MotionField
    pts_seconds: npt.NDArray[np.float64]
    frame_indices: npt.NDArray[np.int64]

    def show(self, *, columns: int = 8) -> Image:
        """The motion at up to `columns` times, as a `PIL.Image.Image`."""
        return self.motion.show(columns=columns)

    def __repr__(self) -> str:
        return f"MotionClip({self.path}: {_span(self.pts_seconds)}, {self.motion!r})"


def _span(pts_seconds: npt.NDArray[np.float64]) -> str:
    return f"{pts_seconds[0]:.2f} s to {pts_seconds[-1]:.2f} s" if len(pts_seconds) else "no frames"


def read_clip(
    video: VideoLocator,
    *,
    start: int = 0,
    start_seconds: float | None = None,
    frames: int | None = 16,
    stride: int = 4,
    index: Sequence[int] | npt.NDArray[np.int64] | None = None,
    size: int | tuple[int, int] | None = 224,
    crop: Literal["centre"] | tuple[int, int, int, int] | None = "centre",
    motion: Motion | MotionEstimator | None = "codec",
    policy: Policy = "window_sum",
    reading: Reading = "clean",
    camera: Camera = "none",
    short: Short = "repeat_last",
    cache: Cache = "use",
    cache_folder: str | Path | None = None,
) -> Clip:
    """Read `frames` frames, every `stride`-th from `start` on, with their motion, in one decode pass on one thread::

        video   . . . . . . . . . . . .      start=2, frames=3, stride=4
        clip        f       f       f        frames 2, 6, 10
        motion    +++     +++++   +++++      what window_sum adds up for each of them

    Frames are bit-identical to those of a full sequential decode.

    Args:
        video: a path, a URL that fsspec knows, the bytes of a file, or a binary file object that can seek.
        start: number of the first frame, in display order.
        start_seconds: instead of `start`: the frame that is shown at this presentation time (the time line of `Clip.pts_seconds`).
        frames: how many; None reads to the end of the video.
        index: instead of `start`, `frames` and `stride`: the frame numbers of the clip, ascending; they may repeat. Motion is then
            measured over the step from the frame before in the list, that of the first frame over the step to the second.
        size: side of the square result (or (height, width)) in pixels; None keeps the source's.
        crop: "centre": the largest centred region of the result's shape; (x, y, width, height) in pixels of the upright frame
            (chroma is stored at half resolution: x and y are rounded to even numbers of the coded frame); None: the whole frame,
            stretched to `size`. With `size=None`, "centre" keeps the whole frame.
        motion: "codec" reads the stream's motion vectors; "flow" measures optical flow between sampled frames (needs OpenCV);
            "difference" only where something changed; "auto" is "codec" where the stream has vectors, else "flow"; or a source
            of your own, such as RAFT (see `mgm.video.motion.estimators.MotionEstimator`). None reads frames only.
        policy: how the frames that `stride` skips enter the motion of the codec: `window_sum` (default), `sampled` (the paper's
            literal reading), `window_max`; see `mgm.video.motion.field.aggregate_windows`. Other sources compare sampled frames.
        reading: "clean" divides by the reference distance, joins all vectors that span a frame and smooths (see
            `mgm.video.motion.velocity`); "references" does so with the vectors of reference pictures alone: of H.264, B-frames that
            no other refers to are decoded only where their pixels are wanted; "raw" is the literal reading: list 0 first, no
            division, and under `sampled` no multiplication by the stride.
        camera: "median" or "affine" subtracts the motion of the camera; see `mgm.video.motion.camera.remove_camera`.
        short: what a video does that ends before the clip: `repeat_last` repeats the last frame that the stride reaches, `wrap`
            starts again with the first, `error` raises.
        cache: "use" takes clean codec motion from a sidecar file where a valid one lies beside the video (see
            `mgm.video.motion.cache`), the same bit for bit; "build" makes it where there is none; "ignore" does not look.
        cache_folder: where sidecars are, instead of beside their videos.

    Returns:
        A `Clip`; videos with a display rotation come upright, motion included.

    Raises:
        VideoError: unreadable, damaged or truncated file; `start` behind the end; "codec" motion asked of a stream that has none.
    """
    with VideoReader(video) as reader:
        return reader.read_clip(
            start=start,
            start_seconds=start_seconds,
            frames=frames,
            stride=stride,
            index=index,
            size=size,
            crop=crop,
            motion=motion,
            policy=policy,
            reading=reading,
            camera=camera,
            short=short,
            cache=cache,
            cache_folder=cache_folder,
        )


def read_motion(video: VideoLocator, **options: Unpack[MotionOptions]) -> MotionClip:
    """The motion of a clip without its frames: cheaper from the codec, as nothing is converted and the loop filter is left out.

    Takes the arguments of `read_clip` but `size`; unlike there, the default is the whole video, every frame:
    `frames=None, stride=1, crop=None`. A field of one hour at 720p takes gigabytes;
    `mgm.video.motion.streaming.iter_frame_motion` streams.
    """
    with VideoReader(video) as reader:
        return reader.read_motion(**options)


class VideoReader:
    """A video opened once for several clips: use it in a `with` block, or call `close`. For one thread at a time::

        with mgm.VideoReader("video.mp4") as reader:
            for start in (0, 100, 50):
                clip = reader.read_clip(start=start)

    MP4 and MOV are entered at the key frame before a clip, by their own index. In other containers the first clip counts packets
    from the start of the file (cheap, next to decoding), later ones enter at the key frames met before.

    Raises:
        VideoError: as `read_clip`, but at the first clip.
    """

    def __init__(self, video: VideoLocator, *, sidecar: Sidecar | None = None) -> None:
        """`sidecar`: the motion of the video where no file of it can lie beside."""
        self.name = describe_locator(video)
        self._place = video
        self._given = sidecar
        self._opened = ExitStack()
        self._video: OpenVideo | None = None
        self._index = KeyframeIndex(by_decode_time=False)
        self._indexed = False
        self._intra_only = False
        self._fresh = True  # nothing was demuxed since it was opened
        self._sidecars: dict[str | Path | None, Sidecar | None] = {}  # by the folder they were looked for in

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. A clip that is read afterwards opens it again."""
        self._video = None
        self._opened.close()

    def read_clip(self, **options: Unpack[ClipOptions]) -> Clip:
        """A clip of this video; arguments, defaults and errors as for `mgm.read_clip`."""
        request = Request(self.name, with_pixels=True, **options).definite()
        read = self._guarded(request)
        return Clip(self.name, read.images(0), read.motions[0], read.pts, read.wanted)

    def read_clips(self, crops: Sequence[Box], **options: Unpack[ClipOptions]) -> list[Clip]:
        """The same clip once for each region, from one decode pass: what `read_clip` with `crop=box` gives, bit for bit.

        Args:
            crops: regions (x, y, width, height) in pixels of the upright frame, all scaled to `size`.
            options: as for `mgm.read_clip`, but `crop`.
        """
        if not crops:
            return []
        read = self._guarded(Request(self.name, with_pixels=True, crops=tuple(crops), **options).definite())
        return [
            Clip(self.name, read.images(region), motion, read.pts, read.wanted)
            for region, motion in enumerate(read.motions)
        ]

    def read_motion(self, **options: Unpack[MotionOptions]) -> MotionClip:
        """The motion of a clip of this video; arguments, defaults and errors as for `mgm.video.read_motion`."""
        whole: MotionOptions = {"frames": None, "stride": 1, "crop": None}
        whole.update(options)
        request = Request(self.name, with_pixels=False, size=None, **whole).definite()
        read = self._guarded(request)
        (motion,) = read.motions
        assert motion is not None
        return MotionClip(self.name, motion, read.pts, read.wanted)

    def _guarded(self, request: Request) -> Read:
        try:
            return self._read(request)
        except BaseException:
            self.close()  # the decoder's state is unknown
            raise

    def _read(self, request: Request) -> Read:
        """Try the quick ways first. Each thing that turns out otherwise is noted, so that the same does not happen again."""
        seek = prepared = True
        while True:
            try:
                plan = self._plan(request, seek=seek, prepared=prepared)
                window = self._window(plan, seek=seek)
                if plan.unit > 1 and not is_aligned(window, plan):
                    prepared = False
                elif plan.source == "codec" and request.motion == "auto" and self._is_intra_only(window):
                    self._intra_only = True
                else:
                    read = carry_out(self._decoder(plan, window), window, plan)
                    if not read.entered_at_no_key(window):
                        return read
                    self._index.true_keys = self._index.usable = False
                    self.close()
            except NotAtStartError:
                seek = False
                self.close()
            except UncountableError:
                self._index.countable = False
                self.close()
            except DamagedSidecarError:  # the stream has it all
                self._given = None
                self._sidecars[request.cache_folder] = None
                if request.cache == "build" and isinstance(self._place, str | Path):
                    sidecar_path(self._place, request.cache_folder).unlink(missing_ok=True)

    def _plan(self, request: Request, *, seek: bool, prepared: bool) -> Plan:
        video = self._open()
        start = request.start if request.index is None else int(request.index[0])
        if request.start_seconds is not None:
            start = self._frame_at(request.start_seconds, seek=seek)
        source = request.source_for(video)
        if source == "codec" and request.motion == "auto" and self._intra_only:
            source = make_estimator("flow")
        plan = Plan(request, start, source, video.codec)
        if prepared and self._index.countable:
            plan = replace(plan, unit=prepared_unit(plan, video.container.metadata))
        return replace(plan, sidecar=self._sidecar_for(plan))

    def _is_intra_only(self, window: PacketWindow) -> bool:
        """Whether every picture is a key picture: such a stream has no motion, whatever its codec exports."""
        if not window.coded or not all(c.key for c in window.coded):
            return False
        if len(window.coded) > 1:
            return True
        return window.ended and self._index.all_keys(self._open(), window.base)  # the last one: those before it tell

    def _sidecar_for(self, plan: Plan) -> Sidecar | None:
        """The stored motion of the video, if the plan can use it and there is some, or it is to be built."""
        request, place = plan.request, self._place
        usable = plan.source == "codec" and plan.unit == 1 and request.reading == "clean" and request.cache != "ignore"
        if usable and self._given is not None:
            return self._given
        if not usable or not isinstance(place, str | Path) or is_url(place):
            return None
        folder = request.cache_folder
        if self._sidecars.get(folder) is None and (folder not in self._sidecars or request.cache == "build"):
            found = open_sidecar(place, folder) if sidecar_path(place, folder).exists() else None
            if found is None and request.cache == "build":
                build_sidecar(place, folder)  # a folder that cannot be written is an error: it was asked for
                found = open_sidecar(place, folder)
            self._sidecars[folder] = found
        return self._sidecars[folder]

    def _open(self) -> OpenVideo:
        if self._video is None:
            self._video = self._opened.enter_context(open_video(self._place, vectors=False))
            self._fresh = True
            if not self._indexed:
                self._index, self._indexed = KeyframeIndex.of(self._video), True
        return self._video

    def _window(self, plan: Plan, *, seek: bool) -> PacketWindow:
        video = self._open()
        fresh, self._fresh = self._fresh, False
        with span("demux"):
            return demux_window(video, self._index, plan.first, plan.read_to, fresh=fresh, seek=seek)

    def _frame_at(self, seconds: float, *, seek: bool) -> int:
        if not self._index.countable:
            self.close()
            video = self._open()
            configure(video, vectors=False, skip_loop_filter=True, strict=True)
            number = frame_at_by_decoding(video, seconds)
            self.close()
            self._open()
            return number
        video = self._open()
        fresh, self._fresh = self._fresh, False
        number = frame_at(video, self._index, seconds, fresh=fresh, seek=seek)
        if not seek:  # the next one stands at no start
            self.close()
            self._open()
        return number

    def _decoder(self, plan: Plan, window: PacketWindow) -> OpenVideo:
        """The opened video with a decoder that does what the plan needs. What a decoder does cannot be changed once it has begun;
        packets do not mind by which opening they are decoded."""
        video = self._open()
        codec = plan.source == "codec"
        wanted = (codec and plan.sidecar is None, codec and not plan.request.with_pixels, window.strict)
        if video.stream.codec_context.is_open and video.decoder != wanted:
            self.close()
            video = self._open()
        if video.stream.codec_context.is_open:
            video.stream.codec_context.flush_buffers()  # it has seen the end of the clip before
        else:
            configure(video, vectors=wanted[0], skip_loop_filter=wanted[1], strict=wanted[2])
        return video
