"""Opening a video, what its stream says of itself, and the packets of a clip: the fewest that decode it exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias

import av
import av.container
import av.error
import av.video.frame
import av.video.stream
from av.stream import Disposition

from mgm.errors import VideoError
from mgm.spans import span
from mgm.video.container.h264 import nal_length_size, parse_first_slice
from mgm.video.container.locator import VideoLocator, open_locator

MOST_REORDERED = 32
"""Packets after which a picture has left every decoder: H.264 holds back at most 16 frames of two fields."""

Packet: TypeAlias = "av.packet.Packet[av.video.stream.VideoStream]"

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
"""Of these, the codecs whose B-frames' vectors are true. Decoders of the MPEG-4 part 2 family export exact zeros for them, those of
MPEG-1 and 2 zeros for list 0 in most blocks of a moving scene: there the frames that enclose them tell more."""


@dataclass(slots=True)
class OpenVideo:
    """An open container and its first video stream that is no cover picture.

    Attributes:
        name: how errors call it.
        codec: FFmpeg's name of the codec, for example "h264".
        time_base: seconds per unit of the stream's presentation times.
        exports_vectors: whether the decoder of this stream exports motion vectors at all.
        nal_length_size: see `mgm.video.container.h264.nal_length_size`; None: not H.264.
        decoder: what `configure` set: (vectors, skip_loop_filter, strict).
    """

    name: str
    container: av.container.InputContainer
    stream: av.video.stream.VideoStream
    codec: str = field(init=False)
    time_base: float = field(init=False)
    exports_vectors: bool = field(init=False)
    nal_length_size: int | None = field(init=False)
    decoder: tuple[bool, bool, bool] = field(init=False, default=(False, False, True))

    def __post_init__(self) -> None:
        codec = self.stream.codec_context.codec
        self.codec = codec.canonical_name
        self.time_base = float(self.stream.time_base or 1)
        self.exports_vectors = codec.name in EXPORTS_VECTORS
        extradata = self.stream.codec_context.extradata or b""
        self.nal_length_size = nal_length_size(extradata) if self.codec == "h264" else None

    @property
    def timed(self) -> bool:
        """Whether packets carry true presentation times. FFmpeg makes them up, in decode order, for H.264 and HEVC in AVI; raw
        streams have none, which only their first packet tells."""
        return not ("avi" in self.container.format.name and self.codec in ("h264", "hevc"))


@contextmanager
def open_video(place: VideoLocator, *, vectors: bool, skip_loop_filter: bool = False) -> Iterator[OpenVideo]:
    """Open a video for decoding on one thread.

    One thread, because under frame threading FFmpeg returns wrong vectors for H.264 with B-frames: they are read while another
    thread still decodes the picture, and differ from run to run. Parallelise over clips instead.

    Args:
        vectors: export motion vectors; must be set before the decoder opens, so it cannot be turned on later.
        skip_loop_filter: leave out the deblocking filter. Vectors stay bit-identical, pixels do not: for motion alone.

    Raises:
        VideoError: no such file, empty, not a video, no video stream.
    """
    with ExitStack() as opened:
        with span("open"):
            video = opened.enter_context(_opened(place, vectors=vectors, skip_loop_filter=skip_loop_filter))
        try:
            yield video
        finally:
            with span("open"):
                opened.close()


@contextmanager
def _opened(place: VideoLocator, *, vectors: bool, skip_loop_filter: bool) -> Iterator[OpenVideo]:
    with open_locator(place) as given:
        name = given.name
        try:
            # Without the protocol's name a colon in a relative path would be taken for one.
            file = f"file:{given.file}" if isinstance(given.file, str) else given.file
            container = av.open(file, "r", metadata_errors="replace")
        except av.error.FFmpegError as error:  # some are an OSError as well
            if isinstance(error, PermissionError):
                raise VideoError(
                    f"{name}: cannot be opened ({error.strerror}); check the file's permissions"
                ) from error
            raise VideoError(f"{name}: {_why_unreadable(given.head(), error)}") from error
        except OSError as error:
            raise VideoError(
                f"{name}: cannot be read ({error}); check the file, its permissions or the connection"
            ) from error
        with container:
            stream = _video_stream(container, name)
            video = OpenVideo(name, container, stream)
            configure(video, vectors=vectors, skip_loop_filter=skip_loop_filter, strict=True)
            yield video


def configure(video: OpenVideo, *, vectors: bool, skip_loop_filter: bool, strict: bool) -> None:
    """Set what a decoder does, before it opens with the first packet.

    Args:
        vectors, skip_loop_filter: see `open_video`.
        strict: damage is an error. Without it the decoder paints over it and says nothing.
    """
    context = video.stream.codec_context
    context.thread_count = 1
    options = {"err_detect": "explode"} if strict else {}
    if vectors:
        options["flags2"] = "+export_mvs"
    if skip_loop_filter:
        options["skip_loop_filter"] = "all"
    context.options = options
    video.decoder = (vectors, skip_loop_filter, strict)


def _video_stream(container: av.container.InputContainer, name: str) -> av.video.stream.VideoStream:
    covers = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
    stream = next((s for s in container.streams.video if s not in covers), None)
    if stream is None:
        kinds = {"cover picture" if s in covers else s.type for s in container.streams}
        found = ", ".join(sorted(kinds)) or "nothing"
        raise VideoError(f"{name}: has no video stream (found: {found}), expected a video; remove it from the set")
    if stream.codec_context is None:
        raise VideoError(f"{name}: its video codec is unknown to FFmpeg; transcode it to H.264")
    return stream


def _why_unreadable(head: bytes, error: av.error.FFmpegError) -> str:
    """Say what the file really is, from its first bytes, where FFmpeg says only "invalid data"."""
    if head[4:8] == b"ftyp":
        return "an MP4 without its index (moov), expected a complete file; it was truncated: copy or download it again"
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head):
        return "is plain text, expected a video; remove it from the set"
    return f"FFmpeg cannot read it as a video ({error.strerror}), expected a video; it is damaged or of another kind"


def decode_packet(video: OpenVideo, packet: Packet | None) -> list[av.video.frame.VideoFrame]:
    """Decode one packet (None flushes the decoder). Raises VideoError where the stream is damaged."""
    context = video.stream.codec_context
    if packet is not None and not context.is_open and video.decoder[2] and not _begins_clean(video, packet):
        # Its first pictures refer to others that were cut off. Players leave them out; a strict decoder would call it damage.
        configure(video, vectors=video.decoder[0], skip_loop_filter=video.decoder[1], strict=False)
    try:
        return context.decode(packet)
    except av.error.EOFError:
        return []
    except av.error.FFmpegError as error:
        where = "" if packet is None or packet.pts is None else f" at {packet.pts * video.time_base:.2f} s"
        raise VideoError(
            f"{video.name}: damaged{where} ({error.strerror}), expected an intact stream; "
            "repair it with 'ffmpeg -err_detect ignore_err -i IN OUT', or remove it from the set"
        ) from error


def _begins_clean(video: OpenVideo, packet: Packet) -> bool:
    lengths = video.nal_length_size
    return lengths is None or parse_first_slice(bytes(packet), lengths).idr


def packets(video: OpenVideo, *, before: int = 0) -> Iterator[Packet]:
    """The stream's packets in decode order from where the container stands, without FFmpeg's empty one at the end.

    Args:
        before: how many of the stream's packets lie before that place.

    Raises:
        VideoError: the file is damaged, or an MP4 or MOV holds fewer pictures than its index lists.
    """
    demuxed = video.container.demux(video.stream)
    count, complete = before, 0
    if "mp4" in video.container.format.name:  # an edit list may have taken packets out of the index
        complete = min(video.stream.frames, len(video.stream.index_entries))
    while True:
        try:
            packet = next(demuxed, None)
        except (
            av.error.FFmpegError,
            OSError,
            IndexError,
        ) as error:  # PyAV: a stream appears that the header did not announce
            what = getattr(error, "strerror", None) or "a stream that its header does not announce"
            raise VideoError(
                f"{video.name}: damaged after {count} frames ({what}), expected an intact file; copy or download it again"
            ) from error
        if packet is None:
            break
        if packet.is_corrupt and "mpegts" not in video.container.format.name:  # a lost TS packet may be of no harm
            raise VideoError(
                f"{video.name}: truncated: the file ends within frame {count} (in decode order), expected all of it; "
                "copy or download it again"
            )
        if packet.is_discard:  # an edit list hides pictures, and may have taken others out of the index
            complete = 0
        if packet.size:
            count += 1
            yield packet
    if count < complete:
        raise VideoError(
            f"{video.name}: truncated: {count} frames in the file, expected {complete} by its index; copy or download it again"
        )


def decode_all(video: OpenVideo) -> Iterator[av.video.frame.VideoFrame]:
    """Every frame of a freshly opened video in display order. Raises VideoError where it is damaged, or holds no frame at all."""
    count = 0
    for packet in chain(packets(video), [None]):
        for frame in decode_packet(video, packet):
            count += 1
            yield frame
    if not count:
        raise no_frame(video.name)


def no_frame(name: str) -> VideoError:
    """The error of a video whose packets give no frame."""
    return VideoError(
        name,
        "no frame could be decoded",
        "at least one",
        "the file is damaged: remove it from the set",
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
