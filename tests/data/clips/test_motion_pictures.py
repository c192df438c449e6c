"""Frames that show the accumulated motion of a video whose motion is known."""

import numpy as np
import pytest

from mgm.data.clips.motion_pictures import RANGE_PIXELS, STILL, MotionPictures, draw_motion
from mgm.data.clips.source import ClipSettings
from mgm.data.clips.transform import Geometry, centre_crop
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import VideoError
from mgm.video.motion.field import MotionField, VectorField
from tests.errors import raises

SIZE = (96, 128)
SETTINGS = ClipSettings(3, 4, 48, None)


@pytest.fixture(scope="module")
def pan(tmp_path_factory):
    """2 px to the right and 1 px up per frame, a keyframe every 8 frames."""
    path = tmp_path_factory.mktemp("pan") / "pan.mp4"
    fixed = {"sc_threshold": 0}  # no other keyframes
    return str(make_translation(path, velocity=(2, -1), frames=46, size=SIZE, gop=8, bframes=0, options=fixed))


def displacement(frames):
    """The median displacement that pictures show, in pixels of the view."""
    inner = frames[:, 12:-12, 12:-12, :2].astype(float)
    return (np.median(inner, axis=(1, 2)) - STILL) * RANGE_PIXELS / 127.5


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_the_pictures_show_the_motion_since_the_keyframe(pan, keep, flip):
    """A view of half the size has half the displacement; a mirrored one the opposite dx."""
    geometry = Geometry(SIZE, (16, 0, 96, 96), (48, 48), flip)
    frames = np.array([0, 3, 6, 8, 10, 44])
    view = MotionPictures(keep=keep).clip(pan, frames, geometry, SETTINGS)
    assert view.frames.shape == (6, 48, 48, 3)
    assert view.frames.dtype == np.uint8
    assert view.motion is None
    since = np.array([0, 3, 6, 7, 2, 4])  # the keyframe 8 has the motion up to the frame before it
    expected = since[:, None] * np.array([-1.0 if flip else 1.0, -0.5])
    assert np.abs(displacement(view.frames) - expected).max() < 0.3
    assert (view.frames[..., 2] == STILL).all()
    np.testing.assert_allclose(view.pts_seconds, frames / 25)


def test_a_window_shows_what_the_whole_video_shows(pan):
    geometry = centre_crop(*SIZE, size=48)
    frames = np.array([5, 5, 7, 44, 45])
    part, whole = (MotionPictures(keep=keep).clip(pan, frames, geometry, SETTINGS).frames for keep in (False, True))
    assert np.abs(part.astype(int) - whole).max() <= 1


def test_a_start_takes_the_frames_of_the_settings(pan):
    source = MotionPictures()
    geometry = centre_crop(*SIZE, size=48)
    one, other = (source.clip(pan, start, geometry, SETTINGS) for start in (9, np.array([9, 13, 17])))
    np.testing.assert_array_equal(one.frames, other.frames)
    assert source.info(pan).frames == 46


def test_long_displacements_are_clipped_and_cells_lie_under_their_pixels():
    vectors = np.zeros((1, 2, 3, 2), np.float32)
    vectors[0, 0, 0] = 50, -50
    vectors[0, 1, 2] = 10, 0
    field = MotionField.of(VectorField(vectors, np.ones((1, 2, 3), np.bool_)), "codec", (12, 24))
    picture = draw_motion(field, (12, 24))[0]
    assert picture[0, 0].tolist() == [255, 0, STILL]
    assert (picture[:8, :8, 0] == 255).all()
    assert (picture[8:, 16:, 0] == STILL + 64).all()
    assert (picture[:8, 8:, :] == STILL).all()


def test_an_unreadable_video_is_an_error(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"not a video")
    with raises(VideoError, "not_video"):
        MotionPictures().clip(str(path), np.arange(3), centre_crop(*SIZE, size=48), SETTINGS)
