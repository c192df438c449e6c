"""Files prepared for strides: only reference frames are decoded, and their vectors span whole steps."""

from pathlib import Path

import av
import numpy as np
import pytest

from mgm.data.synthetic.known_motion import translating_frames
from mgm.spans import Stopwatch
from mgm.video import VideoReader, read_clip
from mgm.video.container.metadata import read_video_info
from mgm.video.transcode.encode import transcode_video
from mgm.video.transcode.profiles import make_profile
from mgm.video.transcode.write import write_video
from tests.video.clips import decode_whole, remux

VELOCITY = (1.5, -1.0)
SIZE = (96, 128)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("strided") / "source.mp4"
    write_video(path, translating_frames(velocity=VELOCITY, frames=77, size=SIZE), fps=25)
    return path


@pytest.fixture(scope="module", params=[2, 4, 8])
def prepared(request: pytest.FixtureRequest, source: Path) -> tuple[Path, int]:
    stride = request.param
    path = source.with_name(f"strided{stride}.mp4")
    transcode_video(source, path, make_profile("strided", stride=stride, gop=32, crf=18))
    return path, stride


def test_clips_on_the_grid_decode_little_and_exactly(prepared: tuple[Path, int]):
    path, stride = prepared
    whole = decode_whole(path, size=48)
    assert read_video_info(path).step == stride
    with VideoReader(path) as reader:
        for start in range(0, 77 - stride, stride):
            stopwatch = Stopwatch()
            with stopwatch.running():
                clip = reader.read_clip(start=start, frames=4, stride=stride, size=48)
            np.testing.assert_array_equal(clip.frames, whole[clip.frame_indices])
            # From the keyframe to the clip, the clip, the frames that fill the step to a keyframe inside it, and a flush.
            keys = {int(i) for i in clip.frame_indices if i % 32 == 0 and i > 0}
            way = (start % 32 or 32 * (start > 0)) // stride
            assert stopwatch.calls["decode"] <= way + len(set(clip.frame_indices)) + len(keys) * (stride - 1) + 2


def test_every_step_is_measured_right(prepared: tuple[Path, int]):
    path, stride = prepared
    motion = read_clip(path, start=stride, frames=77 // stride - 2, stride=stride, size=None).motion
    assert motion is not None
    assert motion.valid.mean() > 0.9
    error = np.abs(motion.vectors - np.float32(VELOCITY) * stride).max(axis=-1)
    assert np.mean(error[motion.valid] <= 0.25 * stride) >= 0.9
    for step in error[:, 2:-2, 2:-2]:  # each, including those to keyframes
        assert np.median(step) <= 0.25 * stride


@pytest.mark.parametrize("query", [{"start": 3}, {"start": 4, "stride": 3}, {"start": 8, "stride": 16}])
def test_off_the_grid_and_over_several_steps(prepared: tuple[Path, int], query: dict[str, int]):
    path, stride = prepared
    query = {"stride": stride, **query}
    clip = read_clip(path, frames=3, size=None, **query)
    np.testing.assert_array_equal(clip.frames, decode_whole(path)[clip.frame_indices])
    assert clip.motion is not None
    found = np.median(clip.motion.vectors[clip.motion.valid], axis=0)
    np.testing.assert_allclose(found, np.float32(VELOCITY) * query["stride"], atol=0.3 * query["stride"])


def test_metadata_that_outlives_the_grid_is_not_trusted(source: Path, tmp_path: Path, prepared: tuple[Path, int]):
    """A second encoding keeps the comment with the profile."""
    path, stride = prepared
    if stride == 2:
        pytest.skip("x264's own pyramid is a grid of stride 2")
    assert read_video_info(path).step == stride
    with av.open(str(path)) as container:
        liar = remux(source, tmp_path / "liar.mp4", comment=container.metadata["comment"])
    honest = remux(source, tmp_path / "honest.mp4")
    assert read_video_info(liar).step == stride
    for start in (stride, 2 * stride):
        query = {"start": start, "frames": 4, "stride": stride, "size": None}
        found, expected = read_clip(liar, **query).motion, read_clip(honest, **query).motion
        assert found is not None
        assert expected is not None
        np.testing.assert_array_equal(found.vectors, expected.vectors)
        np.testing.assert_array_equal(found.valid, expected.valid)
