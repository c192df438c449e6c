"""The motion of a clip is that of the whole video, for every reading; reading="references" decodes fewer frames."""

from pathlib import Path

import numpy as np
import pytest

from mgm.spans import Stopwatch
from mgm.video import read_clip, read_motion
from mgm.video.container.h264 import parse_first_slice
from mgm.video.container.stream import open_video, packets
from tests.video.clips import encode_moving

OPTIONS = {"g": 12, "bf": 3, "b_strategy": 0, "refs": 3}


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode_moving(tmp_path_factory.mktemp("readings") / "a.mp4", frames=40, options=OPTIONS)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mpeg2video"])
@pytest.mark.parametrize("reading", ["clean", "references", "raw"])
def test_the_motion_of_a_clip_is_that_of_the_whole_video(tmp_path: Path, codec: str, reading: str):
    options = OPTIONS if codec == "libx264" else {"g": 12, "bf": 2, "b": "2M"}
    path = encode_moving(tmp_path / "a.mkv", frames=40, codec=codec, options=options)
    whole = read_motion(path, reading=reading).motion
    rng = np.random.default_rng(0)
    for _ in range(12):
        start, frames, stride = int(rng.integers(2, 30)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
        policy = ("window_sum", "sampled")[int(rng.integers(2))]
        query = {"start": start, "frames": frames, "stride": stride, "policy": policy, "short": "repeat_last"}
        for clip in (read_motion(path, reading=reading, **query), read_clip(path, size=None, reading=reading, **query)):
            for motion, valid, end in zip(
                clip.motion.vectors, clip.motion.valid, clip.frame_indices.tolist(), strict=True
            ):
                window = range(max(end - stride + 1, 0), end + 1)
                if policy == "sampled":
                    window, times = range(end, end + 1), 1 if reading == "raw" else stride
                    expected = whole.vectors[end] * np.float32(times)
                else:
                    expected = whole.vectors[list(window)].sum(axis=0)
                np.testing.assert_array_equal(valid, whole.valid[list(window)].any(axis=0))
                # Other cells are filled from frames that a clip may not contain.
                sure = np.all(whole.valid[list(window)], axis=0)
                np.testing.assert_allclose(motion[sure], expected[sure], rtol=1e-5, atol=1e-5)


def decoded_packets(path: Path, **options: object) -> int:
    """Number of packets that the decoder received, without the flush."""
    stopwatch = Stopwatch()
    with stopwatch.running():
        read_motion(path, **options)
    return stopwatch.calls["decode"] - 1


def test_reading_references_decodes_only_reference_frames(pyramid: Path):
    assert decoded_packets(pyramid) == 40
    with open_video(pyramid, vectors=False) as video:
        lengths = video.nal_length_size or 0
        references = sum(parse_first_slice(bytes(packet), lengths).reference for packet in packets(video))
    assert decoded_packets(pyramid, reading="references") == references < 26
    motion = read_motion(pyramid, reading="references").motion
    assert motion.valid[1:12].mean() > 0.8
    clean = read_motion(pyramid).motion
    difference = np.abs(motion.vectors - clean.vectors).max(axis=-1)
    assert 0 < np.median(difference[difference > 0]) < 0.5


def test_without_b_frames_all_frames_are_references(tmp_path: Path):
    path = encode_moving(tmp_path / "a.mp4", frames=24, options={"bf": 0})
    for policy in ("window_sum", "sampled", "window_max"):
        clean, references = (
            read_clip(path, start=3, frames=4, size=None, policy=policy, reading=reading).motion
            for reading in ("clean", "references")
        )
        np.testing.assert_array_equal(clean.vectors, references.vectors)
        np.testing.assert_array_equal(clean.valid, references.valid)


def test_a_single_frame_without_vectors_is_still(tmp_path: Path):
    path = encode_moving(tmp_path / "a.mp4", frames=6, options={"bf": 0})
    clip = read_motion(path, start=0, frames=1, reading="references")
    assert not clip.motion.valid.any()
    assert not clip.motion.vectors.any()
