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


@dataclass(slots=True)
class OpenVideo:
    """An open container and its first video stream. `name` is how errors call it."""

    name: str
    container: av.container.InputContainer
    stream: av.video.stream.VideoStream
    has_hidden_frames: bool = False
    """The container hides pictures (an edit list), found while demuxing."""

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

    One thread, because under frame threading FFmpeg returns wrong vectors for H.264 with B-frames (1-8% of the frames differ
    from run to run: they are read while another thread still decodes the picture). Parallelise over clips instead.

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
    except av.error.FFmpegError as error:
        raise VideoError(f"{name}: {_why_unreadable(file, error)}") from error
    except OSError as error:
        raise VideoError(f"{name}: cannot be opened ({error.strerror}); check the file and its permissions") from error
    with container:
        if not container.streams.video:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise VideoError(f"{name}: has no video stream (found: {kinds}), expected a video; remove it from the set")
        stream = container.streams.video[0]
        context = stream.codec_context
        if context is None:
            raise VideoError(f"{name}: its video codec is unknown to FFmpeg; transcode it to H.264")
        context.thread_count = 1
        options = {}
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
            container has no presentation times: frames must then be counted as they leave the decoder.
        ended: the stream ended inside the window: `base + len(order)` frames is all there is.
    """

    coded: list[Coded] = field(default_factory=list)
    base: int = 0
    order: list[int] = field(default_factory=list)
    ended: bool = False


def read_window(video: OpenVideo, first: int, last: int | None) -> Window:
    """Demux a freshly opened video from its start to the last packet that display frames `first..last` need (None: to the end).

    Demuxing costs .016 ms a packet, decoding one to two orders more, so packets are counted from the start: frame numbers are
    exact whatever the frame rate does. Groups of pictures that end before `first` are dropped as they pass.
    """
    window = Window()
    coded, order = window.coded, window.order
    lengths = _nal_length_size(video)
    has_pts = True
    keys: list[int] = []  # positions in `coded` of key pictures
    packets = video.container.demux(video.stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            raise VideoError(
                f"{video.name}: damaged after {window.base + len(coded)} frames ({error.strerror}), expected an intact file; "
                "copy or download it again"
            ) from error
        if packet is None or packet.size == 0:
            window.ended = True
            break
        picture = Coded(packet, packet.pts, packet.is_keyframe)
        if lengths is not None:
            picture.reference, picture.idr = _h264_reference(bytes(packet), lengths)
        if (
            picture.key
            and has_pts
            and keys
            and first >= window.base + bisect.bisect_left(order, coded[keys[-1]].pts or 0)
        ):
            _drop_before(window, keys[-1])
            keys = [0]
        if picture.key:
            keys.append(len(coded))
        coded.append(picture)
        if packet.pts is None:
            has_pts = False
        elif packet.is_discard:  # hidden by an edit list, but others may refer to it
            video.has_hidden_frames = True
        elif has_pts:
            bisect.insort(order, packet.pts)
        if (
            has_pts
            and last is not None
            and packet.dts is not None
            and window.base + bisect.bisect_left(order, packet.dts) > last
        ):
            break  # every later packet is presented after its own decode time, so frames up to `last` are all here
    if not has_pts:
        window.order = []
        return window
    for position in reversed(keys):
        if position and first >= window.base + bisect.bisect_left(order, coded[position].pts or 0):
            _drop_before(window, position)
            break
    return window


def _drop_before(window: Window, position: int) -> None:
    """Forget the pictures before `position`, a key picture: all of them are displayed before it and its leading pictures."""
    gone = sum(1 for c in window.coded[:position] if not c.packet.is_discard)
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


def _h264_reference(data: bytes, length_size: int) -> tuple[bool, bool]:
    """(other pictures may refer to this one, it is an IDR picture), from the first slice's NAL header (H.264 7.3.1)."""
    position = 0
    while True:
        if length_size == 0:
            position = data.find(b"\0\0\1", position) + 3
            if position < 3 or position >= len(data):
                return True, False
            header = data[position]
        else:
            if position + length_size >= len(data):
                return True, False
            header = data[position + length_size]
        if header & 31 in (1, 2, 5):  # a slice, its partition A, or a slice of an IDR picture
            return header >> 5 & 3 > 0, header & 31 == 5
        if length_size:
            position += length_size + int.from_bytes(data[position : position + length_size], "big")
