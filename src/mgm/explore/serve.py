"""Start the explorer: find a port, make the token, open the page, and serve until Ctrl-C."""

from __future__ import annotations

import secrets
import shutil
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from mgm.data.clips.images import probe_any
from mgm.errors import ConfigError, FileError, VideoError
from mgm.explore.kernels import KernelLoader
from mgm.explore.library import Library, Limits, Video, list_files, list_folder
from mgm.explore.reading import ClipReader

DEFAULT_PORT = 8420
_PORTS = 20
_SERVER: Final[dict[str, Any]] = {
    "log_level": "error",
    "access_log": False,
    "server_header": False,
    "limit_concurrency": 64,
    "timeout_graceful_shutdown": 2,
}


def explore(
    where: str | None = None,
    *,
    run: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    limits: Limits | None = None,
    announce: Callable[[str], None],
) -> None:
    """Serve the explorer until an interrupt.

    Args:
        where: a folder, a video or a set; None: uploads alone.
        run: a run of `mgm pretrain`, whose model is shown too; needs the packages for training.
        host: the address to listen on. Beyond loopback everybody who has the token can watch the videos.
        port: None takes the first free one from 8420 on.
        announce: called with the address, which contains the token, once it can be opened. A run is opened after it.

    Raises:
        FileError: Starlette or uvicorn is missing ("missing_package").
        ConfigError: the port is in use, or this machine does not have the address.
        MgmError: the videos or the run cannot be opened.
    """
    try:
        import uvicorn

        from mgm.explore.explorer import Explorer
        from mgm.explore.guard import LOOPBACK
        from mgm.explore.run_opener import RunOpener
        from mgm.explore.server import create_app
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("starlette", "uvicorn", "anyio", "PIL"):
            raise
        raise FileError.missing_package("mgm explore", package, extra="explore") from error
    videos, inside = list_videos(where)
    listening = _listen(host, port)
    scratch = Path(tempfile.mkdtemp(prefix="mgm-explore-"))
    token = secrets.token_urlsafe(24)
    try:
        library = Library(videos, inside=inside, scratch=scratch, limits=limits)
        with ClipReader() as reader, KernelLoader() as kernels:
            explorer = Explorer(library, reader, place=where or "", kernels=kernels)
            app = create_app(explorer, token=token, hosts=LOOPBACK | {host, socket.gethostname()})
            server = uvicorn.Server(uvicorn.Config(app, **_SERVER))
            opener = None if run is None else RunOpener(run, explorer, server)
            address = f"http://{_shown(host)}:{listening.getsockname()[1]}/?token={token}"
            announce(address)
            kernels.start()
            if open_browser:
                # In a thread: some browsers return only when they are closed.
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            with opener or nullcontext():
                server.run(sockets=[listening])
    finally:
        listening.close()
        shutil.rmtree(scratch, ignore_errors=True)


def list_videos(where: str | None) -> tuple[list[Video], Path | None]:
    """The videos of a folder, file or set, and the folder in which they must lie (None for a file or set).

    Raises:
        VideoError, DataError: nothing can be read there. Of a set, the videos are not opened.
    """
    if where is None:
        return [], None
    path = Path(where)
    if path.is_dir() and not _is_set(path):
        return list_folder(path), path
    if path.is_file() and path.suffix.lower() not in (".csv", ".txt", ".json", ".jsonl", ".parquet", ".tsv", ".yaml"):
        probe_any(where)
        return list_files([where]), None
    from mgm.data.annotations import load_items

    paths = list(dict.fromkeys(item.path for item in load_items(where)))
    if not paths:
        raise VideoError(where, "no video found", "at least one", "check the path", reason="not_found")
    if paths == [where]:  # neither a folder nor a list: a URL, or a name with a mistake
        probe_any(where)
    return list_files(paths), None


def _is_set(folder: Path) -> bool:
    """Shards and folders of pictures are read as a set; a folder with videos needs no package for sets."""
    from mgm.video.scan.find import search_videos

    return not search_videos([folder]).videos


def _listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens, bound before anything is printed: the port cannot be taken in between."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tried = [port] if port is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + _PORTS), 0]
    for number in tried:
        # With its protocol named, asyncio sends every answer at once; else the second half waits 40 ms for an acknowledgement.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if sys.platform != "win32":  # elsewhere it would let two programs share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen(64)
            return listening
        except (OSError, OverflowError) as error:
            listening.close()
            failed = error
    what = f"{host}:{port}" if port is not None else host
    raise ConfigError(what, f"cannot listen ({failed})", advice="choose another --port or --host", reason="conflict")


def _shown(host: str) -> str:
    """The name of an address in a URL."""
    if host in ("0.0.0.0", "::", ""):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
