"""A sidecar contains the fields of the stream, bit for bit, or is not used."""

import os
import shutil
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mgm.errors import FileError, VideoError
from mgm.video import read_motion
from mgm.video.container.stream import open_video
from mgm.video.motion import cache as module
from mgm.video.motion import sidecar
from mgm.video.motion.cache import (
    build_sidecar,
    iter_cached_motion,
    open_sidecar,
    sidecar_path,
    sidecar_problem,
)
from mgm.video.motion.cache_format import unpack_fields
from mgm.video.motion.field import VectorField
from mgm.video.motion.sidecar import BLOCK_FRAMES, DamagedSidecarError
from mgm.video.motion.streaming import FrameMotion, iter_frame_motion
from mgm.video.scan.find import find_videos
from tests.errors import raises
from tests.video.clips import encode_moving
from tests.video.motion.bits import assert_same_bits

STREAMS = {
    "b_frames.mp4": {"frames": 70, "options": {"g": 24}},
    "odd_size.mkv": {"frames": 33, "size": (58, 86)},
    "xvid.avi": {"frames": 40, "codec": "mpeg4", "options": {"bf": 2, "g": 12}},
    "untimed.avi": {"frames": 32, "options": {"bf": 2}},
}


def streamed(path: Path) -> list[FrameMotion]:
    with open_video(path, vectors=True, skip_loop_filter=True) as video:
        return list(iter_frame_motion(video))


def assert_equals_stream(path: Path, folder: Path | None = None) -> None:
    expected = streamed(path)
    build_sidecar(path, folder)
    assert sidecar_problem(path, folder, blocks=True) is None
    cached = open_sidecar(path, folder)
    assert cached is not None
    field = cached.read(0, cached.num_frames - 1)
    assert_same_bits(field.vectors, np.stack([f.field.vectors for f in expected]))
    assert np.array_equal(field.valid, np.stack([f.field.valid for f in expected]))
    assert np.array_equal(cached.pts_seconds, [f.pts_seconds for f in expected], equal_nan=True)
    assert cached.picture_types == "".join(f.picture_type for f in expected)
    assert cached.is_key.tolist() == [f.is_key for f in expected]
    assert cached.grid == expected[0].field.valid.shape


@pytest.fixture
def video(ordinary: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(ordinary, tmp_path / "clip.mp4"))


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 frames: two whole blocks and a part of one."""
    path = encode_moving(tmp_path_factory.mktemp("long") / "long.mp4", frames=70, options={"g": 24})
    build_sidecar(path)
    return path


@pytest.mark.parametrize("name", STREAMS)
def test_a_sidecar_equals_the_stream_bit_for_bit(tmp_path, name):
    assert_equals_stream(encode_moving(tmp_path / name, **STREAMS[name]))


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    [
        "codec_matrix/h264_high_b3_refs4.mp4",
        "codec_matrix/h264_vfr.mkv",
        "codec_matrix/h264_intra_only.mp4",
        "codec_matrix/mpeg2.mpg",
        "codec_matrix/h263.3gp",
        "single_clips/openh264/BA_MW_D.264",
        "moving_objects/tennis/tennis_h264_bframes.mp4",
    ],
)
def test_sidecars_of_real_streams_equal_them_bit_for_bit(shared_data, tmp_path, name):
    assert_equals_stream(shared_data / name, tmp_path)


def test_any_range_equals_a_slice_of_the_whole(long_video):
    cached = open_sidecar(long_video)
    assert cached is not None
    assert cached.num_frames == 70
    whole = cached.read(0, 69)
    for first, last in ((0, 0), (0, 31), (31, 32), (32, 63), (5, 68), (64, 69), (69, 69)):
        part = cached.read(first, last)
        assert_same_bits(part.vectors, whole.vectors[first : last + 1])
        assert np.array_equal(part.valid, whole.valid[first : last + 1])
    for first, last in ((-1, 3), (5, 4), (60, 70)):
        with raises(VideoError, "invalid_value", subject=cached.path):
            cached.read(first, last)


def test_a_clip_decompresses_only_its_blocks(long_video, monkeypatch):
    cached = open_sidecar(long_video)
    assert cached is not None
    unpacked = []
    monkeypatch.setattr(
        sidecar, "unpack_fields", lambda data, shape: unpacked.append(shape) or unpack_fields(data, shape)
    )
    cached.read(40, 50)
    assert [shape[0] for shape in unpacked] == [BLOCK_FRAMES]


def test_without_a_sidecar_the_problem_is_not_found(video):
    assert open_sidecar(video) is None
    assert sidecar_problem(video).reason == "not_found"


def rewritten_in_place(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(0, 1))  # the clock of the file system may be too coarse


def replaced_at_the_same_time(path: Path) -> None:
    """As by `rsync --times`: only the content differs."""
    state, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def longer_at_the_same_time(path: Path) -> None:
    state = path.stat()
    with path.open("ab") as file:
        file.write(bytes(100_000))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize(
    "change", [rewritten_in_place, replaced_at_the_same_time, longer_at_the_same_time, Path.unlink]
)
def test_it_is_not_used_for_another_state_of_the_video(video, change):
    build_sidecar(video)
    assert open_sidecar(video) is not None
    change(video)
    assert open_sidecar(video) is None
    assert sidecar_problem(video).reason == "mismatch"


def test_a_stale_sidecar_is_built_again(video):
    build_sidecar(video)
    os.utime(video, ns=(0, 1))
    assert open_sidecar(video) is None
    build_sidecar(video)
    assert open_sidecar(video) is not None


def test_damage_is_detected_and_never_yields_other_numbers(long_video, tmp_path):
    video = Path(shutil.copy2(long_video, tmp_path / "clip.mp4"))
    path = build_sidecar(video)
    data = path.read_bytes()
    cached = open_sidecar(video)
    assert cached is not None
    whole = cached.read(0, 69)
    refused = found = 0
    for position in range(0, len(data), max(len(data) // 400, 1)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        path.unlink()  # the mapped file must not change
        path.write_bytes(damaged)
        cached = open_sidecar(video)
        if cached is None:
            assert sidecar_problem(video) is not None
            refused += 1
            continue
        try:
            field = cached.read(0, 69)
        except DamagedSidecarError:
            assert sidecar_problem(video, blocks=True).reason == "damaged"
            found += 1
        else:
            assert_same_bits(field.vectors, whole.vectors)
            assert np.array_equal(field.valid, whole.valid)
    assert refused > 0
    assert found > 300


def test_a_truncated_sidecar_is_not_used(video):
    path = build_sidecar(video)
    data = path.read_bytes()
    for length in (0, 1, 7, 8, 30, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        assert open_sidecar(video) is None
        assert sidecar_problem(video).subject == str(path)
    path.write_bytes(data + b"\0")
    assert open_sidecar(video) is None


def test_a_pipe_in_the_place_of_a_sidecar_blocks_nothing(video):
    expected = read_motion(video, frames=8).motion.vectors
    os.mkfifo(sidecar_path(video))
    assert sidecar_problem(video).reason == "unreadable"
    np.testing.assert_array_equal(read_motion(video, frames=8).motion.vectors, expected)
    assert len(list(iter_cached_motion(video))) == len(streamed(video))
    build_sidecar(video)
    assert sidecar_problem(video, blocks=True) is None


def test_another_version_or_another_file_is_not_used(video):
    path = build_sidecar(video)
    data = bytearray(path.read_bytes())
    data[4] += 1
    path.write_bytes(data)
    assert open_sidecar(video) is None
    assert sidecar_problem(video).reason == "unsupported"
    path.write_text("notes of mine " * 10)
    assert sidecar_problem(video).reason == "malformed"
    path.unlink()
    path.mkdir()
    assert open_sidecar(video) is None


def test_a_failed_build_keeps_the_old_sidecar(video):
    build_sidecar(video)
    whole = video.read_bytes()
    before = sidecar_path(video).read_bytes()
    video.write_bytes(whole[: len(whole) // 2])
    with raises(VideoError, "truncated"):
        build_sidecar(video)
    assert sidecar_path(video).read_bytes() == before
    assert sorted(p.name for p in video.parent.iterdir()) == ["clip.mp4", "clip.mp4.mgmv"]


def test_a_video_that_changes_meanwhile_is_not_cached(video, monkeypatch):
    def slow(opened, **options):
        yield from iter_frame_motion(opened, **options)
        os.utime(video, ns=(0, 1))

    monkeypatch.setattr(module, "iter_frame_motion", slow)
    with raises(VideoError, "mismatch", message="motion-changed-while-read"):
        build_sidecar(video)
    assert [p.name for p in video.parent.iterdir()] == ["clip.mp4"]


def test_threads_may_build_the_same_sidecar_at_once(video):
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: build_sidecar(video), range(12)))
    assert paths == {sidecar_path(video)}
    assert sidecar_problem(video, blocks=True) is None
    assert sorted(p.name for p in video.parent.iterdir()) == ["clip.mp4", "clip.mp4.mgmv"]


def test_videos_of_one_name_have_their_own_sidecars_in_a_folder(ordinary, tmp_path):
    videos = []
    for label in ("walk", "run"):
        (tmp_path / label).mkdir()
        videos.append(Path(shutil.copy(ordinary, tmp_path / label / "0.mp4")))
    paths = {build_sidecar(video, tmp_path / "new" / "cache") for video in videos}
    assert len(paths) == 2
    assert {p.parent for p in paths} == {tmp_path / "new" / "cache"}
    assert all(open_sidecar(video, tmp_path / "new" / "cache") is not None for video in videos)
    assert open_sidecar(videos[0]) is None


def test_a_search_for_videos_skips_sidecars(video):
    build_sidecar(video)
    assert list(find_videos([video.parent])) == [video]


def test_a_place_that_cannot_be_written(video, tmp_path):
    (tmp_path / "file").touch()
    with raises(FileError, "cannot_write"):
        build_sidecar(video, tmp_path / "file" / "cache")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_sidecars_of_a_read_only_folder_are_used(video, tmp_path):
    build_sidecar(video)
    tmp_path.chmod(0o500)
    try:
        assert open_sidecar(video) is not None
        with raises(FileError, "cannot_write"):
            build_sidecar(video)
    finally:
        tmp_path.chmod(0o700)


def test_a_codec_without_vectors_and_wrong_arguments_are_errors(tmp_path, video):
    vp9 = encode_moving(tmp_path / "a.webm", codec="libvpx-vp9", frames=4)
    with raises(VideoError, "no_vectors"):
        build_sidecar(vp9)
    with raises(VideoError, "invalid_value", message="motion-compression-level"):
        build_sidecar(video, level=20)
    with raises(VideoError, "not_found"):
        build_sidecar(tmp_path / "absent.mp4")
    with raises(VideoError, "unsupported", message="motion-cache-of-a-url"):
        build_sidecar("memory://a.mp4")


def test_without_zstandard_the_stream_is_read(video, monkeypatch):
    build_sidecar(video)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with raises(VideoError, "missing_package", message="motion-cache-without-zstandard"):
        build_sidecar(video)
    assert open_sidecar(video) is None
    assert sidecar_problem(video).reason == "missing_package"
    assert len(list(iter_cached_motion(video))) == 24


def test_cached_motion_comes_from_the_sidecar(video, monkeypatch):
    expected = streamed(video)
    raw = list(iter_cached_motion(video, reading="raw"))
    build_sidecar(video)

    def fails(*_, **__):
        raise AssertionError("decoded")

    with monkeypatch.context() as patch:
        patch.setattr(module, "iter_frame_motion", fails)
        found = list(iter_cached_motion(video))
        with pytest.raises(AssertionError, match="decoded"):  # a sidecar contains the reading "clean" only
            list(iter_cached_motion(video, reading="raw"))
    for one, other in zip(found, expected, strict=True):
        assert (one.index, one.pts_seconds) == (other.index, other.pts_seconds)
        assert (one.picture_type, one.is_key) == (other.picture_type, other.is_key)
        assert_same_bits(one.field.vectors, other.field.vectors)
        assert np.array_equal(one.field.valid, other.field.valid)
    for one, other in zip(iter_cached_motion(video, reading="raw"), raw, strict=True):
        assert_same_bits(one.field.vectors, other.field.vectors)


def test_cached_motion_continues_from_the_stream_at_a_damaged_block(long_video, tmp_path):
    video = Path(shutil.copy2(long_video, tmp_path / "clip.mp4"))
    path = build_sidecar(video)
    cached = open_sidecar(video)
    data = bytearray(path.read_bytes())
    data[int(cached._offsets[1]) + 200] ^= 1
    path.unlink()
    path.write_bytes(data)
    cached = open_sidecar(video)
    cached.read(0, 31)
    with raises(DamagedSidecarError, "damaged", message="motion-cache-damaged-block"):
        cached.read(0, 32)
    for one, other in zip(iter_cached_motion(video), streamed(video), strict=True):
        assert (one.index, one.pts_seconds) == (other.index, other.pts_seconds)
        assert_same_bits(one.field.vectors, other.field.vectors)


def test_memory_stays_flat(video, monkeypatch):
    """600 frames are 17 MB of vectors."""
    rng = np.random.default_rng(0)
    vectors = rng.integers(-40, 40, (45, 80, 2)).astype(np.float32) / 4
    valid = np.ones((45, 80), np.bool_)

    def many(_, **options):
        for i in range(600):
            yield FrameMotion(i, i / 25, "P", False, VectorField(np.roll(vectors, i, axis=0), valid))

    monkeypatch.setattr(module, "iter_frame_motion", many)
    build_sidecar(video, level=1)  # imports and caches
    tracemalloc.start()
    try:
        build_sidecar(video, level=1)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()
