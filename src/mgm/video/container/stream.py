"""An open video: its first video stream, its packets in decode order, its frames in display order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import BinaryIO, TypeAlias

import av
import av.container
import av.error
import av.video.frame
import av.video.stream
from av.stream import Disposition

from mgm.errors import VideoError
from mgm.spans import span
from mgm.video.container.beginning import carry_display_times, declared_orientation
from mgm.video.container.carried_state import CarriedState, carry
from mgm.video.container.colours import convertible
from mgm.video.container.formats import open_container
from mgm.video.container.h264 import declared_reordering, nal_length_size, parse_first_slice
from mgm.video.container.locator import LocatedFile, Pipe, VideoLocator, cannot_open, open_locator
from mgm.video.container.orientation import Orientation
from mgm.video.container.picture_size import MOST_PICTURE_PIXELS, check_picture_size

MOST_REORDERED = 32
"""Packets after which a picture has left every decoder: H.264 holds back at most 16 frames of two fields."""

Packet: TypeAlias = "av.packet.Packet[av.video.stream.VideoStream]"

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
"""The first bytes of PNG, JPEG, BMP and TIFF. A GIF is read as a video."""

EXPORTS_VECTORS = frozenset(
    {
        "h264",
        "mpeg4",
        "mpeg1video",
        "mpeg2video",
        "h263",
        "h263p",
        "msmpeg4v1",
        "msmpeg4v2",
        "msmpeg4",
        "wmv1",
        "wmv2",
        "flv",
        "rv10",
        "rv20",
    }
)
"""FFmpeg's decoders (by name) that export motion vectors. HEVC, VP8, VP9, AV1, Theora and MJPEG do not."""

EXPORTS_B_VECTORS = frozenset({"h264"})
"""The codecs among them whose B-frames have correct vectors. Decoders of the MPEG-4 part 2 family export exact zeros for them,
those of MPEG-1 and 2 zeros for list 0 in most blocks of a moving scene: their motion is that of the frames that enclose them."""

_TIMES_OF_DECODING = {
    "avi": frozenset({"h264", "hevc"}),
    "asf": frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "vc1", "wmv3"}),
}
"""By the name of a container that stores a time per picture in decode order: the codecs with B-pictures for which FFmpeg does not
find out when they are shown. Its presentation times are then made up, in decode order."""


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """The setup of a decoder.

    Attributes:
        vectors: export motion vectors.
        skip_loop_filter: leave out the deblocking filter. Vectors stay bit-identical, pixels do not: for motion alone.
        strict: damage is an error. Otherwise the decoder conceals it silently.
    """

    vectors: bool = False
    skip_loop_filter: bool = False
    strict: bool = True


@dataclass(slots=True)
class OpenVideo:
    """An open container and its first video stream other than cover art.

    Attributes:
        name: the subject of its errors.
        codec: FFmpeg's name of the codec, for example "h264".
        time_base: seconds per unit of the stream's presentation times.
        rate: frames per second by the container, 0 if unknown.
        exports_vectors: whether the decoder of this stream exports motion vectors at all.
        nal_length_size: see `mgm.video.container.h264.nal_length_size`; None: not H.264.
        settings: of the decoder, see `configure`.
        demuxed: packets have been read since the video was opened.
        timed: packets carry true presentation times. Streams that have none, or the times of decoding instead, show it in their
            first packets only.
        orientation: of all pictures, where the stream itself declares it with some of them; None: each picture has its own.
        state: what the decoder needs beside the next packet, as far as it has been demuxed.
    """

    name: str
    container: av.container.InputContainer
    stream: av.video.stream.VideoStream
    codec: str = field(init=False)
    time_base: float = field(init=False)
    rate: float = field(init=False)
    exports_vectors: bool = field(init=False)
    nal_length_size: int | None = field(init=False)
    settings: DecoderSettings = field(init=False, default=DecoderSettings())
    demuxed: bool = field(init=False, default=False)
    timed: bool = field(init=False)
    orientation: Orientation | None = field(init=False, default=None)
    state: CarriedState = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        codec = self.stream.codec_context.codec
        self.codec = codec.canonical_name
        self.time_base = float(self.stream.time_base or 1)
        self.rate = float(self.stream.average_rate or 0)
        self.exports_vectors = codec.name in EXPORTS_VECTORS
        self.timed = self.codec not in _TIMES_OF_DECODING.get(self.container.format.name, ())
        extradata = self.stream.codec_context.extradata or b""
        self.nal_length_size = nal_length_size(extradata) if self.codec == "h264" else None

    @property
    def reordered(self) -> bool:
        """Whether pictures may be shown in another order than that of decoding."""
        context = self.stream.codec_context
        return bool(context.has_b_frames or (self.codec == "h264" and declared_reordering(context.extradata or b"")))

    @property
    def usual_interval(self) -> float:
        """Time from one frame to the next by the container's rate, in the stream's time base; 1 without a rate."""
        return 1 / (self.rate * self.time_base) if self.rate else 1.0

    def seconds(self, number: int, pts: int | None) -> float:
        """The presentation time of frame `number`, whose picture carries `pts`: without true times, by the rate; NaN: unknown."""
        if self.timed:
            return float("nan") if pts is None else pts * self.time_base
        return number / self.rate if self.rate else float("nan")


@contextmanager
def open_video(
    locator: VideoLocator, *, vectors: bool, skip_loop_filter: bool = False, brief: bool = False
) -> Iterator[OpenVideo]:
    """Open a video for decoding on one thread.

    One thread, because under frame threading FFmpeg returns wrong vectors for H.264 with B-frames: they are read while another
    thread still decodes the picture, and differ from run to run. Parallelise over clips instead.

    Args:
        vectors, skip_loop_filter: see `DecoderSettings`; fixed once the decoder has begun.
        brief: see `open_container`; the stream may then be without a pixel format before its first picture.

    Raises:
        VideoError: no such file, empty, not a video, no video stream.
    """
    settings = DecoderSettings(vectors, skip_loop_filter)
    with ExitStack() as opened:
        with span("open"):
            video = opened.enter_context(_opened(opened.enter_context(open_locator(locator)), settings, brief=brief))
        try:
            yield video
        finally:
            with span("open"):
                opened.close()


@contextmanager
def open_pipe(stream: BinaryIO, name: str) -> Iterator[OpenVideo]:
    """Open a video that arrives in order, such as on standard input, to decode its pictures with `decode_all`.

    Args:
        name: the subject of its errors.

    Raises:
        VideoError: not a video, no video stream, or a format whose pictures cannot be decoded before its end has arrived.
    """
    with _opened(LocatedFile(name, Pipe(stream)), DecoderSettings()) as video:
        yield video


@contextmanager
def _opened(given: LocatedFile, settings: DecoderSettings, *, brief: bool = False) -> Iterator[OpenVideo]:
    name = given.name
    try:
        container = open_container(given.file, brief=brief)
    except av.error.FFmpegError as error:  # some are an OSError as well
        if isinstance(error, PermissionError):
            raise cannot_open(name, error.strerror, "check the file's permissions") from error
        raise _not_a_video(name, given.head(), error) from error
    except OSError as error:
        raise cannot_open(name, error, "check the file, its permissions or the connection") from error
    with container:
        stream = _video_stream(container, name)
        video = OpenVideo(name, container, stream)
        configure(video, settings)
        yield video


def configure(video: OpenVideo, settings: DecoderSettings) -> None:
    """Set up a decoder before its first packet opens it."""
    context = video.stream.codec_context
    context.thread_count = 1
    options = {"max_pixels": str(MOST_PICTURE_PIXELS)}  # a stream may change its size
    if settings.strict:
        options["err_detect"] = "explode"
    if settings.vectors:
        options["flags2"] = "+export_mvs"
    if settings.skip_loop_filter:
        options["skip_loop_filter"] = "all"
    context.options = options
    video.settings = settings


def _video_stream(container: av.container.InputContainer, name: str) -> av.video.stream.VideoStream:
    covers = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
    stream = next((s for s in container.streams.video if s not in covers), None)
    if stream is None:
        kinds = {"cover picture" if s in covers else s.type for s in container.streams}
        found = ", ".join(sorted(kinds)) or "nothing"
        raise VideoError(
            name, f"has no video stream (found: {found})", "a video", "leave the file out", reason="no_video_stream"
        )
    if stream.codec_context is None:
        raise VideoError(
            name, "its video codec is unknown to FFmpeg", advice="transcode it to H.264", reason="unsupported"
        )
    check_picture_size(name, stream.codec_context.width, stream.codec_context.height)
    return stream


def _not_a_video(name: str, head: bytes, error: av.error.FFmpegError) -> VideoError:
    """The error of a file that FFmpeg rejects as "invalid data", by its first bytes."""
    if head[4:8] == b"ftyp":
        return VideoError(
            name,
            "an MP4 without its index (moov)",
            "a complete file",
            "it was truncated: copy or download it again",
            reason="truncated",
        )
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head):
        advice = "give the video itself; a list of videos is a set"
        return VideoError(name, "is plain text", "a video", advice, reason="not_video")
    if head.startswith(_PICTURES) or (head[:4], head[8:12]) == (b"RIFF", b"WEBP"):
        advice = "only a set may contain pictures, animated or not"
        return VideoError(name, "is a picture", "a video", advice, reason="not_video")
    if isinstance(error, av.error.ArgumentError):  # raised for formats that `open_container` leaves out
        return VideoError(
            name,
            "is of a kind that mgm does not open",
            "one file with the video in it",
            "playlists and scripts name other files: give those",
            reason="not_video",
        )
    return VideoError(
        name,
        f"FFmpeg cannot read it as a video ({error.strerror})",
        "a video",
        "it is damaged or of another kind",
        reason="not_video",
    )


def decode_packet(video: OpenVideo, packet: Packet | None) -> list[av.video.frame.VideoFrame]:
    """Decode one packet (None flushes the decoder). Raises VideoError where the stream is damaged."""
    context = video.stream.codec_context
    if packet is not None and not context.is_open and video.settings.strict and not begins_clean(video, packet):
        # Its first pictures refer to others that were cut off. Players skip them; a strict decoder would report damage.
        configure(video, replace(video.settings, strict=False))
    try:
        pictures = context.decode(packet)
    except av.error.EOFError:
        return []
    except av.error.FFmpegError as error:
        pts = None if packet is None or not video.timed else packet.pts  # without times it is a number of the packet
        at = None if pts is None else round(pts * video.time_base, 2)
        raise VideoError(
            video.name,
            f"damaged{'' if at is None else f' at {at:.2f} s'} ({error.strerror})",
            "an intact stream",
            "repair it with 'ffmpeg -err_detect ignore_err -i IN OUT'",
            reason="damaged",
            at=at,
        ) from error
    return [convertible(picture) for picture in pictures]


def begins_clean(video: OpenVideo, packet: Packet) -> bool:
    """Whether decoding can begin at a packet without damage: at a keyframe, in H.264 at an IDR picture only."""
    lengths = video.nal_length_size
    return packet.is_keyframe if lengths is None else parse_first_slice(bytes(packet), lengths).idr


def packets(video: OpenVideo, *, before: int = 0) -> Iterator[Packet]:
    """The stream's packets in decode order from the container's position, without FFmpeg's empty one at the end.

    Args:
        before: number of the stream's packets before that position.

    Raises:
        VideoError: the file is damaged, or an MP4 or MOV holds fewer pictures than its index lists.
    """
    demuxed = _demux(video, before)
    if not video.demuxed:
        video.demuxed = True
        begin = list(islice(demuxed, 3))
        context = video.stream.codec_context
        video.timed = video.timed and carry_display_times(begin, reordered=video.reordered)
        video.orientation = declared_orientation(context, begin, video.nal_length_size, video.name)
        demuxed = chain(begin, demuxed)
    for packet in demuxed:
        if packet.is_keyframe:
            video.state = carry(video.state, packet)
        yield packet


def _demux(video: OpenVideo, before: int) -> Iterator[Packet]:
    demuxed = video.container.demux(video.stream)
    count, complete = before, 0
    if "mp4" in video.container.format.name:  # an edit list may have taken packets out of the index
        complete = min(video.stream.frames, len(video.stream.index_entries))
    while True:
        try:
            packet = next(demuxed, None)
        except (av.error.FFmpegError, OSError, IndexError) as error:  # IndexError: a stream that the header lacks
            what = getattr(error, "strerror", None) or "a stream that its header does not announce"
            raise VideoError(
                video.name,
                f"damaged after {count} frames ({what})",
                "an intact file",
                "copy or download it again",
                reason="damaged",
            ) from error
        if packet is None:
            break
        if packet.is_corrupt and "mpegts" not in video.container.format.name:  # a lost TS packet may be of no harm
            raise truncated(video.name, f"the file ends within frame {count} (in decode order)", "all of it")
        if packet.is_discard:  # an edit list hides pictures, and may have taken others out of the index
            complete = 0
        if packet.size:
            count += 1
            yield packet
    if count < complete:
        raise truncated(video.name, f"{count} frames in the file", f"{complete} by its index")


def decode_all(video: OpenVideo) -> Iterator[av.video.frame.VideoFrame]:
    """Every frame of a freshly opened video in display order. Raises VideoError where it is damaged, or holds no frame at all."""
    count = 0
    for packet in chain(packets(video), [None]):
        for frame in decode_packet(video, packet):
            count += 1
            yield frame
    if not count:
        raise no_frame(video.name)


def truncated(name: str, found: str, expected: str) -> VideoError:
    """The error of a file that ends too early."""
    return VideoError(name, f"truncated: {found}", expected, "copy or download it again", reason="truncated")


def no_frame(name: str) -> VideoError:
    """The error of a video whose packets give no frame."""
    return VideoError(
        name,
        "no frame could be decoded",
        "at least one",
        "the file is damaged: copy or download it again",
        reason="damaged",
    )


def no_vectors(video: OpenVideo) -> VideoError:
    """The error of codec motion requested of a stream whose decoder exports no motion vectors."""
    return VideoError(
        video.name,
        f"{video.codec.upper()} carries no exported motion vectors",
        "H.264, MPEG-4 part 2, MPEG-1/2 or H.263",
        "measure optical flow instead (motion='auto', --motion auto), or transcode it first (mgm prepare SRC DST)",
        reason="no_vectors",
    )
