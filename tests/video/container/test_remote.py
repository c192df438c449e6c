"""URLs are files of servers that the caller's schemes allow; every failure of a server is an error with a reason."""

import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.items import VideoItem
from mgm.data.loading.dataset import ClipSet, ClipTransform
from mgm.errors import VideoError
from mgm.video import read_clip
from mgm.video.container.metadata import read_video_info
from mgm.video.container.remote import SCHEMES_VARIABLE, read_remote
from tests.errors import raises

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Server:
    """A server on this machine that gives every request the same answer.

    Attributes:
        url: its address.
        asked: the paths that were requested.
        answer: what it does with a request; a number is sent as an error.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.asked: list[str] = []
        self.answer: Answer | int = 404


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("mgm.video.container.remote.RETRY_SECONDS", 0.01)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            if isinstance(told.answer, int):
                self.send_error(told.answer)
            else:
                told.answer(self)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        told = Server(served.server_port)
        threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield told
        served.shutdown()


CHAINS = (
    "simplecache::{url}/a.mp4",
    "filecache::{url}/a.mp4",
    "zip://a.mp4::{url}/a.zip",
    "{url}/a.mp4::file://{file}",
    "reference://a.mp4::{references}",
    "reference://{references}",
    "file://{file}",
    "local://{file}",
    "github://owner:name@main/a.mp4",
    "ftp://127.0.0.1/a.mp4",
    "data://a.mp4",
    "MEMORY+x://a.mp4",
)


@pytest.mark.parametrize("url", CHAINS)
def test_no_other_scheme_is_opened(tmp_path: Path, ordinary: Path, server: Server, url: str):
    canary = tmp_path / "canary"
    template = "{{ ().__class__.__base__.__subclasses__() }}"
    references = {"version": 1, "templates": {"t": template}, "refs": {"a.mp4": [f"{{{{t}}}}file://{canary}", 0, 1]}}
    (tmp_path / "references.json").write_text(json.dumps(references))
    place = url.format(url=server.url, file=ordinary, references=tmp_path / "references.json")
    for read in (read_clip, read_video_info):
        with raises(VideoError, "unsupported", subject=place):
            read(place)
    assert server.asked == []


def test_the_words_about_schemes_and_chains():
    with raises(VideoError, "unsupported", message="remote-scheme"):
        read_clip("reference://a.mp4")
    with raises(VideoError, "unsupported", message="remote-chain"):
        read_clip("simplecache::http://127.0.0.1/a.mp4")


def test_the_caller_allows_more_schemes(ordinary: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(SCHEMES_VARIABLE, "ftp,file")
    expected = read_clip(ordinary, frames=2, size=32)
    np.testing.assert_array_equal(read_clip(f"file://{ordinary}", frames=2, size=32).frames, expected.frames)


def redirect(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://169.254.169.254/latest/meta-data/")
    handler.end_headers()


def test_link_local_addresses_are_not_asked(server: Server):
    server.answer = redirect
    for url in ("http://169.254.169.254/a.mp4", "http://[fe80:0:0:0:0:0:0:1]/a.mp4", f"{server.url}/a.mp4"):
        with raises(VideoError, "unreadable", subject=url) as caught:
            read_remote(url, url)
        assert re.search("link-local", str(caught.value))


def cut(handler: http.server.BaseHTTPRequestHandler) -> None:
    """Announce a video and send its first bytes."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.send_header("Accept-Ranges", "bytes")
    handler.end_headers()
    handler.wfile.write(b"\0\0\0\x20ftypisom")


FAILURES: dict[str, Answer | int] = {"500": 500, "403": 403, "401": 401, "cut": cut, "redirect": redirect}


@pytest.mark.parametrize("failure", FAILURES)
def test_failures_of_servers(server: Server, failure: str):
    server.answer = FAILURES[failure]
    for read in (read_clip, read_video_info):
        with raises(VideoError, "unreadable", subject=f"{server.url}/a.mp4"):
            read(f"{server.url}/a.mp4")


def test_a_missing_file_and_an_unknown_host(server: Server):
    with raises(VideoError, "not_found", subject=f"{server.url}/a.mp4"):
        read_clip(f"{server.url}/a.mp4")
    with raises(VideoError, "unreadable"):
        read_clip("http://nobody.invalid/a.mp4")


@pytest.mark.parametrize(
    "url", ["{url}/a.mp4", "reference://a.mp4", "{url}/a.tar#offset=1&size=2&name=x&info=1x2x3x0x1"]
)
def test_in_a_run_it_is_an_unreadable_video(ordinary: Path, server: Server, url: str):
    server.answer = 500
    items = [VideoItem(url.format(url=server.url)), VideoItem(str(ordinary))]
    settings = ClipSettings(frames=2, stride=1, size=32, motion=None)
    clips = ClipSet(items, FileSource(), settings, ClipTransform("centre", flip=False), seed=0)
    assert [len(clips[0, index].unreadable) > 0 for index in (0, 1)] == [True, False]
