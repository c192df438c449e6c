"""Transcode one video to a file that is fast to read in training: upright, scaled, every frame once."""

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
from mgm.video.container.formats import file_url
from mgm.video.container.stream import OpenVideo, decode_all, no_frame, open_video
from mgm.video.motion.vectors import PICTURE_TYPES
from mgm.video.transcode.normalise import PictureNormaliser
from mgm.video.transcode.profiles import Profile, describe_profile
from mgm.workers.process import report_progress

_FINEST_CLOCK = 1_000_000  # ticks per second of the times in the result; an MP4 cannot hold nanoseconds
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO)


@dataclass(frozen=True, slots=True)
class Transcoded:
    """What `transcode` made.

    Attributes:
        source, target: the files.
        codec_in, codec_out: FFmpeg's names.
        frames: number of frames, of both files.
        height, width: of the result, upright, in pixels.
        interlaced: whether frames of the source are; the result is progressive.
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


def transcode_video(source: str | Path, target: str | Path, profile: Profile) -> Transcoded:
    """Encode a video into an MP4 of a profile, with every frame that a player shows exactly once, at its time.

    The result is upright (a rotation or mirroring is applied, not declared), its sides are even, its pixels yuv420p in the source's
    colour matrix and range; HDR is not tone-mapped. Interlaced frames are deinterlaced, one out for each one in. Times are the
    source's, however irregular; MPEG streams, whose clock may start anywhere, begin at 0. Sound is dropped. On one machine the same
    source gives the same bytes every time.

    Args:
        target: ends in .mp4; its folder is made. It appears when it is complete and has been decoded as a check.

    Raises:
        VideoError: the source is unreadable, damaged or truncated. FileError: the target cannot be written, or is the source.
            `target` is then as it was.
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
class _Encoded:
    """The pictures that were sent to the encoder, for the check of the result."""

    codec: str
    height: int = 0
    width: int = 0
    interlaced: bool = False
    seconds: list[float] = field(default_factory=list)


def _encode(source: Path, target: Path, part: Path, profile: Profile) -> _Encoded:
    with open_video(source, vectors=False) as video:
        made = _Encoded(video.codec)
        clock = _Clock(video)
        normaliser = PictureNormaliser(video, profile.short_side)
        # A late start is an edit of the film, whose clock has a thousand ticks a second by default.
        container = {"movflags": "+faststart", "movie_timescale": str(clock.unit.denominator)}
        with _encoder_errors(source, target), av.open(file_url(part), "w", format="mp4", options=container) as out:
            out.metadata["comment"] = describe_profile(profile)
            stream: av.video.stream.VideoStream | None = None
            for picture, ticks in normaliser.normalise(decode_all(video), clock):
                if stream is None:
                    stream = _add_stream(out, picture, video, profile, clock, normaliser)
                    made.height, made.width = picture.height, picture.width
                # A decoded picture carries its old type, which x264 would follow.
                picture.pict_type = av.video.frame.PictureType.NONE
                picture.pts, picture.time_base = ticks, clock.unit
                made.seconds.append(float(ticks * clock.unit))
                out.mux(stream.encode(picture))
                report_progress()
            if stream is None:
                raise no_frame(str(source))
            out.mux(stream.encode(None))
        made.interlaced = normaliser.interlaced
    return made


def _add_stream(
    out: av.container.OutputContainer,
    picture: av.video.frame.VideoFrame,
    video: OpenVideo,
    profile: Profile,
    clock: _Clock,
    normaliser: PictureNormaliser,
) -> av.video.stream.VideoStream:
    # a53cc: otherwise closed captions of the source get into the pictures' packets.
    options = {**profile.options, "a53cc": "0"}
    stream = out.add_stream("libx264", rate=clock.rate, options=options)
    context = stream.codec_context
    context.thread_count = 1
    context.height, context.width, context.pix_fmt = picture.height, picture.width, "yuv420p"
    context.time_base = clock.unit
    given = video.stream.codec_context
    context.color_range, context.colorspace = normaliser.colour_range, normaliser.matrix
    context.color_primaries, context.color_trc = given.color_primaries, given.color_trc
    aspect = video.stream.sample_aspect_ratio
    if aspect:
        context.sample_aspect_ratio = 1 / aspect if normaliser.transposed else aspect
    return stream


class _Clock:
    """Presentation times in whole units, strictly increasing. Recordings that were joined to one file follow each other."""

    def __init__(self, video: OpenVideo) -> None:
        rate = video.stream.average_rate or video.stream.guessed_rate or Fraction(25)
        self.rate = Fraction(rate).limit_denominator(90_000)
        self._video = video
        self._given = video.stream.time_base or 1 / self.rate
        self.unit = max(self._given, Fraction(1, _FINEST_CLOCK)) if video.timed else 1 / self.rate
        self._from_zero = video.container.format.name in ("mpegts", "mpeg")
        self._start: int | None = None
        self._shift = 0  # in units, of the recording that the picture is in
        self._last: int | None = None

    def __call__(self, picture: av.video.frame.VideoFrame) -> int:
        if not self._video.timed:
            self.unit = 1 / self.rate
            self._last = 0 if self._last is None else self._last + 1
            return self._last
        step = max(round(1 / self.rate / self.unit), 1)
        if picture.pts is None:
            ticks = (self._last or 0) + step
        else:
            if self._start is None:
                self._start = picture.pts if self._from_zero else 0
            ticks = round((picture.pts - self._start) * self._given / self.unit) + self._shift
            if self._last is not None and self._last - ticks > 2 * step:  # another recording begins
                self._shift += self._last + step - ticks
                ticks = self._last + step
        # Two frames may have one time: a coarse clock, or a damaged one.
        self._last = ticks if self._last is None else max(ticks, self._last + 1)
        return self._last


def _check(part: Path, target: Path, made: _Encoded, profile: Profile) -> None:
    """Decode the result and compare it with the pictures that were sent to the encoder."""
    off_grid: list[int] = []
    times: list[float] = []
    try:
        with open_video(part, vectors=False) as video:
            for number, picture in enumerate(decode_all(video)):
                report_progress()
                times.append(float("nan") if picture.pts is None else picture.pts * video.time_base)
                if (picture.height, picture.width) != (made.height, made.width):
                    found = f"frame {number} has {picture.width} x {picture.height} pixels"
                    raise _wrong(target, found, f"{made.width} x {made.height}")
                if profile.stride and (PICTURE_TYPES[int(picture.pict_type)] != "B") != (number % profile.stride == 0):
                    off_grid.append(number)
    except VideoError as error:
        raise error if error.subject == str(target) else _wrong(target, error.found, error.expected) from error
    last = len(made.seconds) - 1
    if len(times) != len(made.seconds):
        raise _wrong(target, f"{len(times)} frames", f"{len(made.seconds)}")
    if [number for number in off_grid if number != last]:  # no encoder ends with a B-frame
        expected = f"a reference at every {profile.stride}th frame alone"
        raise _wrong(target, f"frame {off_grid[0]} has the wrong type", expected)
    drift = np.ptp(np.subtract(times, made.seconds))
    if not drift <= 2 / _FINEST_CLOCK:
        raise _wrong(target, f"times that differ by {drift:.6f} s", "the source's")


def _wrong(target: Path, found: str, expected: str) -> VideoError:
    """The error of a result that failed its check."""
    return VideoError(
        target, f"the check of the encoded file found {found}", expected, "report it with the source", reason="mismatch"
    )


@contextmanager
def _encoder_errors(source: Path, target: Path) -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as error:
        if error.errno in _WRITE_ERRORS:
            raise cannot_write(target, OSError(error.errno, error.strerror)) from error
        raise VideoError(
            source,
            f"FFmpeg cannot encode its pictures as H.264 ({error.strerror})",
            "sides of at most 16384 pixels and an ordinary pixel format",
            "choose a short side, or remove it from the set",
            reason="unsupported",
        ) from error
