"""The audit of one file: decode it once from end to end, and say what it is, what it lacks, and where it breaks."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import av.error
import numpy as np

from mgm.errors import VideoError
from mgm.video.container.h264 import most_references, nal_units, parameter_sets
from mgm.video.container.metadata import declared_end
from mgm.video.container.stream import (
    EXPORTS_VECTORS,
    OpenVideo,
    decode_packet,
    no_frame,
    no_vectors,
    open_video,
    packets,
)
from mgm.video.motion.streaming import FrameMotion, iter_frame_motion
from mgm.video.scan.record import Status, VideoRecord
from mgm.workers.process import report_progress


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
    tally, damage, ended = _Tally(), None, True
    with open_video(name, vectors=True, skip_loop_filter=True) as video:
        try:
            for frame in iter_frame_motion(video):
                tally.add(frame)
                report_progress()
        except VideoError as error:
            damage, ended = str(error), _at_end(video)
        record = tally.complete(_of_stream(record, video), video)
        if video.codec == "h264":
            references = most_references(parameter_sets(video.stream.codec_context.extradata or b""))
        else:
            references = tally.references(video)
        without_vectors = None if video.exports_vectors else str(no_vectors(video))
    if record.codec == "h264" and references is None:
        references = _references(name)
    record = replace(record, references=references)
    if damage is None and tally.frames == 0:
        damage = str(no_frame(name))
    if damage is not None:
        return _broken(record, damage, until=tally.end, ended=ended)
    if (problem := _too_short(record)) is not None:
        return replace(record, status="truncated", where=tally.end, problem=problem)
    if without_vectors is not None:
        return replace(record, status="no_vectors", problem=without_vectors)
    if not record.vectors:
        problem = (
            f"{name}: none of its {tally.frames} frames carries motion vectors (all are intra-coded), expected P- or B-frames; "
            "measure optical flow instead (motion='auto', --motion auto), or transcode it first (mgm prepare SRC DST)"
        )
        return replace(record, status="intra_only", problem=problem)
    if record.interlaced and record.codec == "h264":
        problem = (
            f"{name}: interlaced H.264, expected progressive: nothing tells which blocks are coded field by field, and their "
            "vectors have half the height; deinterlace it (mgm prepare SRC DST)"
        )
        return replace(record, status="interlaced", problem=problem)
    return replace(record, status="ok")


# How the errors of opening and decoding begin after the file's name. The first that fits counts.
_STATUS_BY_WORDS: tuple[tuple[str, Status], ...] = (
    ("the file is empty", "empty"),
    ("truncated", "truncated"),
    ("an MP4 without its index", "truncated"),
    ("is a pipe or a device", "not_video"),
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


def _references(name: str) -> int | None:
    """Most reference pictures of an H.264 stream that tells them in its packets; None where it does not before its first frame."""
    try:
        with open_video(name, vectors=False) as video:
            lengths = video.nal_length_size
            for packet in packets(video) if lengths is not None else ():
                found = most_references(nal_units(bytes(packet), lengths or 0))
                if found is not None or decode_packet(video, packet):
                    return found
    except VideoError:
        return None  # the audit itself meets it again, and reports it
    return None


def _at_end(video: OpenVideo) -> bool:
    try:
        return all(not packet.size for packet in video.container.demux(video.stream))
    except (av.error.FFmpegError, OSError, IndexError):
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
    rotation: int | None = None
    interlaced: bool = False

    def add(self, frame: FrameMotion) -> None:
        """Count one frame."""
        self.frames += 1
        self.rotation = frame.rotation if self.rotation is None else self.rotation
        self.interlaced = self.interlaced or frame.interlaced
        self.kinds.add(frame.picture_type)
        self.key_frames += frame.is_key
        self.since_key = 1 if frame.is_key else self.since_key + 1
        self.gop = max(self.gop, self.since_key)
        self.run = self.run + 1 if frame.picture_type == "B" else 0
        self.b_run = max(self.b_run, self.run)
        measured = int(np.count_nonzero(frame.field.valid))
        if measured:
            self.with_vectors += 1
            self.cells += measured
            vectors = frame.field.vectors
            squares = np.square(vectors[..., 0]) + np.square(vectors[..., 1])  # a third of np.hypot's time
            self.length += float(np.sqrt(squares[frame.field.valid]).sum(dtype=np.float64))
        self.first, self.last = min(self.first, frame.pts_seconds), max(self.last, frame.pts_seconds)
        if self.previous is not None:
            self.shortest = min(self.shortest, frame.pts_seconds - self.previous)
            self.longest = max(self.longest, frame.pts_seconds - self.previous)
        self.previous = frame.pts_seconds

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
            rotation=self.rotation,
            interlaced=self.interlaced,
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
        if video.codec not in EXPORTS_VECTORS or not self.frames:
            return None
        return 2 if "B" in self.kinds else int(bool(self.kinds - {"I"}))


def _too_short(record: VideoRecord) -> str | None:
    """The problem of a file that ends before its container says it does; None where it does not, and where nothing tells."""
    if not record.bytes:  # a pipe, which nobody may ever write to
        return None
    if record.declared_frames and (record.frames or 0) >= record.declared_frames:
        return None  # all pictures are here, whatever a wrong size or bytes behind them suggest
    try:
        with Path(record.path).open("rb") as file:
            end = declared_end(file, record.bytes)
    except OSError:
        return None
    if end is None or end <= record.bytes:
        return None
    return f"{record.path}: truncated: {record.bytes:,} bytes, expected {end:,} by its container; copy or download it again"
