"""One video to one training-friendly file: upright, scaled, every frame once, whole under its name or not at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error
import av.video.frame
import av.video.stream
import numpy as np

from mgm.errors import VideoError
from mgm.files.atomic import atomic_path, cannot_write, refuse_to_replace
from mgm.video.container.stream import OpenVideo, decode_all, open_video
from mgm.video.motion.vectors import PICTURE_TYPES
from mgm.video.transcode.normalise import Upright
from mgm.video.transcode.profiles import Profile, describe
from mgm.workers.process import report_progress

FINEST = 1_000_000  # ticks per second of the times in the result; an MP4 takes no nanoseconds
CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO)


@dataclass(frozen=True, slots=True)
class Transcoded:
    """What `transcode` made.

    Attributes:
        source, target: the files.
        codec_in, codec_out: FFmpeg's names.
        frames: of both.
        height, width: of the result, upright, in pixels.
        interlaced: whether frames of the source were; the result is progressive.
        bytes_in, bytes_out: sizes of the files.
    """

    source: str
    target: str
    codec_in: str
    codec_out: str
    frames: int
    height: int
    width: int
    interlaced: bool
    bytes_in: int
    bytes_out: int


def transcode(source: str | Path, target: str | Path, profile: Profile) -> Transcoded:
    """Encode a video as `profile` says into an MP4, with every frame that a player shows exactly once, at its time.

    The result is upright (a rotation or mirroring is applied, not declared), its sides are even, its pixels yuv420p in the source's
    colour matrix and range; HDR is not tone-mapped. Interlaced frames are deinterlaced, one out for each one in. Times are the
    source's, however irregular; MPEG streams, whose clock starts anywhere, begin at 0. Sound is dropped. On one machine the same
    source gives the same bytes every time.

    Args:
        target: ends in .mp4; its folder is made. It appears when it is whole and has been decoded as a check.

    Raises:
        VideoError: the source is unreadable, damaged or truncated; the target cannot be written, or is the source. `target` is
            then as it was.
    """
    source, target = Path(source), Path(target)
    refuse_to_replace(target, source)
    with atomic_path(target) as part:
        made = _encode(source, target, part, profile)
        bytes_out = part.stat().st_size
        _check(part, target, made, profile)
    return Transcoded(
        source=str(source),
        target=str(target),
        codec_in=made.codec,
        codec_out="h264",
        frames=len(made.seconds),
        height=made.height,
        width=made.width,
        interlaced=made.interlaced,
        bytes_in=source.stat().st_size,
        bytes_out=bytes_out,
    )


@dataclass(slots=True)
class _Made:
    """What was sent to the encoder: the check after it compares."""

    codec: str
    height: int = 0
    width: int = 0
    interlaced: bool = False
    seconds: list[float] = field(default_factory=list)


def _encode(source: Path, target: Path, part: Path, profile: Profile) -> _Made:
    with open_video(source, vectors=False) as video:
        made = _Made(video.codec)
        clock = _Clock(video)
        shaper = Upright(video, profile.short_side)
        # A late start is an edit of the film, whose clock has a thousand ticks a second unless told otherwise.
        container = {"movflags": "+faststart", "movie_timescale": str(clock.unit.denominator)}
        with _encoder_errors(source, target), av.open(str(part), "w", format="mp4", options=container) as out:
            out.metadata["comment"] = describe(profile)
            stream: av.video.stream.VideoStream | None = None
            for picture, ticks in shaper.shape(decode_all(video), clock):
                if stream is None:
                    stream = _add_stream(out, picture, video, profile, clock, shaper)
                    made.height, made.width = picture.height, picture.width
                # A picture from a decoder carries its old type, which x264 would take as an order.
                picture.pict_type = av.video.frame.PictureType.NONE
                picture.pts, picture.time_base = ticks, clock.unit
                made.seconds.append(float(ticks * clock.unit))
                out.mux(stream.encode(picture))
                report_progress()
            if stream is None:
                raise VideoError(
                    f"{source}: no frame could be decoded, expected at least one; the file is damaged: remove it from the set"
                )
            out.mux(stream.encode(None))
        made.interlaced = shaper.interlaced
    return made


def _add_stream(
    out: av.container.OutputContainer,
    picture: av.video.frame.VideoFrame,
    video: OpenVideo,
    profile: Profile,
    clock: _Clock,
    shaper: Upright,
) -> av.video.stream.VideoStream:
    # Closed captions of the source would end up in the pictures' packets.
    options = {**profile.options, "a53cc": "0"}
    stream = out.add_stream("libx264", rate=clock.rate, options=options)
    context = stream.codec_context
    context.thread_count = 1
    context.height, context.width, context.pix_fmt = picture.height, picture.width, "yuv420p"
    context.time_base = clock.unit
    given = video.stream.codec_context
    context.color_range, context.colorspace = shaper.colour_range, shaper.matrix
    context.color_primaries, context.color_trc = given.color_primaries, given.color_trc
    aspect = video.stream.sample_aspect_ratio
    if aspect:
        context.sample_aspect_ratio = 1 / aspect if shaper.turned else aspect
    return stream


class _Clock:
    """Presentation times in whole units that only ever grow."""

    def __init__(self, video: OpenVideo) -> None:
        rate = video.stream.average_rate or video.stream.guessed_rate or Fraction(25)
        self.rate = Fraction(rate).limit_denominator(90_000)
        self._timed = video.timed
        self._given = video.stream.time_base or 1 / self.rate
        self.unit = max(self._given, Fraction(1, FINEST)) if self._timed else 1 / self.rate
        self._from_zero = video.container.format.name in ("mpegts", "mpeg")
        self._start: int | None = None
        self._last: int | None = None

    def __call__(self, picture: av.video.frame.VideoFrame) -> int:
        if self._last is None and picture.pts is None:  # a raw stream
            self._timed, self.unit = False, 1 / self.rate
        if not self._timed:
            self._last = 0 if self._last is None else self._last + 1
            return self._last
        step = max(round(1 / self.rate / self.unit), 1)
        if picture.pts is None:
            ticks = (self._last or 0) + step
        else:
            if self._start is None:
                self._start = picture.pts if self._from_zero else 0
            ticks = round((picture.pts - self._start) * self._given / self.unit)
        # Two frames at one time: a coarse clock, or a damaged one.
        self._last = ticks if self._last is None else max(ticks, self._last + 1)
        return self._last


def _check(part: Path, target: Path, made: _Made, profile: Profile) -> None:
    """Decode what was written and compare it with what was sent to the encoder."""
    off_grid: list[int] = []
    times: list[float] = []
    problem = None
    try:
        with open_video(part, vectors=False) as video:
            for number, picture in enumerate(decode_all(video)):
                report_progress()
                times.append(float("nan") if picture.pts is None else picture.pts * video.time_base)
                if (picture.height, picture.width) != (made.height, made.width):
                    problem = f"a frame of {picture.width} x {picture.height}, expected {made.width} x {made.height}"
                if profile.stride and (PICTURE_TYPES[int(picture.pict_type)] != "B") != (number % profile.stride == 0):
                    off_grid.append(number)
    except VideoError as error:
        problem = str(error).replace(str(part), "the file")
    last = len(made.seconds) - 1
    if problem is None and len(times) != len(made.seconds):
        problem = f"{len(times)} frames, expected {len(made.seconds)}"
    if problem is None and [number for number in off_grid if number != last]:  # no encoder ends with a B-frame
        problem = f"frame {off_grid[0]} of the wrong type, expected a reference at every {profile.stride}th frame alone"
    if problem is None:
        drift = np.ptp(np.subtract(times, made.seconds))
        if not drift <= 2 / FINEST:
            problem = f"times that differ by {drift:.6f} s, expected the source's"
    if problem is not None:
        raise VideoError(
            f"{target}: the encoded file was checked and found wrong: {problem}; report it with the source"
        )


@contextmanager
def _encoder_errors(source: Path, target: Path) -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as error:
        if error.errno in CANNOT_WRITE:
            raise cannot_write(target, OSError(error.errno, error.strerror)) from error
        raise VideoError(
            f"{source}: FFmpeg cannot encode its pictures as H.264 ({error.strerror}), expected sides of at most 16384 pixels and "
            "an ordinary pixel format; choose a short side, or remove it from the set"
        ) from error
