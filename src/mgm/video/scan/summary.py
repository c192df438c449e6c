"""The sums of a scan: videos by codec, size and status."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from mgm.video.scan.record import Status, VideoRecord

_SHORT_SIDES = (144, 240, 360, 480, 720, 1080, 1440, 2160)


@dataclass(slots=True)
class VideoGroup:
    """Sums over the videos of one codec, size and status.

    Attributes:
        files, frames, seconds: sums; `untimed`: files of unknown length.
        rates: lowest and highest frames per second.
        gop: longest distance between two keyframes, in frames.
        b_frames: files with B-frames.
        vectors: sum of the files' shares of frames with vectors.
        motion: sum of the means of the files that have one, whose number is `moving`.
        sources: sources of motion under motion="auto".
    """

    files: int = 0
    frames: int = 0
    seconds: float = 0.0
    untimed: int = 0
    rates: tuple[float, float] | None = None
    gop: int = 0
    b_frames: int = 0
    vectors: float = 0.0
    motion: float = 0.0
    moving: int = 0
    sources: set[str] = field(default_factory=set)

    def add(self, record: VideoRecord) -> None:
        """Count a file."""
        self.files += 1
        self.frames += record.frames or 0
        self.seconds += record.seconds or 0.0
        self.untimed += record.seconds is None
        if record.fps:
            low, high = self.rates or (record.fps, record.fps)
            self.rates = min(low, record.fps), max(high, record.fps)
        self.gop = max(self.gop, record.gop or 0)
        self.b_frames += bool(record.b_frames)
        self.vectors += record.vectors or 0.0
        if record.motion is not None:
            self.motion += record.motion
            self.moving += 1
        if record.motion_source is not None:
            self.sources.add(record.motion_source)


@dataclass(slots=True)
class ScanSummary:
    """Sums over the records of a scan, in memory that does not grow with them.

    Attributes:
        files, readable, with_motion: numbers of files.
        sizes: groups by (codec, "WIDTHxHEIGHT", status); codec and size are "-" for files that could not be opened.
        classes: groups by (codec, class of the short side, status), the class as "360p" for 241 to 360 pixels.
        problems: for each status but "ok", the number of files and the first of them.
        broken, others: the first `limit` records of unreadable files, and of those with another problem.
        limit: largest number of records kept.
    """

    limit: int = 20
    files: int = 0
    readable: int = 0
    with_motion: int = 0
    sizes: dict[tuple[str, str, Status], VideoGroup] = field(default_factory=dict)
    classes: dict[tuple[str, str, Status], VideoGroup] = field(default_factory=dict)
    problems: dict[Status, tuple[int, VideoRecord]] = field(default_factory=dict)
    broken: list[VideoRecord] = field(default_factory=list)
    others: list[VideoRecord] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For programs: the counts, the groups of one codec, size and status, and the first records with a problem."""
        groups = [
            {"codec": codec, "size": size, "status": status, **asdict(group)}
            for (codec, size, status), group in sorted(self.sizes.items())
        ]
        counts = {"files": self.files, "readable": self.readable, "with motion": self.with_motion}
        records = [*self.broken, *self.others][: self.limit]
        return {**counts, "groups": groups, "problems": [{"path": r.path, "problem": r.problem} for r in records]}

    def add(self, record: VideoRecord) -> None:
        """Count a record."""
        self.files += 1
        self.readable += record.readable
        self.with_motion += record.has_motion
        codec, exact, side = record.codec or "-", "-", "-"
        if record.width and record.height:
            exact, side = f"{record.width}x{record.height}", size_class(record.width, record.height)
        self.sizes.setdefault((codec, exact, record.status), VideoGroup()).add(record)
        self.classes.setdefault((codec, side, record.status), VideoGroup()).add(record)
        if record.problem is None:
            return
        count, first = self.problems.get(record.status, (0, record))
        self.problems[record.status] = count + 1, first
        kept = self.others if record.readable else self.broken
        if len(kept) < self.limit:
            kept.append(record)


def size_class(width: int, height: int) -> str:
    """The size class of a video: the next usual short side, "360p" for 340x256; above 2160 its own short side."""
    side = min(width, height)
    return f"{next((usual for usual in _SHORT_SIDES if side <= usual), side)}p"
