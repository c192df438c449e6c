"""The audit of one file: decode it once from end to end, and say what it is, what it lacks, and where it breaks."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import av.error
import numpy as np

from mgm.errors import VideoError
from mgm.video.fields import FrameField, frame_fields
from mgm.video.manifest import Status, VideoRecord
from mgm.video.nal import nal_length_size
from mgm.video.plan import no_vectors_message
from mgm.video.stream import EXPORTS_VECTORS, OpenVideo, decode_packet, open_video, packets


def audit(record: VideoRecord) -> VideoRecord:
    """Complete the record of a file of which path, size and time are known: decode it once, on one thread, without the loop filter.

    What is wrong with the file is in the record; an error that this raises is none of a video's.
    """
    try:
        return _decode(record)
    except VideoError as error:
        return _broken(record, str(error))


def _decode(record: VideoRecord) -> VideoRecord:
    name = record.path
    rotation, references = _first_look(name)
    tally, damage, ended = _Tally(), None, True
    with open_video(name, vectors=True, skip_loop_filter=True) as video:
        try:
            for frame in frame_fields(video):
                tally.add(frame)
        except VideoError as error:
            damage, ended = str(error), _at_end(video)
        record = tally.complete(_of_stream(record, video), video)
        if references is None:
            references = tally.references(video)
        record = replace(record, rotation=rotation, references=references)
        no_vectors = None if video.exports_vectors else no_vectors_message(video)
    if damage is None and tally.frames == 0:
        damage = (
            f"{name}: no frame could be decoded, expected at least one; the file is damaged: remove it from the set"
        )
    if damage is not None:
        return _broken(record, damage, until=tally.end, ended=ended)
    if (problem := _too_short(record)) is not None:
        return replace(record, status="truncated", where=tally.end, problem=problem)
    if no_vectors is not None:
        return replace(record, status="no_vectors", problem=no_vectors)
    if not record.vectors:
        problem = (
            f"{name}: none of its {tally.frames} frames carries motion vectors (all are intra-coded), expected P- or B-frames; "
            "measure optical flow instead (motion='auto', --motion auto), or transcode it first (mgm prepare SRC DST)"
        )
        return replace(record, status="intra_only", problem=problem)
    return replace(record, status="ok")


# How the errors of opening and decoding begin after the file's name. The first that fits counts.
_STATUS_BY_WORDS: tuple[tuple[str, Status], ...] = (
    ("the file is empty", "empty"),
    ("truncated", "truncated"),
    ("an MP4 without its index", "truncated"),
    ("is plain text", "not_video"),
    ("FFmpeg cannot read it as a video", "not_video"),
    ("has no video stream", "no_video_stream"),
    ("damaged", "damaged"),
    ("no frame could be decoded", "damaged"),
)
_WHERE = re.compile(r"damaged at (-?\d+\.\d+) s")


def _broken(record: VideoRecord, problem: str, *, until: float | None = None, ended: bool = False) -> VideoRecord:
    """The record of a file that did not open, or not decode to its end.

    Args:
        until: seconds at which the last decoded frame ends.
        ended: whether nothing follows the packet that did not decode.
    """
    words = problem.removeprefix(f"{record.path}: ")
    status: Status = next((s for begin, s in _STATUS_BY_WORDS if words.startswith(begin)), "unreadable")
    if status not in ("truncated", "empty"):  # what misses its end may look like anything
        short = _too_short(record)
        if short is None and status == "damaged" and ended and record.frames and record.declared_frames is None:
            short = f"{record.path}: truncated: its last picture is incomplete, expected all of it; copy or download it again"
        if short is not None:
            return replace(record, status="truncated", where=until, problem=short)
    named = _WHERE.match(words)
    return replace(record, status=status, where=float(named[1]) if named else until, problem=problem)


def _first_look(name: str) -> tuple[int | None, int | None]:
    """(rotation of the first frame in degrees, most reference pictures of an H.264 stream); None where not told."""
    rotation = references = None
    try:
        with open_video(name, vectors=False) as video:
            lengths = nal_length_size(video)
            if lengths is not None:
                references = _most_references(_parameter_sets(video.stream.codec_context.extradata or b""))
            for packet in packets(video):
                if lengths is not None and references is None:
                    references = _most_references(_nal_units(bytes(packet), lengths))
                if frames := decode_packet(video, packet):
                    rotation = int(frames[0].rotation)
                    break
    except VideoError:
        return rotation, references  # the audit itself meets it again, and reports it
    return rotation, references


def _at_end(video: OpenVideo) -> bool:
    try:
        return all(not packet.size for packet in video.container.demux(video.stream))
    except (av.error.FFmpegError, OSError):
        return True


def _of_stream(record: VideoRecord, video: OpenVideo) -> VideoRecord:
    names = video.container.format.name.split(",")
    suffix = Path(record.path).suffix.lower().removeprefix(".")
    context, rate = video.stream.codec_context, video.stream.average_rate
    return replace(
        record,
        container=suffix if suffix in names else names[0],
        codec=video.codec,
        profile=context.profile,
        pixel_format=context.pix_fmt,
        width=context.width,
        height=context.height,
        fps=float(rate) if rate else None,
        declared_frames=video.stream.frames or None,
    )


@dataclass(slots=True)
class _Tally:
    """What the frames add up to, in constant memory."""

    frames: int = 0
    with_vectors: int = 0
    key_frames: int = 0
    since_key: int = 0
    gop: int = 0
    run: int = 0
    b_run: int = 0
    kinds: set[str] = field(default_factory=set)
    first: float = math.inf
    last: float = -math.inf
    previous: float | None = None
    shortest: float = math.inf
    longest: float = -math.inf
    length: float = 0.0
    cells: int = 0
    end: float | None = None

    def add(self, frame: FrameField) -> None:
        self.frames += 1
        self.kinds.add(frame.kind)
        self.key_frames += frame.key
        self.since_key = 1 if frame.key else self.since_key + 1
        self.gop = max(self.gop, self.since_key)
        self.run = self.run + 1 if frame.kind == "B" else 0
        self.b_run = max(self.b_run, self.run)
        measured = int(np.count_nonzero(frame.measured))
        if measured:  # cells that were not are zero
            self.with_vectors += 1
            self.cells += measured
            squares = np.square(frame.vectors[..., 0]) + np.square(frame.vectors[..., 1])  # a third of np.hypot's time
            self.length += float(np.sqrt(squares).sum(dtype=np.float64))
        self.first, self.last = min(self.first, frame.pts), max(self.last, frame.pts)
        if self.previous is not None:
            self.shortest = min(self.shortest, frame.pts - self.previous)
            self.longest = max(self.longest, frame.pts - self.previous)
        self.previous = frame.pts

    def complete(self, record: VideoRecord, video: OpenVideo) -> VideoRecord:
        """The record with what was counted."""
        if not self.frames:
            return replace(record, frames=0)
        # Raw streams have no clock; FFmpeg only assumes a rate for them.
        clock = video.stream.start_time is not None and math.isfinite(self.last - self.first)
        interval = 1 / record.fps if record.fps else 0.0
        self.end = round(self.last + interval, 6) if clock else None
        motion = self.length / self.cells if self.cells else None
        # A regular clock, rounded to the container's, has intervals that differ by one unit; many containers count milliseconds.
        rounding = max(0.002, 1.5 * video.time_base)
        return replace(
            record,
            frames=self.frames,
            variable_rate=self.longest - self.shortest > rounding if clock and video.timed else None,
            seconds=round(self.last - self.first + interval, 6) if clock else None,
            gop=self.gop,
            key_frames=self.key_frames,
            b_frames="B" in self.kinds,
            b_run=self.b_run,
            vectors=round(self.with_vectors / self.frames, 6),
            motion=round(motion, 6) if motion is not None and math.isfinite(motion) else None,
            motion_source="codec" if self.with_vectors else "flow",
        )

    def references(self, video: OpenVideo) -> int | None:
        """Of codecs whose references are their I- and P-frames."""
        if video.codec == "mjpeg":
            return 0
        if video.codec == "h264" or video.codec not in EXPORTS_VECTORS or not self.frames:
            return None
        return 2 if "B" in self.kinds else int(bool(self.kinds - {"I"}))


def _most_references(units: list[bytes]) -> int | None:
    """`max_num_ref_frames` of the first sequence parameter set that can be read; None: there is none."""
    for unit in units:
        if unit and unit[0] & 31 == 7:
            try:
                return _max_num_ref_frames(unit)
            except ValueError:
                continue
    return None


def _parameter_sets(extradata: bytes) -> list[bytes]:
    """The NAL units of a decoder configuration: sequence parameter sets of an avcC (ISO 14496-15 5.3.3), or an Annex B stream."""
    if extradata[:1] != b"\1":
        return _nal_units(extradata, 0)
    units, position = [], 6
    for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
        length = int.from_bytes(extradata[position : position + 2], "big")
        units.append(extradata[position + 2 : position + 2 + length])
        position += 2 + length
    return units


def _nal_units(data: bytes, length_size: int) -> list[bytes]:
    if length_size == 0:
        return data.split(b"\0\0\1")[1:]
    units, position = [], 0
    while position + length_size < len(data):
        length = int.from_bytes(data[position : position + length_size], "big")
        position += length_size
        units.append(data[position : position + length])
        position += length
    return units


class _Bits:
    """Reads bits from the highest of the first byte on. Raises ValueError behind the last."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._position = 0

    def fixed(self, count: int) -> int:
        self._position += count
        return int(self._bits[self._position - count : self._position], 2)

    def golomb(self) -> int:
        """Exp-Golomb, unsigned (H.264 9.1)."""
        zeros = self._bits.index("1", self._position) - self._position
        self._position += zeros
        return self.fixed(zeros + 1) - 1

    def signed(self) -> int:
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)


_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})


def _max_num_ref_frames(unit: bytes) -> int:
    """From a sequence parameter set (H.264 7.3.2.1.1), emulation prevention bytes included."""
    bits = _Bits(unit.replace(b"\0\0\3", b"\0\0")[1:])
    profile = bits.fixed(8)
    bits.fixed(16)  # constraint flags, level
    bits.golomb()  # seq_parameter_set_id
    if profile in _HIGH_PROFILES:
        chroma = bits.golomb()
        if chroma == 3:
            bits.fixed(1)
        bits.golomb()  # bit depths
        bits.golomb()
        bits.fixed(1)
        if bits.fixed(1):
            for number in range(12 if chroma == 3 else 8):
                if bits.fixed(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    bits.golomb()  # log2_max_frame_num_minus4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.fixed(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    return bits.golomb()


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _too_short(record: VideoRecord) -> str | None:
    """The problem of a file that ends before its container says it does; None where it does not, and where nothing tells."""
    if record.declared_frames and (record.frames or 0) >= record.declared_frames:
        return None  # all pictures are here, whatever a wrong size or bytes behind them suggest
    try:
        with Path(record.path).open("rb") as file:
            end = _declared_end(file, record.bytes)
    except OSError:
        return None
    if end is None or end <= record.bytes:
        return None
    return f"{record.path}: truncated: {record.bytes:,} bytes, expected {end:,} by its container; copy or download it again"


def _declared_end(file: BinaryIO, size: int) -> int | None:
    """Where the outermost parts of a Matroska, AVI or MP4 file say that they end; None: unknown, or another container."""
    head = file.read(64)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        length, position = _ebml_size(head, 4)
        position += length or 0
        file.seek(position)
        segment = file.read(12)
        length, begin = _ebml_size(segment, 4)
        return position + begin + length if segment[:4] == b"\x18\x53\x80\x67" and length is not None else None
    if head[:4] == b"RIFF" and head[8:11] == b"AVI":
        position = 0
        while head[:4] == b"RIFF":
            length = int.from_bytes(head[4:8], "little")
            if length in (0, 0xFFFFFFFF):  # a writer that could not go back
                return None
            position += 8 + length
            file.seek(position)
            head = file.read(8)
        return position
    return _end_of_boxes(file, size) if head[4:8] == b"ftyp" else None


def _ebml_size(data: bytes, position: int) -> tuple[int | None, int]:
    """(a variable-length size of Matroska, the position behind it); None: unknown, as live streams have it (RFC 8794 6)."""
    first = data[position] if position < len(data) else 0
    length = 9 - first.bit_length()
    value = int.from_bytes(data[position : position + length], "big") & ((1 << 7 * length) - 1)
    known = length <= 8 and value != (1 << 7 * length) - 1
    return (value if known else None), position + length


def _end_of_boxes(file: BinaryIO, size: int) -> int | None:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0 or not head[4:8].isalnum():  # it reaches to the end by its own word; or what follows is no box
            return None
        if length < 8:
            return None
        position += length
    return position
