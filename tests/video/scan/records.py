"""Records of videos, and a reader of files that are none, which counts what it reads."""

from pathlib import Path

from mgm.video.scan.record import VideoRecord

RECORDS = [
    VideoRecord(path="a/b.mp4", bytes=12, modified=1700000000.1234567, status="ok", fps=29.97002997002997, frames=0),
    VideoRecord(path='odd, "quoted"\nname é.mkv', bytes=2**40, status="damaged", where=0.0, problem="x: a, b; c"),
    VideoRecord(path="c.avi", bytes=0, modified=0.0, status="empty", b_frames=False, variable_rate=True, vectors=1e-7),
    VideoRecord(path="d.ts", bytes=5, status="ok", codec="h264", motion=1 / 3, motion_source="codec", rotation=-90),
]


class Reader:
    """Stands in for the inspection: size and time are the file's, `read` lists what it was called for."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.read: list[str] = []
        self.fails_at = fails_at

    def __call__(self, path: Path) -> VideoRecord:
        if len(self.read) == self.fails_at:
            raise KeyboardInterrupt
        self.read.append(path.name)
        found = path.stat()
        status = "crashed" if path.name.startswith("crash") else "ok"
        text = path.read_text() if path.is_file() else ""
        return VideoRecord(
            path=str(path), bytes=found.st_size, modified=found.st_mtime, status=status, problem=text or None
        )
