"""A clip equals a full sequential decode: bit for bit in its frames, cell by cell in its motion."""

from pathlib import Path

import av
import numpy as np
import pytest

from mgm.errors import VideoError
from mgm.video import read_clip
from tests.errors import raises
from tests.video.clips import VELOCITY, decode_whole, encode_moving, remux

SIDE = 48
POLICIES = ("window_sum", "sampled", "window_max")


def sampled(total, *, start, frames, stride):
    """repeat_last, written down a second time."""
    return [min(start + stride * i, start + (total - 1 - start) // stride * stride) for i in range(frames)]


def check_random_clips(path: Path, *, draws: int, motion: bool, size: int | None = SIDE) -> None:
    whole = decode_whole(path, size=size)
    field = None
    if motion:
        clip = read_clip(path, frames=None, stride=1, size=size)
        np.testing.assert_array_equal(clip.frames, whole)
        field = clip.motion
    rng = np.random.default_rng(0)
    for draw in range(draws):
        start, stride, frames = (
            int(rng.integers(len(whole))),
            int(rng.choice([1, 2, 3, 4, 7])),
            int(rng.choice([1, 2, 5, 8])),
        )
        query = {"start": start, "frames": frames, "size": size, "motion": "codec" if motion else None}
        clip = read_clip(path, stride=stride, policy=POLICIES[draw % 3], **query)
        index = sampled(len(whole), start=start, frames=frames, stride=stride)
        assert clip.frame_indices.tolist() == index, query
        np.testing.assert_array_equal(clip.frames, whole[index], err_msg=str(query))
        if field is not None:
            clip = read_clip(path, stride=1, **query)
            assert clip.motion is not None
            np.testing.assert_array_equal(clip.motion.valid, field.valid[clip.frame_indices])
            both = clip.motion.valid
            # Times are rounded to milliseconds in some containers, and so are the gaps that vectors are divided by.
            np.testing.assert_allclose(clip.motion.vectors[both], field.vectors[clip.frame_indices][both], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("b_frames.mp4", "libx264", {}),
        ("references.mp4", "libx264", {"refs": 8, "bf": 8, "x264-params": "b-pyramid=strict"}),
        ("open_gop.mp4", "libx264", {"g": 8, "x264-params": "open-gop=1:b-pyramid=normal"}),
        ("short_gop.mkv", "libx264", {"g": 5, "bf": 2}),
        ("intra_refresh.mp4", "libx264", {"g": 8, "x264-params": "intra-refresh=1"}),
        ("interlaced.mov", "libx264", {"g": 12, "x264-params": "tff=1"}),
        ("slices.ts", "libx264", {"g": 9, "x264-params": "slices=4"}),
        ("made_up_times.avi", "libx264", {"g": 9}),
        ("mpeg4.mp4", "mpeg4", {"bf": 2, "g": 9, "b": "2M"}),
        ("mpeg4.avi", "mpeg4", {"bf": 2, "g": 9, "b": "2M"}),
        ("mpeg2.mpg", "mpeg2video", {"bf": 2, "g": 9, "b": "2M"}),
        ("flv1.flv", "flv", {"g": 9, "b": "2M"}),
    ],
)
def test_clips_of_every_kind_of_stream(tmp_path: Path, name: str, codec: str, options: dict[str, str | int]):
    path = encode_moving(tmp_path / name, frames=30, codec=codec, options=options)
    check_random_clips(path, draws=12, motion=True)


@pytest.mark.parametrize(
    ("name", "codec"), [("vp9.webm", "libvpx-vp9"), ("vp8.webm", "libvpx"), ("hevc.mp4", "libx265")]
)
def test_clips_of_codecs_without_vectors(tmp_path: Path, name: str, codec: str):
    options = {"preset": "ultrafast"} if codec == "libx265" else {"cpu-used": 8, "b": "1M", "lag-in-frames": 8}
    path = encode_moving(tmp_path / name, frames=24, codec=codec, options={"g": 9, **options})
    check_random_clips(path, draws=8, motion=False)


def test_clips_of_odd_sizes_and_of_streams_without_times(tmp_path: Path):
    odd = encode_moving(tmp_path / "odd.mp4", frames=9, size=(258, 342), options={"g": 4, "preset": "veryfast"})
    check_random_clips(odd, draws=4, motion=True, size=None)
    clip = read_clip(odd, frames=2, size=None)
    assert clip.frames.shape == (2, 258, 342, 3)
    assert clip.motion is not None
    assert clip.motion.vectors.shape == (2, 33, 43, 2)
    assert clip.motion.extent == (258, 342)
    check_random_clips(remux(odd, tmp_path / "raw.h264"), draws=4, motion=True)


UNSEEN = ("av1", "h265", "hevc", "mjpeg", "vp8", "vp9")


@pytest.mark.real
def test_clips_of_real_streams(shared_data: Path):
    for path in sorted((shared_data / "codec_matrix").iterdir()):
        check_random_clips(path, draws=4, motion=not path.name.startswith(UNSEEN))


@pytest.mark.real
@pytest.mark.slow
def test_hundreds_of_clips_of_every_real_stream(shared_data: Path):
    """Some 60 files x 14 draws x (pixels with a policy, motion step by step)."""
    for path in sorted((shared_data / "codec_matrix").iterdir()) + sorted((shared_data / "single_clips").rglob("*.*")):
        if path.suffix in {".mp4", ".mkv", ".264", ".h264", ".avi", ".3gp", ".webm", ".mpg"}:
            motion = not path.name.startswith((*UNSEEN, "h264_intra"))
            # All frames are held in memory: fewer draws and pixels for the two of twelve megapixels.
            check_random_clips(path, draws=14 if path.stat().st_size < 700_000 else 3, motion=motion)


def test_motion_of_h264_in_avi_equals_that_in_mp4(tmp_path: Path, ordinary: Path):
    """AVI has no presentation times: order and reference distances must come from the pictures themselves."""
    same = encode_moving(tmp_path / "same.avi", options={"g": 8})
    expected, found = (read_clip(p, frames=None, stride=1) for p in (ordinary, same))
    np.testing.assert_array_equal(found.frames, expected.frames)
    assert found.motion is not None
    assert expected.motion is not None
    np.testing.assert_allclose(found.motion.vectors, expected.motion.vectors, atol=1e-5)
    np.testing.assert_allclose(found.pts_seconds, np.arange(24) / 25)


def test_to_the_end_and_frames_only(ordinary: Path):
    clip = read_clip(str(ordinary), start=3, frames=None, stride=5, motion=None, size=SIDE)
    assert clip.frame_indices.tolist() == [3, 8, 13, 18, 23]
    assert clip.motion is None
    assert clip.path == str(ordinary)
    assert clip.frames.dtype == np.uint8


def test_frames_that_only_motion_needs_are_read_but_not_shown(ordinary: Path):
    """The sum over a stride is the sum of the steps of stride 1."""
    steps = read_clip(ordinary, start=1, frames=None, stride=1, size=None).motion
    clip = read_clip(ordinary, start=12, frames=3, stride=4, size=None)
    assert steps is not None
    assert clip.motion is not None
    for position, end in enumerate(clip.frame_indices):
        np.testing.assert_allclose(clip.motion.vectors[position], steps.vectors[end - 4 : end].sum(0), atol=1e-4)


def test_the_raw_reading_keeps_the_vectors_of_the_stream(ordinary: Path):
    clean, raw = (
        read_clip(ordinary, start=1, frames=None, stride=1, size=None, reading=r).motion for r in ("clean", "raw")
    )
    assert clean is not None
    assert raw is not None
    longer = np.median(raw.magnitude, axis=(1, 2)) / np.median(clean.magnitude, axis=(1, 2))
    assert longer.max() >= 2
    assert not raw.vectors[~raw.valid].any()
    sampled_raw = read_clip(ordinary, start=4, frames=3, policy="sampled", reading="raw", size=None).motion
    assert sampled_raw is not None
    np.testing.assert_array_equal(sampled_raw.vectors, raw.vectors[[3, 7, 11]])


def test_mpeg4_b_frames_move_as_the_frame_that_encloses_them(tmp_path: Path):
    """The decoder exports exact zeros for them. Those before a keyframe are filled in."""
    path = encode_moving(tmp_path / "clip.mp4", codec="mpeg4", size=(96, 128), options={"bf": 2, "b": "4M"})
    motion = read_clip(path, start=1, frames=20, stride=1, size=None).motion
    assert motion is not None
    np.testing.assert_allclose(np.median(motion.vectors, axis=(0, 1, 2)), VELOCITY, atol=0.17)
    assert motion.valid.any(axis=(1, 2)).tolist() == [(i + 1) % 12 not in (0, 10, 11) for i in range(20)]


def test_a_picture_that_changes_its_size_is_an_error(tmp_path: Path):
    small, large = (encode_moving(tmp_path / f"{w}.h264.mp4", frames=4, size=(64, w)) for w in (64, 96))
    path = tmp_path / "both.h264"
    parts = [remux(p, tmp_path / f"{p.stem}.raw.h264").read_bytes() for p in (small, large)]
    path.write_bytes(b"".join(parts))
    with raises(VideoError, "unsupported", subject=path, message="clip-size-changes"):
        read_clip(path, frames=8, stride=1, size=None)


def test_nothing_is_left_open(ordinary: Path):
    """A loader opens millions of clips."""
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else None
    for _ in range(3):
        read_clip(ordinary, frames=2, size=SIDE)
    if before is not None:
        assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert av.open(str(ordinary)).close() is None
