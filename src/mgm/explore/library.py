"""The videos that a session may choose: those of the folder or set, which everybody sees, and its own uploads.

A page names a video by its id, never by a path: what is not in the list does not exist for it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from mgm.data.items import common_folder
from mgm.errors import VideoError
from mgm.printable import printable
from mgm.video.scan.find import search_videos

UNKNOWN = "no such video"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what visitors may leave on this machine.

    Attributes:
        upload_bytes: of one upload.
        upload_seconds: within which one must arrive.
        uploads: of one session; the oldest makes room.
        total_bytes: of the uploads of all sessions; the oldest session's make room.
        sessions: at one time; the one that was idle for longest makes room.
        idle_seconds: after which a session's uploads are removed.
    """

    upload_bytes: int = 100 * 2**20
    upload_seconds: float = 120.0
    uploads: int = 4
    total_bytes: int = 2 * 2**30
    sessions: int = 32
    idle_seconds: float = 2 * 3600.0


@dataclass(frozen=True, slots=True)
class Video:
    """A video that may be chosen. Attributes: `id` in the page's requests, `name` to show, `path` to read, `own`: an upload."""

    id: str
    name: str
    path: str
    own: bool = False


@dataclass(slots=True)
class _Session:
    folder: Path
    last_seen: float
    uploads: list[Video] = field(default_factory=list)


class Library:
    """The shared videos and the uploads of each session; for many threads.

    Args:
        shared: the videos of the folder or set.
        inside: where the files must lie at the time of reading, too: links may have been put in place since. None: anywhere,
            for sets, whose list names its videos.
        scratch: an empty folder for uploads.
    """

    def __init__(
        self, shared: Sequence[Video], *, inside: Path | None, scratch: Path, limits: Limits | None = None
    ) -> None:
        self.limits = limits or Limits()
        self._shared = {video.id: video for video in shared}
        self._inside = None if inside is None else Path(os.path.realpath(inside))
        self._scratch = scratch
        self._sessions: dict[str, _Session] = {}
        self._lock = Lock()

    def open_session(self) -> str:
        """A new session. Idle ones are closed, with their uploads."""
        with self._lock:
            now = time.monotonic()
            for name, session in list(self._sessions.items()):
                if now - session.last_seen > self.limits.idle_seconds:
                    self._close(name)
            while len(self._sessions) >= self.limits.sessions:
                self._close(min(self._sessions, key=lambda name: self._sessions[name].last_seen))
            name = secrets.token_urlsafe(18)
            folder = self._scratch / secrets.token_hex(8)
            folder.mkdir(mode=0o700)
            self._sessions[name] = _Session(folder, now)
            return name

    def knows(self, session: str) -> bool:
        """Whether a session is open; it counts as seen now."""
        with self._lock:
            found = self._sessions.get(session)
            if found is not None:
                found.last_seen = time.monotonic()
            return found is not None

    def videos(self, session: str) -> list[Video]:
        """What the session may choose: its uploads, the newest first, then the shared videos."""
        with self._lock:
            return [*reversed(self._sessions[session].uploads), *self._shared.values()]

    def find(self, session: str, video: str) -> Video:
        """The video of an id.

        Raises:
            VideoError: there is none for this session ("not_found"), or it is now a link that leads out of the folder.
        """
        with self._lock:
            own = {upload.id: upload for upload in self._sessions[session].uploads}
        found = own.get(video) or self._shared.get(video)
        if found is None:
            raise VideoError("", UNKNOWN, advice="choose one of the list", reason="not_found")
        if not found.own and self._inside is not None and not _below(found.path, self._inside):
            raise VideoError(found.name, UNKNOWN, advice="choose one of the list", reason="not_found")
        return found

    def upload_path(self, session: str) -> Path:
        """An unused path for an upload of the session. The name is ours: a visitor's could be a path."""
        with self._lock:
            return self._sessions[session].folder / secrets.token_hex(8)

    def add(self, session: str, path: Path, name: str) -> Video:
        """Keep an upload; the session's oldest makes room."""
        video = Video(secrets.token_urlsafe(12), printable(name)[:120] or "upload", str(path), own=True)
        with self._lock:
            if session not in self._sessions:  # it was closed while the upload arrived
                path.unlink(missing_ok=True)
                raise VideoError(video.name, "the session has ended", advice="reload the page", reason="not_found")
            uploads = self._sessions[session].uploads
            uploads.append(video)
            while len(uploads) > self.limits.uploads:
                Path(uploads.pop(0).path).unlink(missing_ok=True)
            others = sorted(set(self._sessions) - {session}, key=lambda name: self._sessions[name].last_seen)
            while others and _bytes_below(self._scratch) > self.limits.total_bytes:
                self._close(others.pop(0))
        return video

    def remove(self, session: str, video: Video) -> None:
        """Remove an upload that cannot be read."""
        with self._lock:
            if session in self._sessions and video in self._sessions[session].uploads:
                self._sessions[session].uploads.remove(video)
        Path(video.path).unlink(missing_ok=True)

    def _close(self, session: str) -> None:
        shutil.rmtree(self._sessions.pop(session).folder, ignore_errors=True)


def list_folder(folder: Path) -> list[Video]:
    """The videos below a folder, except those that a link reaches outside of it. The id is the path inside the folder.

    Raises:
        VideoError: the folder cannot be read, or has no video.
    """
    found = search_videos([folder])
    found.require()
    root = Path(os.path.realpath(folder))
    inside = [path for path in found.videos if _below(path, root)]
    if not inside:
        raise VideoError(
            folder, "only links to videos elsewhere", "videos in it", "name their folder", reason="not_found"
        )
    names = [path.relative_to(folder).as_posix() for path in inside]
    return [Video(name, printable(name), str(path)) for name, path in zip(names, inside, strict=True)]


def list_files(paths: Sequence[str]) -> list[Video]:
    """Single videos, or those of a set, in their order. The id is the number in the list."""
    prefix = common_folder(paths) if len(paths) > 1 else paths[0].rfind("/") + 1
    return [Video(str(number), printable(path[prefix:]), path) for number, path in enumerate(paths)]


def _below(path: str | Path, root: Path) -> bool:
    return root in Path(os.path.realpath(path)).parents


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*"))
