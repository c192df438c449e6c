"""What a result must keep, with x264 asked for something else in the place of an encoder of hardware."""

from dataclasses import replace
from pathlib import Path

import pytest

from mgm.errors import VideoError
from mgm.video.transcode.encode import transcode_video
from mgm.video.transcode.encoders import ENCODERS
from mgm.video.transcode.profiles import Profile, make_profile
from tests.errors import raises
from tests.video.clips import decode_whole, encode_moving
from tests.video.transcode.substitutes import substitute, x264_with

MOTION = replace(make_profile("motion", gop=16), encoder="nvenc")
STRIDED = replace(make_profile("strided", gop=16), encoder="nvenc")
COMPAT = replace(make_profile("compat", gop=16), encoder="nvenc")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode_moving(tmp_path_factory.mktemp("check") / "in.mp4", frames=40)


@pytest.mark.parametrize("profile", [MOTION, STRIDED, COMPAT], ids=lambda profile: profile.name)
def test_an_encoder_that_keeps_the_profile(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: Profile
):
    """The same pictures, although this encoder takes them in another pixel format."""
    substitute(monkeypatch)
    transcode_video(source, tmp_path / "a.mp4", profile)
    transcode_video(source, tmp_path / "b.mp4", replace(profile, encoder="software"))
    assert (decode_whole(tmp_path / "a.mp4") == decode_whole(tmp_path / "b.mp4")).all()


@pytest.mark.parametrize(
    ("profile", "params", "message"),
    [
        (MOTION, "bframes=2:b-adapt=0", "check-b-frames"),
        (MOTION, "ref=3", "check-several-references"),
        (MOTION, "keyint=24:min-keyint=24", "check-long-group"),
        (MOTION, "intra-refresh=1", None),
        (MOTION, "interlaced=1", "check-fields"),
        (STRIDED, "b-pyramid=normal:ref=2", "check-b-reference"),
        (STRIDED, "open-gop=0", "check-off-the-grid"),
        (STRIDED, "bframes=1", None),
        (STRIDED, "bframes=0", None),
        (STRIDED, "ref=2", "check-strided-references"),
        (STRIDED, "keyint=32:min-keyint=32", None),
        (COMPAT, "open-gop=1:bframes=2:b-adapt=0", "check-open-group"),
        (COMPAT, "keyint=24:min-keyint=24", None),
    ],
)
def test_a_file_that_does_not_keep_it(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    profile: Profile,
    params: str,
    message: str | None,
):
    substitute(monkeypatch, x264_with(params))
    with raises(VideoError, "mismatch", subject=tmp_path / "out.mp4", message=message):
        transcode_video(source, tmp_path / "out.mp4", profile)
    assert not list(tmp_path.iterdir())


def test_another_pixel_format(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    substitute(monkeypatch, pixel_format="yuv444p")
    with raises(VideoError, "mismatch", message="check-pixels"):
        transcode_video(source, tmp_path / "out.mp4", MOTION)


def test_a_broken_source_is_not_the_fault_of_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    substitute(monkeypatch)
    (tmp_path / "text.mp4").write_text("no video")
    with raises(VideoError, "not_video", subject=tmp_path / "text.mp4"):
        transcode_video(tmp_path / "text.mp4", tmp_path / "out.mp4", MOTION)


def test_the_software_encoder_is_checked_too(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wrong = replace(ENCODERS["software"], options=x264_with("ref=3"))
    monkeypatch.setitem(ENCODERS, "software", wrong)
    with raises(VideoError, "mismatch", message="check-software"):
        transcode_video(source, tmp_path / "out.mp4", replace(MOTION, encoder="software"))
