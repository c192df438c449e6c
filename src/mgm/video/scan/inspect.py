"""Inspect one file: decode it once from end to end, and record its properties, its damage and where it is damaged."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple, get_args

import av.error
import numpy as np

from mgm.errors import VideoError
from mgm.video.container.h264 import most_references, nal_units, parameter_sets
from mgm.video.container.locator import VideoLocator, describe_locator
from mgm.video.container.metadata import declared_end
from mgm.video.container.stream import (
    EXPORTS_VECTORS,
    OpenVideo,
    decode_packet,
    no_frame,
    no_vectors,
    open_video,
    packets,
    truncated,
)
from mgm.video.motion.streaming import FrameMotion, iter_frame_motion
from mgm.video.scan.lost_pictures import LostPictures
from mgm.video.scan.pictures import PictureCheck
from mgm.video.scan.record import Status, VideoRecord
from mgm.workers.process import report_progress


def inspect_video(record: VideoRecord, file: BinaryIO | None = None) -> VideoRecord:
    """Complete a record that has the path, size and time of a file. Decodes it once, on one thread, without the loop filter.

    Problems of the file are in the record; an exception is a fault of this package.

    Args:
        file: its bytes, if they are not at its path; the name of this object is then that of the file in its problem.
    """
    video = _Video(record.path) if file is None else _Video(describe_locator(file), file)
    try:
        return _decode(record, video)
    except VideoError as error:
        return _broken(record, error, video)


class _Video(NamedTuple):
    """The name of a video in its problem, and its bytes if they are not in the file of this name."""

    name: str
    file: BinaryIO | None = None

    @property
    def locator(self) -> VideoLocator:
        return self.name if self.file is None else self.file


def with_problem(record: VideoRecord, error: VideoError, *, until: float | None = None) -> VideoRecord:
    """The record of a file with an error: its status, the place of the damage and the problem.

    Args:
        until: seconds at which the last decoded frame ends, for errors without a place.
    """
    status: Status = next((status for status in get_args(Status) if status == error.reason), "unreadable")
    where = until if error.at is None else round(error.at, 2)
    return replace(record, status=status, where=where, problem=str(error))


def _decode(record: VideoRecord, given: _Video) -> VideoRecord:
    name = given.name
    tally, pictures, damage, ended = _Tally(), PictureCheck(name), None, True
    with open_video(given.locator, vectors=True, skip_loop_filter=True) as video:
        lost = LostPictures(video)
        try:
            for frame in iter_frame_motion(video, observe=pictures, observe_packet=lost):
                tally.add(frame)
                report_progress()
        except VideoError as error:
            damage, ended = lost.error or error, _at_end(video)  # what a decoder misses was lost before
        finally:
            pictures.release()
        record = tally.complete(_of_stream(record, name, video, pictures), video)
        if video.codec == "h264":
            references = most_references(parameter_sets(video.stream.codec_context.extradata or b""))
        else:
            references = tally.references(video)
        unsupported = None if video.exports_vectors else no_vectors(video)
    if record.codec == "h264" and references is None:
        references = _references(given)
    record = replace(record, references=references)
    if damage is None and tally.frames == 0:
        damage = no_frame(name)
    if damage is not None:
        return _broken(record, damage, given, until=tally.end, ended=ended)
    if (short := _too_short(record, given)) is not None:
        return with_problem(record, short, until=tally.end)
    problem = (
        lost.error
        or pictures.not_converted
        or _single_frame(record, name)
        or unsupported
        or _doubtful_vectors(record, name)
    )
    if problem is None and pictures.size_change is not None:
        return replace(record, status="size_changes", problem=str(pictures.size_change))
    return replace(record, status="ok") if problem is None else with_problem(record, problem)


def _single_frame(record: VideoRecord, name: str) -> VideoError | None:
    if record.frames != 1:
        return None
    advice = "remove it from the set, or keep it as a still picture: its masks follow no motion"
    return VideoError(name, "holds a single frame, so no motion", "at least two", advice, reason="single_frame")


def _doubtful_vectors(record: VideoRecord, name: str) -> VideoError | None:
    """The error of a readable video without motion vectors, or with vectors in mixed units."""
    if not record.vectors:
        return VideoError(
            name,
            f"none of its {record.frames} frames carries motion vectors (all are intra-coded)",
            "P- or B-frames",
            "measure optical flow instead (motion='auto', --motion auto), or transcode it first (mgm prepare SRC DST)",
            reason="intra_only",
        )
    if record.interlaced and record.codec == "h264":
        return VideoError(
            name,
            "interlaced H.264: blocks coded field by field are not marked, and their vectors have half the height",
            "progressive video",
            "deinterlace it (mgm prepare SRC DST)",
            reason="interlaced",
        )
    return None


def _broken(
    record: VideoRecord, error: VideoError, given: _Video, *, until: float | None = None, ended: bool = False
) -> VideoRecord:
    """The record of a file that did not open, or not decode to its end.

    Args:
        until: seconds at which the last decoded frame ends.
        ended: no packet follows the one that did not decode.
    """
    if error.reason not in ("truncated", "empty"):  # a file without its end may look like anything
        short = _too_short(record, given)
        if short is None and error.reason == "damaged" and ended and record.frames and record.declared_frames is None:
            short = truncated(given.name, "its last picture is incomplete", "all of it")
        if short is not None:
            return with_problem(record, short, until=until)
    return with_problem(record, error, until=until)


def _references(given: _Video) -> int | None:
    """Most reference pictures of an H.264 stream that declares them in its packets; None if it does not before its first frame."""
    try:
        with open_video(given.locator, vectors=False) as video:
            lengths = video.nal_length_size
            for packet in packets(video) if lengths is not None else ():
                found = most_references(nal_units(bytes(packet), lengths or 0))
                if found is not None or decode_packet(video, packet):
                    return found
    except VideoError:
        return None  # the inspection has met the same error
    return None


def _at_end(video: OpenVideo) -> bool:
    try:
        return all(not packet.size for packet in video.container.demux(video.stream))
    except (av.error.FFmpegError, OSError, IndexError):
        return True


def _of_stream(record: VideoRecord, name: str, video: OpenVideo, pictures: PictureCheck) -> VideoRecord:
    names = video.container.format.name.split(",")
    suffix = Path(name).suffix.lower().removeprefix(".")
    context, rate = video.stream.codec_context, video.stream.average_rate
    width, height, pixel_format = pictures.first or (context.width, context.height, context.pix_fmt)
    return replace(
        record,
        container=suffix if suffix in names else names[0],
        codec=video.codec,
        profile=context.profile,
        pixel_format=pixel_format,
        width=width,
        height=height,
        fps=float(rate) if rate else None,
        declared_frames=video.stream.frames or None,
    )


@dataclass(slots=True)
class _Tally:
    """Sums over the frames, in constant memory."""

    frames: int = 0
    with_vectors: int = 0
    key_frames: int = 0
    since_key: int = 0
    gop: int = 0
    run: int = 0
    b_run: int = 0
    kinds: set[str] = field(default_factory=set)
    elapsed: float = 0.0
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
        self.rotation = frame.orientation.degrees if self.rotation is None else self.rotation
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
        if self.previous is not None:
            step = frame.pts_seconds - self.previous
            self.elapsed += step
            self.shortest, self.longest = min(self.shortest, step), max(self.longest, step)
        self.previous = frame.pts_seconds

    def complete(self, record: VideoRecord, video: OpenVideo) -> VideoRecord:
        """The record with the sums."""
        if not self.frames:
            return replace(record, frames=0)
        # Raw streams have no clock; FFmpeg only assumes a rate for them.
        clock = video.stream.start_time is not None and math.isfinite(self.elapsed)
        fps = record.fps or ((self.frames - 1) / self.elapsed if clock and self.elapsed else None)
        interval = 1 / fps if fps else 0.0
        self.end = None if self.previous is None or not clock else round(self.previous + interval, 6)
        motion = self.length / self.cells if self.cells else None
        # A regular clock, rounded to the container's, has intervals that differ by one unit; many containers count milliseconds.
        # One that counts frames rounds nothing: an interval of two units is a gap.
        rounded = self.shortest > 1.5 * video.time_base
        rounding = max(0.002, 1.5 * video.time_base) if rounded else 0.002
        return replace(
            record,
            rotation=self.rotation,
            interlaced=self.interlaced,
            fps=fps,
            frames=self.frames,
            variable_rate=self.longest - self.shortest > rounding if clock and video.timed else None,
            seconds=round(self.elapsed + interval, 6) if clock else None,
            gop=self.gop,
            key_frames=self.key_frames,
            b_frames="B" in self.kinds,
            b_run=self.b_run,
            vectors=round(self.with_vectors / self.frames, 6),
            motion=round(motion, 6) if motion is not None and math.isfinite(motion) else None,
            motion_source="codec" if self.with_vectors else "flow",
        )

    def references(self, video: OpenVideo) -> int | None:
        """Most reference pictures of codecs whose references are their I- and P-frames."""
        if video.codec == "mjpeg":
            return 0
        if video.codec not in EXPORTS_VECTORS or not self.frames:
            return None
        return 2 if "B" in self.kinds else int(bool(self.kinds - {"I"}))


def _too_short(record: VideoRecord, given: _Video) -> VideoError | None:
    """The error of a file that is shorter than its container declares; None if it is not, or if the length is not declared."""
    if not record.bytes:  # a pipe, which may never be written to
        return None
    if record.declared_frames and (record.frames or 0) >= record.declared_frames:
        return None  # all pictures are here, even if a wrong size or trailing bytes suggest otherwise
    try:
        with Path(given.name).open("rb") if given.file is None else nullcontext(given.file) as file:
            file.seek(0)
            end = declared_end(file, record.bytes)
    except OSError:
        return None
    if end is None or end <= record.bytes:
        return None
    return truncated(given.name, f"{record.bytes:,} bytes", f"{end:,} by its container")
