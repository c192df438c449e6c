"""Content that moves by a known velocity: the field says that velocity, in the right direction and unit.

A decoded vector is exact to a quarter pixel, so the displacement over a stride is exact to a quarter pixel per frame: except where
ground comes into the frame, where no vector is right, and in the cells that smoothing hands a part of those to.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mgm.data.synthetic.known_motion import make_translation, object_over_pan_frames, translating_frames, zooming_frames
from mgm.video import MotionField, read_clip

VELOCITIES = [(3.0, -2.0), (-6.5, 1.25), (0.5, 0.0), (-1.0, -4.0)]
READINGS = [(1, "window_sum"), (4, "window_sum"), (4, "sampled")]
# What x264 is told besides its defaults. With one reference per list the distance to it is known; with more, FFmpeg does not
# say which one a block took, and a pure translation by a fraction of a pixel tempts the encoder to take a far one.
ONE_REFERENCE: dict[str, dict[str, str | int]] = {
    "b-frames": {"refs": 1},
    "p-frames": {"refs": 1, "bf": 0},
    "baseline": {"refs": 1, "profile": "baseline"},
}


def translated(
    folder: Path, velocity: tuple[float, float], *, stride: int, policy: str, **making: object
) -> MotionField:
    path = make_translation(folder / "clip.mp4", velocity=velocity, frames=25, size=(144, 192), **making)
    motion = read_clip(path, start=stride, frames=None, stride=stride, size=None, policy=policy).motion
    assert motion is not None
    return motion


def share_within_a_quarter(motion: MotionField, velocity: tuple[float, float], *, stride: int) -> float:
    error = np.abs(motion.vectors - np.array(velocity, np.float32) * stride).max(axis=-1)
    return float(np.mean(error[motion.valid] <= 0.25 * stride + 1e-3))


@pytest.mark.parametrize("settings", ONE_REFERENCE)
@pytest.mark.parametrize("velocity", VELOCITIES)
@pytest.mark.parametrize(("stride", "policy"), READINGS)
def test_one_reference(tmp_path: Path, settings: str, velocity: tuple[float, float], stride: int, policy: str):
    motion = translated(tmp_path, velocity, stride=stride, policy=policy, options=ONE_REFERENCE[settings])
    assert motion.valid.mean() > 0.85
    assert share_within_a_quarter(motion, velocity, stride=stride) >= 0.94


@pytest.mark.parametrize("velocity", VELOCITIES)
@pytest.mark.parametrize(
    ("stride", "policy", "share"), [(1, "window_sum", 0.88), (4, "window_sum", 0.69), (4, "sampled", 0.82)]
)
def test_ordinary_settings(tmp_path: Path, velocity: tuple[float, float], stride: int, policy: str, share: float):
    """x264's defaults: three B-frames, three references. A farther reference taken for the nearest reads too long, and smoothing
    hands a part of it to the cells around; measured shares are .888 to 1 at stride 1, .696 to 1 summed over 4, .825 to 1 sampled.
    The direction and the bulk are right."""
    motion = translated(tmp_path, velocity, stride=stride, policy=policy)
    assert share_within_a_quarter(motion, velocity, stride=stride) >= share
    np.testing.assert_allclose(np.median(motion.vectors[motion.valid], axis=0) / stride, velocity, atol=0.1)


def test_vectors_that_span_the_same_frames_correct_each_other(tmp_path: Path):
    """Of two that differ by the distance of their references the longer one is not believed: without that, and without smoothing,
    the error was .15 px in the mean and .78 in the root of the mean square."""
    motion = translated(tmp_path, (3, -2), stride=1, policy="window_sum")
    error = np.abs(motion.vectors - np.float32([3, -2])).max(axis=-1)[motion.valid]
    assert error.mean() < 0.05
    assert np.sqrt(np.square(error).mean()) < 0.15


@pytest.mark.parametrize(("codec", "suffix", "step"), [("mpeg4", "mp4", 0.5), ("mpeg2video", "mkv", 0.5)])
def test_other_codecs_with_b_frames(tmp_path: Path, codec: str, suffix: str, step: float):
    """Their vectors count half pixels."""
    for stride, policy in READINGS:
        motion = translated(tmp_path, (5, 3), stride=stride, policy=policy, codec=codec, bframes=2, options={"b": "4M"})
        error = np.abs(motion.vectors - np.float32([5, 3]) * stride).max(axis=-1)
        inner = error[:, 3:, 3:]  # ground comes in at the left and at the top
        assert np.mean(inner <= step * stride) >= 0.9, (stride, policy)


def test_right_is_positive_x_and_down_is_positive_y(tmp_path: Path):
    for velocity in ((4, 0), (-4, 0), (0, 4), (0, -4)):
        motion = translated(tmp_path, velocity, stride=2, policy="window_sum")
        np.testing.assert_allclose(np.median(motion.vectors, axis=(0, 1, 2)), np.array(velocity) * 2, atol=0.25)


def test_a_zoom_by_two_keeps_every_other_pixel():
    still = next(zooming_frames(zoom=1.3, times=[0], size=(96, 128)))
    np.testing.assert_array_equal(still, next(zooming_frames(zoom=1, times=[7], size=(96, 128))))
    small, large = zooming_frames(zoom=2, times=[0, 1], size=(97, 129))
    # With odd sides the centre is on a pixel: pixel 48 + 2 d of the large picture shows pixel 48 + d of the small one.
    np.testing.assert_array_equal(large[::2, ::2], small[24:73, 32:97])
    backwards = list(zooming_frames(zoom=0.5, times=[0, 1], size=(97, 129)))
    np.testing.assert_array_equal(backwards, [large, small])


def test_the_object_and_the_ground_move_by_their_own_velocities():
    pan, velocity = (3, -2), (-1, 4)
    scene = list(object_over_pan_frames(pan=pan, velocity=velocity, side=32, frames=5, size=(96, 128)))
    for (before, was), (after, now) in pairwise(scene):
        np.testing.assert_allclose(np.subtract(now, was), (*velocity, *velocity))
        x0, y0, x1, y1 = (int(v) for v in now)
        inside = before[y0 - 4 + 1 : y1 - 4 - 1, x0 + 1 + 1 : x1 + 1 - 1]
        np.testing.assert_array_equal(after[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1], inside)
        np.testing.assert_array_equal(after[:20, 3:60], before[2:22, :57])
    middle = scene[2][1]
    assert middle == (48, 32, 80, 64)


def test_an_edge_between_pixels_mixes_by_area_and_a_box_ends_at_the_frame():
    half, whole = (
        next(object_over_pan_frames(pan=(0, 0), velocity=(0.5, 0), side=24, frames=count, size=(64, 64)))
        for count in (2, 1)
    )
    assert half[1] == (19.75, 20, 43.75, 44)
    assert whole[1] == (20, 20, 44, 44)
    ground = next(object_over_pan_frames(pan=(0, 0), velocity=(0, 0), side=0, frames=1, size=(64, 64)))[0].astype(float)
    # Column 19 is a quarter the object's: its first column shifted a quarter pixel lies between this one and the next.
    share = (
        np.abs(half[0][20:44, 19] - ground[20:44, 19]).mean() / np.abs(half[0][20:44, 20] - ground[20:44, 20]).mean()
    )
    assert 0.1 < share < 0.5
    np.testing.assert_array_equal(half[0][:, :19], ground[:, :19])
    leaving = list(object_over_pan_frames(pan=(0, 0), velocity=(30, 0), side=24, frames=3, size=(64, 64)))[2][1]
    assert leaving == (50, 20, 64, 44)


def test_textures_at_pixels_are_those_of_the_translation():
    """The same series is summed directly, and by a fast transform."""
    ground = next(object_over_pan_frames(pan=(0, 0), velocity=(0, 0), side=0, frames=1, size=(97, 131), seed=3))[0]
    np.testing.assert_array_equal(ground, next(translating_frames(velocity=(1, 1), frames=1, size=(97, 131), seed=3)))
    pans = [f for f, _ in object_over_pan_frames(pan=(1.3, -0.7), velocity=(0, 0), side=0, frames=4, size=(97, 131))]
    np.testing.assert_array_equal(pans, list(translating_frames(velocity=(1.3, -0.7), frames=4, size=(97, 131))))
