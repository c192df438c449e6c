"""Opening a video, what its stream says of itself, and the packets of a clip: the fewest that decode it exactly."""

from __future__ import annotations

import bisect
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
    """An open container and its first video stream. `name` is how errors call it."""

    name: str
    container: av.container.InputContainer
    stream: av.video.stream.VideoStream

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec, for example "h264"."""
        return self.stream.codec_context.codec.canonical_name

    @property
    def time_base(self) -> float:
        """Seconds per unit of the stream's presentation times."""
        return float(self.stream.time_base or 1)

    @property
    def exports_vectors(self) -> bool:
        """Whether the decoder of this stream exports motion vectors at all."""
        return self.stream.codec_context.codec.name in EXPORTS_VECTORS


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


@dataclass(slots=True)
class Coded:
    """One coded picture, as demuxed."""

    packet: Packet
    pts: int | None
    key: bool
    reference: bool | None = None
    """Whether later pictures may refer to this one; None where only the decoder will know (not H.264)."""
    idr: bool = False


@dataclass(slots=True)
class Window:
    """The coded pictures that decode display frames `first..last`, in decode order, from a key picture on.

    Attributes:
        coded: pictures in decode order.
        base: number of frames of the video that are displayed before every picture of `coded`.
        order: presentation times of `coded` in display order; `order[i]` belongs to frame `base + i`. Empty where the
            container has none (raw streams) or FFmpeg makes them up in decode order (H.264 in AVI): frames must then be
            counted as they leave the decoder, and `pts` is the position in `coded`.
        ended: the stream ended inside the window: `base + len(order)` frames is all there is.
    """

    coded: list[Coded] = field(default_factory=list)
    base: int = 0
    order: list[int] = field(default_factory=list)
    ended: bool = False


def read_window(video: OpenVideo, first: int, last: int | None) -> Window:
    """Demux a freshly opened video from its start to the last packet that display frames `first..last` need (None: to the end).

    Demuxing a packet costs one to two orders less than decoding it, so packets are counted from the start: frame numbers are
    exact whatever the frame rate does. Groups of pictures that end before `first` are dropped as they pass.
    """
    window = Window()
    coded, order = window.coded, window.order
    lengths = _nal_length_size(video)
    timed = not ("avi" in video.container.format.name and video.codec in ("h264", "hevc"))
    keys: list[int] = []  # positions in `coded` of key pictures
    for packet in packets(video):
        if packet.pts is None and not coded:
            timed = False
        if not timed:
            packet.pts = len(coded)  # the frame will tell by it which packet it came from
        picture = Coded(packet, packet.pts, packet.is_keyframe)
        if lengths is not None:
            picture.reference, picture.idr, intra = _h264_reference(bytes(packet), lengths)
            picture.key = picture.key and intra
        coded.append(picture)
        if not timed:
            if last is not None and len(coded) > last + MOST_REORDERED:
                return window
            continue
        if picture.key and picture.pts is not None:
            if keys and first >= window.base + bisect.bisect_left(order, coded[keys[-1]].pts or 0):
                _drop_before(window, keys[-1])
                keys = [0]
            keys.append(len(coded) - 1)
        if packet.pts is not None and not packet.is_discard:  # hidden by an edit list, but others may refer to it
            bisect.insort(order, packet.pts)
        if last is not None and packet.dts is not None and window.base + bisect.bisect_left(order, packet.dts) > last:
            break  # every later packet is presented after its own decode time, so frames up to `last` are all here
    else:
        window.ended = True
    for position in reversed(keys):
        if position and first >= window.base + bisect.bisect_left(order, coded[position].pts or 0):
            _drop_before(window, position)
            break
    if window.base and coded[0].reference is not None and not coded[0].idr:
        # An open group of pictures: its leading pictures refer to dropped ones. That is no damage, and nobody looks at them.
        video.stream.codec_context.options = {**video.stream.codec_context.options, "err_detect": "0"}
    return window


def _drop_before(window: Window, position: int) -> None:
    """Forget the pictures before `position`, a key picture: all of them are displayed before it and its leading pictures."""
    gone = sum(1 for c in window.coded[:position] if c.pts is not None and not c.packet.is_discard)
    del window.coded[:position]
    del window.order[:gone]
    window.base += gone


def _nal_length_size(video: OpenVideo) -> int | None:
    """Bytes of the length before each H.264 NAL unit; 0: start codes (Annex B); None: not H.264.

    Decided from the extradata: a NAL unit of 256-511 bytes has a length that looks like a start code.
    """
    context = video.stream.codec_context
    if context.codec.canonical_name != "h264":
        return None
    extradata = context.extradata or b""
    return (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0


def _h264_reference(data: bytes, length_size: int) -> tuple[bool, bool, bool]:
    """(other pictures may refer to this one, it is an IDR picture, it is intra coded), from its first slice (H.264 7.3.1, 7.3.3).

    Under periodic intra refresh containers call P-pictures key, but decoding is exact only a whole refresh later.
    """
    position = 0
    while True:
        if length_size == 0:
            position = data.find(b"\0\0\1", position) + 3
            if position < 3 or position >= len(data):
                return True, False, False
            header = data[position]
        else:
            if position + length_size >= len(data):
                return True, False, False
            header = data[position + length_size]
        if header & 31 in (1, 2, 5):  # a slice, its partition A, or a slice of an IDR picture
            start = position + length_size + 1
            # first_mb_in_slice 0 is the bit 1; then slice_type 2 or 7 as Exp-Golomb: 011 or 0001000
            intra = start < len(data) and (data[start] >> 4 == 0b1011 or data[start] == 0b10001000)
            return header >> 5 & 3 > 0, header & 31 == 5, intra
        if length_size:
            position += length_size + int.from_bytes(data[position : position + length_size], "big")
