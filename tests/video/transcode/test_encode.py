import socket
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from mgm.errors import FileError, VideoError
from mgm.video.container.h264 import parse_first_slice
from mgm.video.container.metadata import read_profile
from mgm.video.container.stream import open_video, packets
from mgm.video.motion.vectors import iter_motion_vectors
from mgm.video.transcode.encode import Transcoded, transcode_video
from mgm.video.transcode.profiles import PROFILES, describe_profile, make_profile
from mgm.video.transcode.write import write_video
from tests.errors import raises
from tests.video.broken import REASONS, make_broken
from tests.video.clips import decode_by_pyav, decode_whole, encode_moving, moving_frames, remux
from tests.video.transcode.pictures import KEEP, difference, smooth_frames, times


def references(path: Path) -> list[int]:
    """Display numbers of the frames that others may refer to, by nal_ref_idc."""
    with open_video(path, vectors=False) as video:
        lengths = video.nal_length_size
        found = [(packet.pts, parse_first_slice(bytes(packet), lengths).reference) for packet in packets(video)]
    return [number for number, (_, reference) in enumerate(sorted(found)) if reference]


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_recorded_in_the_file(ordinary: Path, tmp_path: Path, name: str):
    profile = make_profile(name, crf=30, gop=16)
    made = transcode_video(ordinary, tmp_path / "deep" / "out.mp4", profile)
    size = (tmp_path / "deep" / "out.mp4").stat().st_size
    assert made == Transcoded(str(ordinary), str(tmp_path / "deep" / "out.mp4"), "h264", "h264", 24, 64, 96, False,
                              ordinary.stat().st_size, size)  # fmt: skip
    with av.open(made.target) as container:
        found = read_profile(container.metadata)
        assert container.metadata["comment"] == describe_profile(profile)
        assert [s.type for s in container.streams] == ["video"]
    assert found is not None
    assert (found["profile"], found["gop"], found["crf"], found.get("stride")) == (name, 16, 30, profile.stride)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out.mp4"]


def test_motion_has_one_reference_and_no_b_frames(tmp_path: Path):
    source = encode_moving(tmp_path / "in.mp4", frames=70)
    transcode_video(source, tmp_path / "out.mp4", make_profile("motion"))
    kinds = "".join(found.picture_type for found in iter_motion_vectors(tmp_path / "out.mp4"))
    assert set(kinds) == {"I", "P"}
    assert all(kinds[i] == "I" for i in range(0, 70, 32))


def still_and_cut(count: int) -> list[npt.NDArray[np.uint8]]:
    """Black, then noise that changes with every frame, then a still."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (count, 32, 48, 3), dtype=np.uint8)
    noise[: count // 3] = 0
    noise[2 * count // 3 :] = noise[-1]
    return list(noise)


@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("content", ["moving", "cuts", "black"])
def test_strided_has_its_references_on_the_grid(tmp_path: Path, stride: int, content: str):
    profile = make_profile("strided", stride=stride, gop=2 * stride)
    for count in (1, 2, 3, stride, stride + 1, 2 * stride, 4 * stride - 1, 4 * stride + 1):
        frames = {"moving": moving_frames(33, (32, 48))[:count], "cuts": still_and_cut(count),
                  "black": [np.zeros((32, 48, 3), np.uint8)] * count}[content]  # fmt: skip
        source, target = tmp_path / "in.mkv", tmp_path / "out.mp4"
        write_video(source, frames, fps=25, options={"preset": "ultrafast"})
        transcode_video(source, target, profile)
        last = {count - 1}  # an encoder does not end with a B-frame
        assert set(references(target)) == set(range(0, count, stride)) | last
        kinds = [found.picture_type for found in iter_motion_vectors(target)]
        assert [n for n, kind in enumerate(kinds) if kind == "I"] == list(range(0, count, 2 * stride))
        assert {n for n, kind in enumerate(kinds) if kind == "B"} == set(range(count)) - set(references(target))


def test_strided_vectors_span_the_stride(tmp_path: Path):
    source = encode_moving(tmp_path / "in.mp4", frames=17, size=(96, 128))
    transcode_video(source, tmp_path / "out.mp4", make_profile("strided", stride=4))
    for found in iter_motion_vectors(tmp_path / "out.mp4"):
        if found.picture_type == "P":
            moved = -found.vectors["motion_x"] / found.vectors["motion_scale"]
            assert np.median(moved) == pytest.approx(4 * 3.0, abs=0.5)


def timed(path: Path, ticks: list[int]) -> Path:
    """A Matroska file with a picture at each time, in ms."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for frame, tick in zip(smooth_frames(len(ticks), (48, 64)), ticks, strict=True):
            picture = av.VideoFrame.from_ndarray(frame)
            picture.pts, picture.time_base = tick, Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def test_a_clock_that_starts_centuries_late(tmp_path: Path):
    """Its times, as seconds in floating point, are further apart than the ticks of a fine clock."""
    start = 2**45
    transcode_video(timed(tmp_path / "in.mkv", [start + 40 * n for n in range(9)]), tmp_path / "out.mp4", KEEP)
    with av.open(str(tmp_path / "out.mp4")) as out:
        stream = out.streams.video[0]
        assert stream.time_base is not None
        found = [(picture.pts or 0) * stream.time_base for picture in out.decode(stream)]
    assert [time - found[0] for time in found] == [Fraction(n, 25) for n in range(9)]


def test_a_rate_that_rounds_to_zero(tmp_path: Path):
    """A header may declare a frame every 68 years."""
    data = bytearray(encode_moving(tmp_path / "source.mp4").read_bytes())
    duration, clock = data.index(b"stts") + 16, data.index(b"mdhd") + 16
    data[duration : duration + 4] = (2**31 - 1).to_bytes(4, "big")
    data[clock : clock + 4] = (1).to_bytes(4, "big")
    source = tmp_path / "slow.mp4"
    source.write_bytes(data)
    assert transcode_video(source, tmp_path / "out.mp4", KEEP).frames == len(decode_by_pyav(source))


def test_a_gap_that_no_mp4_can_hold(tmp_path: Path):
    """FFmpeg would wrap its length without a word."""
    day = 86_400_000
    source = timed(tmp_path / "day.mkv", [0, 40, day, day + 40])
    transcode_video(source, tmp_path / "out.mp4", KEEP)
    assert times(tmp_path / "out.mp4") == pytest.approx([0, 0.04, 86_400, 86_400.04])
    source = timed(tmp_path / "week.mkv", [0, 40, 7 * day, 7 * day + 40])
    with raises(VideoError, "unsupported", subject=source, message="prepare-long-gap"):
        transcode_video(source, tmp_path / "out.mp4", KEEP)


def test_irregular_times_are_kept_and_every_frame_comes_once(tmp_path: Path):
    ticks = np.cumsum(np.random.default_rng(0).integers(1, 300, 20)).tolist()
    source, target = timed(tmp_path / "vfr.mkv", ticks), tmp_path / "out.mp4"
    for profile in (KEEP, make_profile("strided", crf=4)):
        transcode_video(source, target, profile)
        assert times(target) == pytest.approx(times(source), abs=1e-6)
        assert times(target) == pytest.approx([tick / 1000 for tick in ticks], abs=1e-6)
        assert difference(decode_whole(target), decode_whole(source)) < 2


@pytest.mark.parametrize("container", ["h264", "avi", "ts", "mpg"])
def test_sources_without_true_times(tmp_path: Path, container: str):
    whole = tmp_path / "whole.mp4"
    write_video(whole, smooth_frames(20, (48, 64)), fps=25, options={"crf": 4})
    source = tmp_path / f"in.{container}"
    if container == "avi":
        write_video(source, smooth_frames(20, (48, 64)), fps=25, options={"crf": 4})
    elif container == "mpg":
        write_video(source, smooth_frames(20, (48, 64)), fps=25, codec="mpeg1video", options={"b": "4M", "bf": 2})
    else:
        remux(whole, source)
    transcode_video(source, tmp_path / "out.mp4", KEEP)
    assert times(tmp_path / "out.mp4") == pytest.approx([n / 25 for n in range(20)], abs=1e-6)
    assert difference(decode_whole(tmp_path / "out.mp4"), decode_whole(source)) < 2


def test_joined_recordings_follow_each_other(tmp_path: Path):
    """The clock of the file starts again in the middle."""
    part = encode_moving(tmp_path / "part.ts", frames=24, options={"g": 8, "bf": 2})
    (tmp_path / "whole.ts").write_bytes(part.read_bytes() * 3)
    transcode_video(tmp_path / "whole.ts", tmp_path / "out.mp4", KEEP)
    np.testing.assert_allclose(times(tmp_path / "out.mp4"), np.arange(72) / 25, atol=1e-4)


def test_what_an_edit_list_hides_stays_hidden(tmp_path: Path):
    whole, source, target = tmp_path / "whole.mp4", tmp_path / "edited.mp4", tmp_path / "out.mp4"
    write_video(whole, smooth_frames(20, (48, 64)), fps=25, options={"crf": 4, "bf": 0})
    with av.open(str(whole)) as given, av.open(str(source), "w", options={"avoid_negative_ts": "disabled"}) as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.pts = packet.pts - 5 * 512
                packet.dts = packet.dts - 5 * 512
                packet.stream = stream
                out.mux(packet)
    assert transcode_video(source, target, KEEP).frames == 15
    assert difference(decode_whole(target), decode_whole(whole)[5:]) < 2


def test_a_huge_picture_is_scaled_or_refused(tmp_path: Path):
    source = tmp_path / "in.mkv"
    write_video(source, [np.zeros((16, 17000, 3), np.uint8)], fps=1, codec="ffv1")
    assert transcode_video(source, tmp_path / "out.mp4", make_profile("motion", short_side=8)).width == 8500
    with raises(VideoError, "unsupported", subject=source):
        transcode_video(source, tmp_path / "refused.mp4", KEEP)
    assert not (tmp_path / "refused.mp4").exists()


@pytest.mark.parametrize("colour_range", [1, 2])
def test_colour_tags_are_kept(tmp_path: Path, colour_range: int):
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        context = stream.codec_context
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = colour_range, 1, 1, 1
        context.sample_aspect_ratio = Fraction(4, 3)
        picture = av.VideoFrame.from_ndarray(smooth_frames(1, (48, 64))[0]).reformat(format="yuv420p")
        picture.color_range, picture.colorspace = colour_range, 1
        out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    turned = remux(source, tmp_path / "turned.mp4", rotation=90)
    for given, aspect in ((source, Fraction(4, 3)), (turned, Fraction(3, 4))):
        transcode_video(given, tmp_path / "out.mp4", KEEP)
        with av.open(str(tmp_path / "out.mp4")) as container:
            context = container.streams.video[0].codec_context
            found = (context.color_range, context.colorspace, context.color_primaries, context.color_trc)
            assert found == (colour_range, 1, 1, 1)
            assert container.streams.video[0].sample_aspect_ratio == aspect
        with av.open(str(given)) as a, av.open(str(tmp_path / "out.mp4")) as b:  # luma as it was: no range conversion
            before, after = (next(c.decode(video=0)).reformat(format="gray").to_ndarray() for c in (a, b))
        before = np.rot90(before) if given == turned else before
        assert np.abs(before.astype(int) - after).mean() < 2


def test_sound_is_dropped(tmp_path: Path):
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        sound = out.add_stream("aac", rate=16000, layout="mono")
        for frame in smooth_frames(5, (48, 64)):
            out.mux(video.encode(av.VideoFrame.from_ndarray(frame)))
        out.mux(video.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 3200), np.float32), format="fltp", layout="mono")
        silence.rate = 16000
        out.mux(sound.encode(silence))
        out.mux(sound.encode(None))
    assert transcode_video(source, tmp_path / "out.mp4", KEEP).frames == 5
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize("name", PROFILES)
def test_the_same_source_gives_the_same_bytes(tmp_path: Path, name: str):
    source = encode_moving(tmp_path / "in.mp4", frames=40, size=(80, 112))
    made = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for target in made:
        transcode_video(source, target, make_profile(name))
    assert made[0].read_bytes() == made[1].read_bytes()


def test_damage_is_its_reason_and_leaves_the_target_alone(tmp_path: Path):
    make_broken(tmp_path)
    for name, reason in REASONS.items():
        target = tmp_path / "out" / f"{name}.mp4"
        for before in (None, b"what was here"):
            if before is not None:
                target.write_bytes(before)
            with raises(VideoError, reason, subject=tmp_path / name):
                transcode_video(tmp_path / name, target, make_profile("motion"))
            assert (target.read_bytes() if target.exists() else None) == before
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f"{name}.mp4" for name in REASONS)


def test_the_source_is_no_target(ordinary: Path, tmp_path: Path):
    source = tmp_path / "a.mp4"
    source.write_bytes(ordinary.read_bytes())
    (tmp_path / "soft.mp4").symlink_to(source)
    (tmp_path / "hard.mp4").hardlink_to(source)
    for name in ("a.mp4", "soft.mp4", "hard.mp4"):
        with raises(FileError, "exists", subject=tmp_path / name):
            transcode_video(source, tmp_path / name, KEEP)
    assert source.read_bytes() == ordinary.read_bytes()
    assert (tmp_path / "soft.mp4").is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on files")
@pytest.mark.parametrize("limit", [20, 3000])
def test_no_room_names_the_target(ordinary: Path, tmp_path: Path, limit: int):
    code = (
        "import resource, signal, sys\n"
        "from mgm.errors import FileError\n"
        "from mgm.video.transcode.profiles import make_profile\n"
        "from mgm.video.transcode.encode import transcode_video\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "try:\n"
        "    transcode_video(sys.argv[1], sys.argv[2], make_profile('motion', crf=1))\n"
        "except FileError as error:\n"
        "    print(error.reason, error.subject)\n"
    )
    target = tmp_path / "out.mp4"
    done = subprocess.run([sys.executable, "-c", code, ordinary, target], capture_output=True, text=True, check=True)
    assert done.stdout == f"cannot_write {target}\n"
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_names_the_target(ordinary: Path, tmp_path: Path):
    (tmp_path / "out.mp4").mkdir()
    with raises(FileError, "cannot_write", subject=tmp_path / "out.mp4"):
        transcode_video(ordinary, tmp_path / "out.mp4", KEEP)
    (tmp_path / "file").touch()
    with raises(FileError, "cannot_write", subject=tmp_path / "file" / "out.mp4"):
        transcode_video(ordinary, tmp_path / "file" / "out.mp4", KEEP)
    assert {p.name for p in tmp_path.iterdir()} == {"out.mp4", "file"}


@pytest.mark.real
@pytest.mark.slow
def test_real_clips_keep_their_frames_times_and_pixels(shared_data: Path, tmp_path: Path):
    target = tmp_path / "out.mp4"
    sources = sorted((shared_data / "codec_matrix").iterdir())
    sources += [shared_data / "single_clips" / name for name in (
        "torchcodec/h264_10bits.mp4", "torchcodec/h265_10bits.mp4", "openh264/MR1_BT_A.h264",
        "openh264/Cisco_Men_whisper_640x320_CABAC_Bframe_9.264", "torchcodec/bt709_full_range.mp4")]  # fmt: skip
    for source in sources:
        transcode_video(source, target, make_profile("compat", crf=10))
        before, after = times(source), times(target)
        assert len(after) == len(before), source
        if not np.isnan(before).any() and source.suffix not in (".mpg",):
            assert after == pytest.approx(before, abs=1e-4), source
        assert all(a < b for a, b in pairwise(after)), source
        assert difference(decode_whole(target, size=128), decode_whole(source, size=128)) < 4, source


def test_a_colon_in_a_folder_is_no_protocol(ordinary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder of others may be called like an address; FFmpeg would connect to it."""
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        folder = Path(f"tcp:127.0.0.1:{server.getsockname()[1]}")
        server.settimeout(0)
        transcode_video(ordinary, folder / "out.mp4", make_profile("motion"))
        write_video(folder / "plain.mp4", moving_frames(2, (64, 96)), fps=25)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert sorted(path.name for path in folder.iterdir()) == ["out.mp4", "plain.mp4"]
