"""Files at URLs, which fsspec reads: the schemes that are allowed, and one type of error.

A URL may come from an annotation file or from the index of a shard. fsspec follows chains (`zip::http://...`) and knows schemes
that read local files, other programs' files and tables of references; here each URL is one file of a server or an object store.
"""

from __future__ import annotations

import io
import ipaddress
import os
import socket
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from mgm.errors import VideoError
from mgm.lazy import install_command

if TYPE_CHECKING:
    import aiohttp

SCHEMES: Final = ("http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
"""What a URL may begin with. "memory" is the memory of this process."""
SCHEMES_VARIABLE: Final = "MGM_URL_SCHEMES"
"""Environment variable with more schemes, separated by commas: whoever starts mgm may allow them, a file that it reads may not."""

_MOST_ATTEMPTS = 3
"""Attempts to read from a server."""
RETRY_SECONDS = 0.5
"""Seconds before the second attempt, doubled before each further one."""


def read_remote(url: str, name: str, *, start: int | None = None, end: int | None = None) -> bytes:
    """Read the bytes from `start` to before `end` of a file. Requests that fail are repeated `_MOST_ATTEMPTS` - 1 times.

    Args:
        name: the subject of errors.

    Raises:
        VideoError: the URL is not allowed, or cannot be read.
    """
    files, path = _file_system(url, name)
    for attempt in range(_MOST_ATTEMPTS):
        try:
            data: bytes = files.cat_file(path, start=start, end=end)
            break
        except Exception as error:  # every file system of fsspec has its own errors
            failure = _unreadable(name, error)
            if attempt == _MOST_ATTEMPTS - 1 or failure.reason == "not_found":
                raise failure from error
            time.sleep(RETRY_SECONDS * 2**attempt)
    return data


def open_remote(url: str, name: str) -> BinaryIO:
    """Open a file that is read in parts. Its reads raise VideoError about `name`, too.

    Raises:
        VideoError: the URL is not allowed, or cannot be opened.
    """
    files, path = _file_system(url, name)
    try:
        return cast(BinaryIO, _RemoteFile(files.open(path, "rb"), name))
    except Exception as error:
        raise _unreadable(name, error) from error


def check_url(url: str, name: str) -> str:
    """The scheme of a URL.

    Raises:
        VideoError: the URL is not allowed.
    """
    scheme = url.partition("://")[0].lower()
    allowed = (*SCHEMES, *os.environ.get(SCHEMES_VARIABLE, "").split(","))
    if "::" in url:
        raise VideoError(name, "a chain of URLs", "one URL", "give the path or URL of the file", reason="unsupported")
    if scheme not in allowed:
        raise VideoError(
            name,
            f"a URL of the scheme {scheme}",
            f"one of {', '.join(SCHEMES)}",
            f"give a path, or allow the scheme with the environment variable {SCHEMES_VARIABLE}",
            reason="unsupported",
        )
    return scheme


def _file_system(url: str, name: str) -> tuple[Any, str]:
    """The file system of fsspec for a URL, and the path in it."""
    scheme = check_url(url, name)
    try:
        from fsspec.core import url_to_fs

        options = _http_options() if scheme in ("http", "https") else {}
        found: tuple[Any, str] = url_to_fs(url, **options)
    except ImportError as error:
        raise VideoError(
            name,
            f"reading this URL needs a package ({error})",
            advice=f"{install_command('remote')} (http), s3fs (s3), gcsfs (gs) or adlfs (az)",
            reason="missing_package",
        ) from error
    except Exception as error:
        raise _unreadable(name, error) from error
    return found


def _unreadable(name: str, error: BaseException) -> VideoError:
    """The error of a file that a server does not deliver."""
    # fsspec says of every failure over http that there is no such file.
    while (cause := error.__cause__) is not None and _is_of_network(cause):
        error = cause
    words = " ".join(str(error).split())
    missing = isinstance(error, FileNotFoundError) or getattr(error, "status", None) == 404
    return VideoError(
        name,
        "no such file" if missing else f"cannot be read ({type(error).__name__}: {words})",
        advice="check the URL" if missing else "check the URL and the connection",
        reason="not_found" if missing else "unreadable",
    )


def _is_of_network(error: BaseException) -> bool:
    return isinstance(error, OSError) or type(error).__module__.startswith("aiohttp.")


class _RemoteFile(io.RawIOBase):
    """A file of fsspec whose errors are VideoError; PyAV passes them on from within FFmpeg."""

    def __init__(self, file: Any, name: str) -> None:
        self._file, self.name = file, name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return int(self._file.seek(offset, whence))
        except Exception as error:
            raise _unreadable(self.name, error) from error

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except Exception as error:
            raise _unreadable(self.name, error) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _http_options() -> dict[str, Any]:
    import aiohttp

    return {
        "get_client": _make_client,
        "client_kwargs": {"timeout": aiohttp.ClientTimeout(total=300, sock_connect=30, sock_read=60)},
    }


async def _make_client(**options: Any) -> aiohttp.ClientSession:
    import aiohttp

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=_make_socket), **options)


def _make_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for an address of `socket.getaddrinfo`, after every redirection and look-up of a name.

    Link-local addresses are refused: they serve the credentials of a machine in a data centre, and never videos.
    """
    family, kind, protocol, _, place = address
    host = ipaddress.ip_address(place[0].partition("%")[0])
    if (getattr(host, "ipv4_mapped", None) or host).is_link_local:
        raise PermissionError(f"{host} is a link-local address, which mgm does not ask")
    return socket.socket(family, kind, protocol)
