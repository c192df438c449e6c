"""Opening a video, what its stream says of itself, and the packets of a clip: the fewest that decode it exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import av
import av.container
import av.error
import av.video.frame
import av.video.stream

from mgm.errors import VideoError

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

EXPORTS_B_VECTORS = frozenset({"h264", "mpeg1video", "mpeg2video"})
"""Of these, the codecs whose B-frames' vectors are true. The decoders of the MPEG-4 part 2 family export exact zeros for them."""


@dataclass(slots=True)
class OpenVideo:
    """An open container and its first video stream.

    Attributes:
        name: how errors call it.
        codec: FFmpeg's name of the codec, for example "h264".
        time_base: seconds per unit of the stream's presentation times.
        exports_vectors: whether the decoder of this stream exports motion vectors at all.
    """

    name: str
    container: av.container.InputContainer
    stream: av.video.stream.VideoStream
    codec: str = field(init=False)
    time_base: float = field(init=False)
    exports_vectors: bool = field(init=False)

    def __post_init__(self) -> None:
        codec = self.stream.codec_context.codec
        self.codec = codec.canonical_name
        self.time_base = float(self.stream.time_base or 1)
        self.exports_vectors = codec.name in EXPORTS_VECTORS

    @property
    def timed(self) -> bool:
        """Whether packets carry true presentation times. FFmpeg makes them up, in decode order, for H.264 and HEVC in AVI; raw
        streams have none, which only their first packet tells."""
        return not ("avi" in self.container.format.name and self.codec in ("h264", "hevc"))


@contextmanager
def open_video(path: str | Path, *, vectors: bool, skip_loop_filter: bool = False) -> Iterator[OpenVideo]:
    """Open a video for decoding on one thread.

    One thread, because under frame threading FFmpeg returns wrong vectors for H.264 with B-frames: they are read while another
    thread still decodes the picture, and differ from run to run. Parallelise over clips instead.

    Args:
        vectors: export motion vectors; must be set before the decoder opens, so it cannot be turned on later.
        skip_loop_filter: leave out the deblocking filter. Vectors stay bit-identical, pixels do not: for motion alone.

    Raises:
        VideoError: no such file, empty, not a video, no video stream.
    """
    name = str(path)
    file = Path(path)
    if not file.exists():
        raise VideoError(f"{name}: no such file; check the path")
    if file.is_dir():
        raise VideoError(f"{name}: is a folder; give one video file")
    if file.stat().st_size == 0:
        raise VideoError(f"{name}: the file is empty (0 bytes), expected a video; copy or download it again")
    try:
        container = av.open(name)
    except OSError as error:  # some of FFmpeg's errors are one as well
        raise VideoError(f"{name}: cannot be opened ({error.strerror}); check the file and its permissions") from error
    except av.error.FFmpegError as error:
        raise VideoError(f"{name}: {_why_unreadable(file, error)}") from error
    with container:
        if not container.streams.video:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise VideoError(f"{name}: has no video stream (found: {kinds}), expected a video; remove it from the set")
        stream = container.streams.video[0]
        context = stream.codec_context
        if context is None:
            raise VideoError(f"{name}: its video codec is unknown to FFmpeg; transcode it to H.264")
        context.thread_count = 1
        # Without it the decoder paints over damage and says nothing.
        options = {"err_detect": "explode"}
        if vectors:
            options["flags2"] = "+export_mvs"
        if skip_loop_filter:
            options["skip_loop_filter"] = "all"
        context.options = options
        yield OpenVideo(name, container, stream)


def _why_unreadable(file: Path, error: av.error.FFmpegError) -> str:
    """Say what the file really is, from its first bytes, where FFmpeg says only "invalid data"."""
    with file.open("rb") as handle:
        head = handle.read(512)
    if head[4:8] == b"ftyp":
        return "an MP4 without its index (moov), expected a complete file; it was truncated: copy or download it again"
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head):
        return "is plain text, expected a video; remove it from the set"
    return f"FFmpeg cannot read it as a video ({error.strerror}), expected a video; it is damaged or of another kind"


def decode_packet(video: OpenVideo, packet: Packet | None) -> list[av.video.frame.VideoFrame]:
    """Decode one packet (None flushes the decoder). Raises VideoError where the stream is damaged."""
    try:
        return video.stream.codec_context.decode(packet)
    except av.error.EOFError:
        return []
    except av.error.FFmpegError as error:
        where = "" if packet is None or packet.pts is None else f" at {packet.pts * video.time_base:.2f} s"
        raise VideoError(
            f"{video.name}: damaged{where} ({error.strerror}), expected an intact stream; "
            "repair it with 'ffmpeg -err_detect ignore_err -i IN OUT', or remove it from the set"
        ) from error


def packets(video: OpenVideo) -> Iterator[Packet]:
    """The stream's packets in decode order, without FFmpeg's empty one at the end.

    Raises:
        VideoError: the file is damaged, or an MP4 or MOV holds fewer pictures than its index lists.
    """
    demuxed = video.container.demux(video.stream)
    count, complete = 0, video.stream.frames if "mp4" in video.container.format.name else 0
    while True:
        try:
            packet = next(demuxed, None)
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(
                f"{video.name}: damaged after {count} frames ({error.strerror}), expected an intact file; copy or download it again"
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
    """Every frame of a freshly opened video in display order. Raises VideoError where it is damaged."""
    for packet in packets(video):
        yield from decode_packet(video, packet)
    yield from decode_packet(video, None)
