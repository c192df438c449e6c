"""The inspection of one file, compared with what the encoder was told, and with files broken on purpose."""

import importlib
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mgm.errors import VideoError
from mgm.video import read_clip, read_motion
from mgm.video.scan.folder import scan_file
from tests.errors import check_message, raises
from tests.video.broken import REASONS, make_broken
from tests.video.clips import VELOCITY, encode_moving, moving_frames, remux, tag_h264

SPEED = float(np.hypot(*VELOCITY))


def test_what_the_encoder_was_told(tmp_path: Path):
    options = {"g": 8, "bf": 2, "refs": 3, "x264-params": "b-adapt=0:b-pyramid=none"}
    record = scan_file(encode_moving(tmp_path / "a.mp4", frames=24, size=(128, 192), options=options))
    assert (record.status, record.problem, record.where) == ("ok", None, None)
    assert (record.container, record.codec, record.profile, record.pixel_format) == ("mp4", "h264", "High", "yuv420p")
    assert (record.width, record.height, record.rotation, record.fps) == (192, 128, 0, 25)
    assert (record.frames, record.declared_frames, record.seconds) == (24, 24, 24 / 25)
    assert (record.gop, record.key_frames, record.b_frames, record.b_run, record.references) == (8, 3, True, 2, 3)
    assert (record.vectors, record.motion_source, record.variable_rate) == (21 / 24, "codec", False)
    assert record.motion == pytest.approx(SPEED, rel=0.05)
    found = (tmp_path / "a.mp4").stat()
    assert (record.bytes, record.modified) == (found.st_size, found.st_mtime)


@pytest.mark.parametrize("references", [1, 2, 5])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.ts", {}),
        ("a.mp4", {"profile": "baseline"}),
        ("a.mkv", {"x264-params": "cqm=jvt"}),  # scaling lists in the parameter set
    ],
    ids=["high", "annex b", "baseline", "scaling lists"],
)
def test_references_of_h264(tmp_path: Path, name: str, options: dict[str, str], references: int):
    path = encode_moving(tmp_path / name, frames=8, options={"refs": references, "bf": 0, **options})
    assert scan_file(path).references == references


def test_references_from_the_packets_where_the_header_has_none(tmp_path: Path):
    path = encode_moving(tmp_path / "a.mp4", frames=8, options={"refs": 3, "bf": 0, "x264-params": "repeat-headers=1"})
    data = bytearray(path.read_bytes())
    counts = data.index(b"avcC") + 9
    assert data[counts : counts + 2] == b"\xe1\0"
    data[counts] = 0xE0  # no sequence parameter set; the byte behind it now says: no picture parameter set
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert (container.streams.video[0].codec_context.extradata or b"")[5:7] == b"\xe0\0"
    assert scan_file(path).references == 3


@pytest.mark.parametrize(
    ("name", "codec", "options", "references", "share"),
    [
        ("a.mpg", "mpeg2video", {"g": 8, "bf": 2}, 2, None),
        ("a.avi", "mpeg4", {"g": 8}, 1, 21 / 24),
        ("a.avi", "mpeg4", {"g": 1}, 0, 0),
        ("a.avi", "mjpeg", {}, 0, 0),
        ("a.webm", "libvpx-vp9", {"cpu-used": 8, "b": "1M"}, None, 0),
    ],
)
def test_references_and_vectors_of_other_codecs(tmp_path, name, codec, options, references, share):
    pixels = {"mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    path = encode_pictures(tmp_path / name, range(24), codec=codec, options=options, pixels=pixels)
    record = scan_file(path)
    assert record.references == references
    if share is not None:
        assert record.vectors == pytest.approx(share, abs=1e-6)
    assert record.status == ("ok" if record.vectors else "intra_only" if codec == "mpeg4" else "no_vectors")
    assert record.motion_source == ("codec" if record.vectors else "flow")
    assert (record.motion is None) == (not record.vectors)
    if record.motion is not None:
        assert record.motion == pytest.approx(SPEED, rel=0.15)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.flv", "a.mpg", "a.h264", "a.mxf", "a.nut"])
@pytest.mark.parametrize("options", [{"bf": 0}, {"bf": 2}, {"bf": 3, "b-pyramid": "normal", "refs": 3}], ids=str)
def test_figures_of_h264_do_not_depend_on_the_container(tmp_path: Path, name: str, options: dict[str, int]):
    """An MPEG program stream gives several short pictures one time; MXF those of decoding; AVI and raw streams give none."""
    path = tmp_path / name
    with av.open(str(path), "w", format={".mxf": "mxf", ".nut": "nut"}.get(path.suffix)) as out:
        stream = out.add_stream("libx264", rate=25, options={k: str(v) for k, v in {"g": 12, **options}.items()})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for image in moving_frames(36, (96, 128)):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    record = scan_file(path)
    assert (record.status, record.frames, record.key_frames, record.gop) == ("ok", 36, 3, 12)
    assert (record.fps, record.seconds) in ((25, None), (25, pytest.approx(36 / 25, abs=0.01)))
    assert not record.variable_rate
    assert record.motion == pytest.approx(SPEED, rel=0.05)
    motion = read_motion(path).motion
    assert record.motion == pytest.approx(float(motion.magnitude[motion.valid].mean()), rel=1e-4)


@pytest.mark.parametrize("first", range(4, 9))
@pytest.mark.parametrize("options", [{"bf": 0}, {"bf": 2}, {"bf": 3, "b-pyramid": "normal"}], ids=str)
def test_an_edit_list_that_hides_references(tmp_path: Path, first: int, options: dict[str, int]):
    """The first frames that are shown refer to pictures before them, the last ones to pictures after them."""
    path = encode_moving(tmp_path / "a.mp4", frames=40, options={"g": 12, **options})
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    (start,) = struct.unpack(">i", data[at + 4 : at + 8])
    data[at : at + 8] = struct.pack(">ii", 27 * 40, start + first * 512)  # length in ms, start in ticks
    path.write_bytes(data)
    motion, record = read_motion(path).motion, scan_file(path)
    assert (record.frames, len(motion)) == (27, 27)
    assert record.motion == pytest.approx(SPEED, rel=0.05)
    assert float(motion.magnitude[motion.valid].mean()) == pytest.approx(SPEED, rel=0.05)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mpg", "mpeg2video")])
def test_motion_is_that_of_the_reader(tmp_path: Path, name: str, codec: str):
    path = encode_moving(tmp_path / name, codec=codec, options={"g": 8, "bf": 2})
    motion = read_motion(path).motion
    assert scan_file(path).motion == pytest.approx(float(motion.magnitude[motion.valid].mean()), rel=1e-4)


def encode_pictures(path, times, *, codec="libx264", options=None, pixels="yuv420p", base=Fraction(1, 25)) -> Path:
    """One picture at each of the times, in units of `base`."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options={k: str(v) for k, v in (options or {}).items()})
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
        stream.codec_context.time_base = base
        for image, time in zip(moving_frames(len(times), (64, 96)), times, strict=True):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            picture.pts, picture.time_base = time, base
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize(
    ("times", "variable"),
    [
        ([round(i * 1001 / 30) for i in range(24)], False),  # 29.97 frames a second, rounded to milliseconds
        ([40 * i for i in range(24)], False),
        ([40 * i + 40 * (i > 12) for i in range(24)], True),  # one picture was dropped
        ([40 * i + 5 * (i % 2) for i in range(24)], True),
    ],
    ids=["rounded", "regular", "dropped", "unsteady"],
)
def test_variable_rate(tmp_path: Path, name: str, times: list[int], variable: bool):
    record = scan_file(encode_pictures(tmp_path / name, times, base=Fraction(1, 1000)))
    assert (record.frames, record.variable_rate) == (24, variable)


@pytest.mark.parametrize(("codec", "options"), [("mpeg4", {"bf": 2}), ("mjpeg", {})])
def test_a_gap_in_a_clock_that_counts_frames(tmp_path: Path, codec: str, options: dict[str, int]):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    steady = encode_pictures(tmp_path / "steady.avi", range(24), codec=codec, options=options, pixels=pixels)
    gap = [i + (i > 12) for i in range(24)]
    gapped = encode_pictures(tmp_path / "gap.avi", gap, codec=codec, options=options, pixels=pixels)
    assert (scan_file(steady).variable_rate, scan_file(steady).seconds) == (False, 24 / 25)
    assert (scan_file(gapped).variable_rate, scan_file(gapped).seconds) == (True, 1)


def test_a_clock_that_starts_again(tmp_path: Path):
    """Two recordings in one file last as long as both, and their rate is as regular."""
    part = encode_moving(tmp_path / "part.ts", frames=24, options={"g": 8, "bf": 2})
    whole = tmp_path / "whole.ts"
    whole.write_bytes(part.read_bytes() * 2)
    one, two = scan_file(part), scan_file(whole)
    assert (one.frames, one.seconds, one.variable_rate) == (24, pytest.approx(24 / 25), False)
    assert (two.frames, two.seconds, two.variable_rate) == (48, pytest.approx(48 / 25), False)


def test_an_animated_picture_is_not_a_damaged_video(tmp_path: Path):
    path = tmp_path / "a.webp"
    pictures = [Image.fromarray(frame) for frame in moving_frames(3, (64, 96))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    assert scan_file(path).status == "not_video"


def test_the_rate_of_a_stream_that_declares_none(tmp_path: Path):
    record = scan_file(encode_moving(tmp_path / "a.ts", codec="mpeg4"))
    assert record.fps == pytest.approx(25)
    assert record.seconds == pytest.approx(24 / 25)


def test_a_raw_stream_has_no_clock(tmp_path: Path, ordinary: Path):
    record = scan_file(remux(ordinary, tmp_path / "a.h264"))
    assert (record.status, record.frames, record.container) == ("ok", 24, "h264")
    assert (record.seconds, record.variable_rate, record.declared_frames) == (None, None, None)


def test_stillness_is_measured_as_zero(tmp_path: Path):
    path = tmp_path / "still.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(6):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(moving_frames(1, (64, 96))[0], format="rgb24")))
        out.mux(stream.encode(None))
    record = scan_file(path)
    assert (record.motion, record.motion_source) == (0, "codec")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("broken")
    make_broken(root)
    return root


@pytest.mark.parametrize("name", REASONS)
def test_status_of_what_is_broken(broken: Path, name: str):
    record = scan_file(broken / name)
    assert record.status == REASONS[name]
    assert not record.readable
    assert not record.has_motion
    assert record.problem is not None


def test_what_came_before_the_damage_is_kept(broken: Path):
    flipped, cut = scan_file(broken / "flipped.mp4"), scan_file(broken / "cut_between.mp4")
    for record in (flipped, cut):
        assert (record.codec, record.width, record.height, record.declared_frames) == ("h264", 96, 64, 24)
        assert record.frames is not None
        assert 0 < record.frames < 24
    assert cut.frames is not None
    assert flipped.where is not None
    assert flipped.where >= (flipped.seconds or 0)
    assert cut.frames <= 3  # of three pictures in the file; the decoder may have held some
    assert cut.where == pytest.approx(cut.frames / 25)


CONTAINERS = {
    "a.mkv": {},
    "a.webm": {},
    "a.avi": {},
    "a.h264": {},
    "a.ts": {},
    "a.mp4": {"movflags": "frag_keyframe+empty_moov"},
}


def in_container(folder: Path, ordinary: Path, name: str) -> Path:
    if name == "a.webm":
        return encode_moving(folder / name, codec="libvpx-vp9", options={"cpu-used": 8, "b": "1M"})
    if name == "a.avi":
        return encode_moving(folder / name, codec="mpeg4", options={"g": 8})
    return remux(ordinary, folder / name, options=CONTAINERS[name])


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_file_that_ends_too_early(tmp_path: Path, ordinary: Path, name: str):
    whole = in_container(tmp_path, ordinary, name)
    assert scan_file(whole).readable
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) * 93 // 100])
    record = scan_file(whole)
    assert record.status == "truncated"
    assert record.frames is not None
    assert 0 < record.frames < 24
    if name != "a.h264":
        assert record.where is not None
        # the clock of some starts a little later
        assert record.where - 0.04 * record.frames == pytest.approx(0, abs=0.2)


def test_what_misses_its_end_is_not_of_another_kind(tmp_path: Path, ordinary: Path):
    """An AVI without its index, and an MP4 cut within its own: FFmpeg finds no video in either, or a codec it does not know."""
    path = in_container(tmp_path, ordinary, "a.avi")
    path.write_bytes(path.read_bytes()[:3000])
    assert scan_file(path).status == "truncated"
    data = ordinary.read_bytes()
    index = data.index(b"moov")
    for share in range(1, 9):
        path = tmp_path / f"{share}.mp4"
        path.write_bytes(data[: index + (len(data) - index) * share // 10])
        assert scan_file(path).status == "truncated"


def test_whole_files_with_odd_sizes(tmp_path: Path, ordinary: Path):
    """A live recording that never learnt its length, and bytes behind the end that belong to nothing."""
    live = remux(ordinary, tmp_path / "live.mkv", options={"live": "1"})
    assert (scan_file(live).status, scan_file(live).frames) == ("ok", 24)
    longer = tmp_path / "longer.mp4"
    longer.write_bytes(ordinary.read_bytes() + b"\x7f\xff\xff\xffjunk" * 40)
    assert (scan_file(longer).status, scan_file(longer).frames) == ("ok", 24)


def test_the_header_is_not_believed(tmp_path: Path):
    path = encode_moving(tmp_path / "a.avi", codec="mpeg4")
    data = bytearray(path.read_bytes())
    data[(at := data.index(b"strh") + 8 + 32) : at + 4] = struct.pack("<I", 7)
    path.write_bytes(data)
    record = scan_file(path)
    assert (record.declared_frames, record.frames, record.status) == (7, 24, "ok")


def test_missing_files_and_errors_of_no_kind_are_records(
    tmp_path: Path, ordinary: Path, monkeypatch: pytest.MonkeyPatch
):
    missing = scan_file(tmp_path / "missing.mp4")
    assert (missing.status, missing.bytes, missing.modified) == ("unreadable", 0, None)

    def fails(video: object, **options: object) -> None:
        raise ZeroDivisionError("of two\nlines")

    monkeypatch.setattr(importlib.import_module("mgm.video.scan.inspect"), "iter_frame_motion", fails)
    record = scan_file(ordinary)
    assert (record.status, record.readable) == ("crashed", False)
    assert record.problem is not None
    assert "ZeroDivisionError: of two lines" in record.problem


def test_damage_of_a_raw_stream_has_no_time(tmp_path: Path):
    """Its packets have numbers in place of times."""
    path = remux(encode_moving(tmp_path / "a.mp4", frames=24, options={"bf": 0, "g": 24}), tmp_path / "a.h264")
    data = bytearray(path.read_bytes())
    start = data.index(b"\0\0\1", len(data) * 3 // 4)
    data[start + 8 : start + 40] = bytes(range(32))
    path.write_bytes(data)
    record = scan_file(path)
    assert (record.status, record.where) == ("damaged", None)
    assert "damaged (" in str(record.problem)


@pytest.mark.real
def test_real_clips(shared_data: Path):
    folder = shared_data / "codec_matrix"
    found = {path.stem: scan_file(path) for path in sorted(folder.glob("h264_*"))}
    assert found["h264_high_b3_refs4"].references == 4
    assert found["h264_intra_only"].status == "intra_only"
    assert {name for name, record in found.items() if record.variable_rate} == {"h264_vfr"}
    assert found["h264_gop12_open"].gop == 12
    raw = {path.stem: scan_file(path) for path in sorted((shared_data / "single_clips" / "openh264").iterdir())}
    assert {record.status for record in raw.values()} == {"ok"}
    assert raw["BA1_FT_C"].references == 1


@pytest.mark.parametrize(
    ("codec", "options", "status"),
    [
        ("libx264", {"x264-params": "tff=1"}, "interlaced"),
        ("mpeg2video", {"flags": "+ildct+ilme", "b": "2M"}, "ok"),
        ("libx264", {}, "ok"),
    ],
)
def test_interlaced_h264_is_named(tmp_path: Path, codec: str, options: dict[str, str | int], status: str):
    """Its field blocks say half the height, and nothing tells which they are; MPEG-2's vectors are right."""
    record = scan_file(encode_moving(tmp_path / "a.mkv", codec=codec, options=options))
    assert record.status == status
    assert record.readable
    assert record.interlaced is bool(options)
    assert (record.problem is not None) == (status == "interlaced")


def test_a_stream_that_changes_its_size(tmp_path: Path):
    whole = tmp_path / "both.ts"
    parts = [encode_moving(tmp_path / f"{width}.ts", frames=6, size=(64, width)) for width in (96, 64)]
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    record = scan_file(whole)
    assert (record.status, record.readable, record.frames) == ("size_changes", True, 12)
    assert (record.width, record.height) == (96, 64)  # of the first picture
    check_message("scan-size-changes", str(record.problem))
    assert len(read_clip(whole, frames=12, stride=1).frames) == 12
    with raises(VideoError, "unsupported"):
        read_clip(whole, frames=12, stride=1, size=None)


def test_what_no_clip_can_be_read_of_is_not_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Pictures are converted: FFmpeg's converter refuses BT.2020 with constant luminance."""
    path = tag_h264(encode_moving(tmp_path / "plain.mp4"), tmp_path / "a.mp4", matrix_coefficients=10)
    assert scan_file(path).status == "ok"
    monkeypatch.setattr("mgm.video.container.stream.convertible", lambda picture: picture)
    record = scan_file(path)
    assert (record.status, record.frames) == ("unsupported", 24)
    check_message("scan-not-convertible", str(record.problem))
    with raises(VideoError, "unsupported"):
        read_clip(path, frames=4, stride=1)


@pytest.mark.parametrize(
    ("name", "codec", "options"), [("a.mp4", "libx264", {}), ("a.webm", "libvpx-vp9", {"cpu-used": 8})]
)
def test_a_single_frame_is_not_told_to_be_transcoded(tmp_path: Path, name, codec, options):
    record = scan_file(encode_moving(tmp_path / name, frames=1, codec=codec, options=options))
    assert (record.status, record.readable, record.has_motion) == ("single_frame", True, False)
    check_message(f"scan-single-frame-{codec}", str(record.problem))
