"""RAFT's motion, stored beside a video of any codec, is read as clips of it."""

import numpy as np
import pytest

from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import ModelError, VideoError
from mgm.flow.raft import RaftEstimator
from mgm.flow.stored import store_raft
from mgm.video import read_clip, read_motion
from mgm.video.motion.cache import build_sidecar, sidecar_path
from mgm.video.motion.sidecar import BLOCK_FRAMES
from tests.errors import raises

pytest.importorskip("zstandard")
RAFT = RaftEstimator(None, iterations=1)


@pytest.fixture(params=["h264", "vp9"])
def video(request, tmp_path):
    path = tmp_path / ("a.mp4" if request.param == "h264" else "a.webm")
    codec = {"bframes": 2, "gop": 6} if request.param == "h264" else {"codec": "libvpx-vp9", "options": {"cpu-used": 8}}
    return make_translation(path, velocity=(2, 1), frames=BLOCK_FRAMES + 4, size=(64, 96), **codec)


def test_stored_motion_is_that_between_successive_frames(video):
    path = store_raft(video, RAFT)
    assert path == sidecar_path(video, source="raft") == video.with_name(f"{video.name}.raft.mgmv")
    expected = read_motion(video, motion=RAFT).motion
    found = read_motion(video, motion="raft").motion
    assert found.source == "raft"
    np.testing.assert_array_equal(found.vectors, expected.vectors)
    np.testing.assert_array_equal(found.valid, expected.valid)
    # Clips add it up, or take the sampled frame's own, as they do with the codec's motion.
    clip = read_clip(video, start=20, frames=4, stride=3, size=None, crop=None, motion="raft")
    assert clip.motion is not None
    np.testing.assert_allclose(clip.motion.vectors[1], expected.vectors[21:24].sum(axis=0), rtol=1e-5)
    own = read_clip(video, start=20, frames=4, stride=3, size=None, crop=None, motion="raft", policy="sampled").motion
    assert own is not None
    np.testing.assert_allclose(own.vectors[1], 3 * expected.vectors[23], rtol=1e-6)
    plain = read_clip(video, start=20, frames=4, stride=3, size=None, crop=None, motion=None)
    np.testing.assert_array_equal(clip.frames, plain.frames)


def test_it_is_apart_from_the_motion_of_the_codec(tmp_path):
    video = make_translation(tmp_path / "a.mp4", velocity=(2, 1), frames=8, size=(64, 96))
    codec = read_motion(video).motion
    store_raft(video, RAFT)
    assert read_motion(video).motion.source == "codec"
    np.testing.assert_array_equal(read_motion(video).motion.vectors, codec.vectors)
    build_sidecar(video).replace(sidecar_path(video, source="raft"))
    with raises(VideoError, "missing_value", subject=video):
        read_motion(video, motion="raft")


def test_missing_and_damaged_motion_is_an_error(tmp_path):
    """And never read from the codec instead."""
    video = make_translation(tmp_path / "a.mp4", velocity=(2, 1), frames=8, size=(64, 96))
    with raises(VideoError, "missing_value", subject=video, message="motion-raft-not-stored"):
        read_clip(video, motion="raft")
    with raises(VideoError, "missing_value"):
        read_clip(video.read_bytes(), motion="raft")
    path = store_raft(video, RAFT)
    content = bytearray(path.read_bytes())
    content[40] ^= 0xFF
    path.write_bytes(content)
    with raises(VideoError, "damaged", subject=path):
        read_clip(video, motion="raft")
    video.write_bytes(video.read_bytes() + b" ")
    with raises(VideoError, "missing_value", subject=video):
        read_clip(video, motion="raft")
    with raises(ModelError, "not_found"):
        store_raft(video, RaftEstimator(tmp_path / "none.pth"))
