"""A file that names other files, URLs or devices is refused, and nothing that it names is opened."""

import http.server
import io
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mgm.errors import VideoError
from mgm.video import read_clip
from mgm.video.container.metadata import read_video_info
from mgm.video.container.picture_size import MOST_PICTURE_PIXELS
from mgm.video.scan.folder import scan_videos
from tests.errors import raises

SCRIPTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9.0,\n{place}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{place}'\n",
    "session.sdp": "v=0\no=- 0 0 IN IP4 {host}\ns=x\nc=IN IP4 {host}\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "manifest.mpd": '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1"><BaseURL>{place}</BaseURL></Representation></AdaptationSet>'
    "</Period></MPD>",
}


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and the paths that were requested from it."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}", paths
        served.shutdown()


@pytest.mark.parametrize("disguised", [False, True], ids=["by name", "as mp4"])
@pytest.mark.parametrize("remote", [False, True], ids=["file", "server"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_open_nothing(
    tmp_path: Path, ordinary: Path, asked: tuple[str, list[str]], script: str, remote: bool, disguised: bool
):
    place = f"{asked[0]}/canary.ts" if remote else f"file://{ordinary}"
    path = tmp_path / ("clip.mp4" if disguised else script)
    path.write_text(SCRIPTS[script].format(place=place, host="127.0.0.1"))
    for read in (read_clip, read_video_info):
        with raises(VideoError, "not_video", subject=path):
            read(path)
    with path.open("rb") as file, raises(VideoError, "not_video", subject=path):  # its name is known to FFmpeg
        read_clip(file)
    assert [record.status for record in scan_videos(path)] == ["not_video"]
    assert asked[1] == []


def test_a_numbered_picture_is_no_pattern(tmp_path: Path):
    """FFmpeg reads `%d` in the name of a picture as the numbers of a sequence."""
    with raises(VideoError, "not_found"):
        read_clip(tmp_path / "picture%d.jpg")
    (tmp_path / "picture%d.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    with raises(VideoError, "not_video", message="clip-picture"):
        read_clip(tmp_path / "picture%d.jpg")


@pytest.mark.parametrize(
    "name", ["picture.png", "picture.jpg", "picture.webp", "picture.bmp", "picture.tiff", "clip.mp4"]
)
def test_a_picture_is_named_as_one(tmp_path: Path, name: str):
    path = tmp_path / name
    Image.new("RGB", (64, 48)).save(path, "png" if name == "clip.mp4" else None)
    with raises(VideoError, "not_video", subject=path) as error:
        read_clip(path)
    assert error.value.found == "is a picture"


def test_the_size_of_pictures_is_bounded(tmp_path: Path):
    side = int(MOST_PICTURE_PIXELS**0.5) + 16
    path = tmp_path / "large.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width = stream.height = side
        stream.pix_fmt = "gray"
        stream.time_base = Fraction(1, 25)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((side, side), np.uint8), format="gray")))
        out.mux(stream.encode(None))
    for place in (path, io.BytesIO(path.read_bytes())):
        with raises(VideoError, "unsupported", message="clip-too-large" if place is path else None):
            read_clip(place, frames=1, size=32)
