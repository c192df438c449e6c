"""The encoder of a run: named, missing, failing, or found by "auto". No hardware is needed: where it is there, tests of failures
are skipped."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mgm.errors import VideoError
from mgm.video.transcode.choice import EncoderChoice, choose_encoder, describe_encoders, try_encoder
from mgm.video.transcode.encode import transcode_video
from mgm.video.transcode.encoders import ENCODERS
from mgm.video.transcode.folder import prepare_videos
from mgm.video.transcode.profiles import PROFILES, Profile
from tests.errors import raises
from tests.video.clips import encode_moving
from tests.video.transcode.results import SMALL, contents, manifest
from tests.video.transcode.substitutes import X264, substitute, x264_with

MOTION, STRIDED = PROFILES["motion"], PROFILES["strided"]
HARDWARE = [name for name in ENCODERS if name != "software"]


@pytest.fixture
def none(monkeypatch: pytest.MonkeyPatch) -> None:
    """No encoder of hardware in FFmpeg."""
    for name in HARDWARE:
        substitute(monkeypatch, name=name, codec=f"h264_no_{name}")


@pytest.mark.parametrize("name", HARDWARE)
def test_an_encoder_that_fails_here(name: str, tmp_path: Path):
    """Those of this FFmpeg, really opened: each names its own reason, before a folder is made."""
    error = try_encoder(name, MOTION)
    if error is None:
        pytest.skip(f"{name} works here")
    assert error.reason == "unsupported"
    assert ENCODERS[name].codec in error.found
    encode_moving(tmp_path / "src" / "a.mp4", frames=4)
    with raises(VideoError, "unsupported", subject=f"encoder {name}"):
        prepare_videos(tmp_path / "src", tmp_path / "dst", encoder=name)
    assert not (tmp_path / "dst").exists()


def test_the_driver_is_the_reason():
    error = try_encoder("nvenc", MOTION)
    if error is None or "libcuda" not in error.found:
        pytest.skip("this FFmpeg has no h264_nvenc, or there is a driver")
    with raises(VideoError, "unsupported", message="encoder-without-driver"):
        choose_encoder("nvenc", MOTION)


def test_each_failure_has_its_own_reason():
    """FFmpeg's wrapper holds back a message that is repeated."""
    errors = [try_encoder(name, profile) for profile in PROFILES.values() for name in ("nvenc", "qsv")]
    if None in errors:
        pytest.skip("there is hardware")
    first, second, *others = [error.found for error in errors if error is not None]
    assert first != second
    assert others == [first, second] * 2


def test_pictures_that_go_to_a_device_without_a_driver(monkeypatch: pytest.MonkeyPatch):
    substitute(monkeypatch, codec="h264_nvenc", upload="cuda")
    error = try_encoder("nvenc", MOTION)
    if error is None or "libcuda" not in error.found:
        pytest.skip("this FFmpeg has no h264_nvenc, or there is a driver")
    assert error.reason == "unsupported"


def test_unknown_and_missing_encoders(none: None, tmp_path: Path):
    with raises(VideoError, "unknown_name", message="encoder-unknown"):
        choose_encoder("fast", MOTION)
    with raises(VideoError, "unknown_name"):
        transcode_video(tmp_path / "a.mp4", tmp_path / "b.mp4", replace(MOTION, encoder="fast"))
    with raises(VideoError, "unsupported") as caught:
        choose_encoder("vaapi", MOTION)
    assert caught.value.expected == "one of software"


def test_an_ffmpeg_without_x264(none: None, monkeypatch: pytest.MonkeyPatch):
    substitute(monkeypatch, name="software", codec="libx264_not_there")
    for wanted in ("software", "auto"):
        with raises(VideoError, "unsupported", subject="encoder software"):
            choose_encoder(wanted, MOTION)


def test_auto_is_software_without_hardware(none: None):
    choice = choose_encoder("auto", MOTION)
    assert choice.name == "software"
    assert list(choice.refused) == HARDWARE
    lacking = "not in this FFmpeg: " + ", ".join(f"h264_no_{name}" for name in HARDWARE)
    assert str(choice) == f"libx264; {lacking}"
    assert describe_encoders() == str(choice)
    assert choose_encoder("software", MOTION) == EncoderChoice("software")


def test_auto_takes_the_first_that_keeps_the_profile(none: None, monkeypatch: pytest.MonkeyPatch):
    substitute(monkeypatch, x264_with("open-gop=0"), name="nvenc")
    substitute(monkeypatch, name="amf")
    assert choose_encoder("auto", MOTION) == EncoderChoice("nvenc")
    strided = choose_encoder("auto", STRIDED)
    assert (strided.name, list(strided.refused)) == ("amf", ["nvenc", "qsv"])
    assert strided.refused["nvenc"].reason == "mismatch"
    with raises(VideoError, "mismatch", subject="encoder nvenc", message="encoder-does-not-keep-profile"):
        choose_encoder("nvenc", STRIDED)
    assert describe_encoders().startswith("libx264, libx264, libx264; not in this FFmpeg: h264_no_qsv")


def test_an_option_that_this_ffmpeg_lacks(monkeypatch: pytest.MonkeyPatch):
    substitute(monkeypatch, lambda profile: {**X264(profile), "nonsense": "1"})
    with raises(VideoError, "unsupported", message="encoder-without-option"):
        choose_encoder("nvenc", MOTION)


def test_fewer_processes_with_hardware(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert EncoderChoice("software").processes == 64
    assert EncoderChoice("nvenc").processes == 4


def after_the_trial(options: dict[str, str]) -> Callable[[Profile], dict[str, str]]:
    """Options that differ from those of the trial, whose groups have 16 frames."""

    def given(profile: Profile) -> dict[str, str]:
        return {**X264(profile), **(options if profile.gop != 16 else {})}

    return given


def test_another_encoder_is_another_setting(none: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    substitute(monkeypatch)
    src, dst = tmp_path / "src", tmp_path / "dst"
    encode_moving(src / "a.mp4", frames=8)
    prepare_videos(src, dst, **SMALL)
    before = contents(dst)
    assert len(prepare_videos(src, dst, encoder="auto", **SMALL).done) == 1
    (row,) = manifest(dst)
    assert row["profile"] == "mgm profile=motion gop=32 crf=35 short_side=32 encoder=nvenc version=1"
    assert prepare_videos(src, dst, encoder="nvenc", **SMALL).skipped == 1
    assert prepare_videos(src, dst, **SMALL).skipped == 0
    assert contents(dst) == before


@pytest.mark.parametrize(
    ("options", "key"), [({"crf": "abc"}, "encoder-fails-later"), ({"x264-params": "ref=3"}, None)]
)
def test_a_video_that_the_encoder_cannot_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], key: str | None
):
    """It is a record like other failures; an earlier result stays, although the source has changed."""
    src, dst = tmp_path / "src", tmp_path / "dst"
    encode_moving(src / "a.mp4", frames=8)
    prepare_videos(src, dst, **SMALL)
    before = (dst / "a.mp4").read_bytes()
    encode_moving(src / "a.mp4", frames=9)
    substitute(monkeypatch, after_the_trial(options))
    (failed,) = prepare_videos(src, dst, encoder="nvenc", **SMALL).failed
    assert (dst / "a.mp4").read_bytes() == before
    assert failed.problem is not None
    assert failed.problem.startswith(f"{dst / 'a.mp4'}: ")
    assert failed.problem.endswith("the earlier result is kept")
    if key is not None:
        with raises(VideoError, "unsupported", message=key):
            transcode_video(src / "a.mp4", tmp_path / "out.mp4", replace(MOTION, short_side=32, encoder="nvenc"))
