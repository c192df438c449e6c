"""Transcode one video to a file that is fast to read in training: upright, scaled, every frame once."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.codec.hwaccel
import av.container
import av.error
import av.logging
import av.video.frame
import av.video.stream

from mgm.errors import VideoError
from mgm.files.atomic import atomic_path, cannot_write, refuse_to_replace
from mgm.video.container.formats import file_url
from mgm.video.container.stream import OpenVideo, Packet, decode_all, no_frame, open_video
from mgm.video.transcode.check import FINEST_CLOCK, SentPictures, check_result
from mgm.video.transcode.encoders import VideoEncoder, find_encoder
from mgm.video.transcode.frame_rate import encodable_rate
from mgm.video.transcode.normalise import PictureNormaliser
from mgm.video.transcode.profiles import Profile, describe_profile
from mgm.workers.process import report_progress

_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO)

_MOST_TICKS = 2**31 - 1
"""Of a picture's duration in an MP4."""
_MOST_DOUBLED_TICKS = 20_000
"""Per second: FFmpeg doubles coarse clocks until they have 10,000."""


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
    source gives the same bytes every time, in software.

    Args:
        target: ends in .mp4; its folder is made. It appears when it is complete and `check_result` has decoded it.

    Raises:
        VideoError: the source is unreadable, damaged or truncated, or has a gap that no MP4 can hold; or, about the target, an
            encoder of hardware fails, or the file does not keep the profile. FileError: the target cannot be written, or is the
            source. `target` is then as it was.
    """
    source, target = Path(source), Path(target)
    refuse_to_replace(target, source)
    with atomic_path(target) as part:
        sent = _encode(source, target, part, profile)
        bytes_out = part.stat().st_size
        check_result(part, target, sent, profile)
    return Transcoded(
        source=str(source),
        target=str(target),
        codec_in=sent.codec,
        codec_out="h264",
        frames=len(sent.seconds),
        height=sent.height,
        width=sent.width,
        interlaced=sent.interlaced,
        bytes_in=source.stat().st_size,
        bytes_out=bytes_out,
    )


def _encode(source: Path, target: Path, part: Path, profile: Profile) -> SentPictures:
    encoder = find_encoder(profile.encoder)
    with open_video(source, vectors=False) as video:
        sent = SentPictures(video.codec)
        clock = _Clock(video)
        normaliser = PictureNormaliser(video, profile.short_side)
        # A late start is an edit of the film, whose clock has a thousand ticks a second by default.
        container = {"movflags": "+faststart", "movie_timescale": str(clock.unit.denominator)}
        with (
            _encoder_errors(source, target, encoder),
            av.open(file_url(part), "w", format="mp4", options=container) as out,
        ):
            out.metadata["comment"] = describe_profile(profile)
            stream: av.video.stream.VideoStream | None = None
            first: int | None = None
            for picture, ticks in normaliser.normalise(decode_all(video), clock):
                if stream is None:
                    with _reason_of_failure(target, encoder, picture):
                        stream = _add_stream(out, picture, video, profile, clock, normaliser)
                    if unknown := stream.codec_context.options:  # an FFmpeg with other options: it does not report them
                        raise _encoder_failure(target, f"{encoder.codec} has no option {', '.join(unknown)}")
                    sent.height, sent.width = picture.height, picture.width
                # A decoded picture carries its old type, which x264 would follow.
                picture.pict_type = av.video.frame.PictureType.NONE
                picture.pts, picture.time_base = ticks, clock.unit
                first = ticks if first is None else first
                sent.seconds.append(float((ticks - first) * clock.unit))
                _check_gap(source, sent.seconds, clock)
                out.mux(_packets(stream, picture, target, encoder))
                report_progress()
            if stream is None:
                raise no_frame(str(source))
            out.mux(_packets(stream, None, target, encoder))
        sent.interlaced = normaliser.interlaced
    return sent


def _check_gap(source: Path, seconds: list[float], clock: _Clock) -> None:
    """Raise VideoError if the last picture comes too long after the one before: FFmpeg wraps its time without a word, or fails."""
    most = _MOST_TICKS / max(clock.unit.denominator, _MOST_DOUBLED_TICKS)
    gap = seconds[-1] - seconds[-2] if len(seconds) > 1 else 0
    if gap > most:
        found = f"{gap:,.0f} s without a picture from {seconds[-2]:,.0f} s on"
        advice = "divide it there, or repair its times"
        raise VideoError(source, found, f"at most {most:,.0f} s in an MP4 of its clock", advice, reason="unsupported")


def _add_stream(
    out: av.container.OutputContainer,
    picture: av.video.frame.VideoFrame,
    video: OpenVideo,
    profile: Profile,
    clock: _Clock,
    normaliser: PictureNormaliser,
) -> av.video.stream.VideoStream:
    """The stream of a result, with its encoder opened."""
    encoder = find_encoder(profile.encoder)
    upload = av.codec.hwaccel.HWAccel(encoder.upload) if encoder.upload else None
    stream = out.add_stream(encoder.codec, rate=clock.rate, options=encoder.options(profile), hwaccel=upload)
    assert isinstance(stream, av.video.stream.VideoStream)
    context = stream.codec_context
    context.thread_count = 1
    context.height, context.width, context.pix_fmt = picture.height, picture.width, encoder.pixel_format
    context.time_base = clock.unit
    given = video.stream.codec_context
    context.color_range, context.colorspace = normaliser.colour_range, normaliser.matrix
    context.color_primaries, context.color_trc = given.color_primaries, given.color_trc
    aspect = video.stream.sample_aspect_ratio
    if aspect:
        context.sample_aspect_ratio = 1 / aspect if normaliser.transposed else aspect
    context.open()
    return stream


def _packets(
    stream: av.video.stream.VideoStream, picture: av.video.frame.VideoFrame | None, target: Path, encoder: VideoEncoder
) -> list[Packet]:
    """The packets that an encoder returns for a picture; None: the last ones."""
    try:
        return stream.encode(picture)
    except av.error.FFmpegError as error:
        if encoder.name == "software":
            raise
        # Those of drivers are often EIO, which from the muxer is the disk's.
        raise _encoder_failure(target, f"{encoder.codec} fails ({error.strerror})") from error


class _Clock:
    """Presentation times in whole units, strictly increasing. Recordings that were joined to one file follow each other."""

    def __init__(self, video: OpenVideo) -> None:
        rate = video.stream.average_rate or video.stream.guessed_rate or Fraction(25)
        self.rate = encodable_rate(rate)
        self._video = video
        self._given = video.stream.time_base or 1 / self.rate
        self.unit = max(self._given, Fraction(1, FINEST_CLOCK)) if video.timed else 1 / self.rate
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


@contextmanager
def _encoder_errors(source: Path, target: Path, encoder: VideoEncoder) -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as error:
        if error.errno in _WRITE_ERRORS:
            raise cannot_write(target, OSError(error.errno, error.strerror)) from error
        if encoder.name != "software":
            raise _encoder_failure(target, f"{encoder.codec} fails ({error.strerror})") from error
        raise VideoError(
            source,
            f"FFmpeg cannot encode its pictures as H.264 ({error.strerror})",
            "sides of at most 16384 pixels and an ordinary pixel format",
            "choose a short side, or remove it from the set",
            reason="unsupported",
        ) from error


@contextmanager
def _reason_of_failure(target: Path, encoder: VideoEncoder, picture: av.video.frame.VideoFrame) -> Iterator[None]:
    """Raise the failure of an encoder of hardware to open with the reason that FFmpeg logs: its error codes are without one."""
    if encoder.name == "software":
        yield
        return
    level, skip_repeated = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # else a repeated message comes at the next failure, in the place of its own
    try:
        with av.logging.Capture() as log:
            try:
                yield
            except (av.error.FFmpegError, av.codec.codec.UnknownCodecError) as error:
                # The first message is the cause, those after it what followed.
                reason = " ".join(log[0][2].split()) if log else getattr(error, "strerror", None) or str(error)
                found = f"{encoder.codec} does not open ({reason.rstrip('.')})"
                expected = f"that it encodes {picture.width} x {picture.height} pixels"
                raise _encoder_failure(target, found, expected) from error
    finally:
        av.logging.set_skip_repeated(skip_repeated)
        av.logging.set_level(level)


def _encoder_failure(target: Path, found: str, expected: str = "") -> VideoError:
    """The error of an encoder of hardware. It is about the target: nothing is wrong with the source."""
    advice = "encode it in software (--encoder software), or fewer videos at a time (--processes)"
    return VideoError(target, found, expected, advice, reason="unsupported")
