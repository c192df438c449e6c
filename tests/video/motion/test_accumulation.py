"""Motion since the keyframe: along the chain of frames, on fields made by hand and on video of known motion."""

import numpy as np
import pytest

from mgm.data.synthetic.known_motion import make_translation, object_over_pan_frames
from mgm.errors import VideoError
from mgm.video import accumulate_motion, build_sidecar, read_motion
from mgm.video.motion.field import MotionField, VectorField
from mgm.video.transcode.write import write_video
from tests.errors import raises


def field(dx):
    """A motion field of one row of cells with these dx, (n, columns); measured where dx is not 0."""
    vectors = np.zeros((len(dx), 1, len(dx[0]), 2), np.float32)
    vectors[:, 0, :, 0] = dx
    return MotionField.of(VectorField(vectors, vectors[..., 0] != 0), "codec", (8, 8 * len(dx[0])))


def intra(text):
    return np.array([letter == "I" for letter in text])


def test_the_motion_of_an_object_moves_with_it():
    """An object of one cell moves by a cell per frame: a sum at fixed places would give 8 px everywhere on its path.

    Ground that it uncovers refers to the object, which was there before.
    """
    moving = field([[0, 0, 0, 0], [0, 8, 0, 0], [0, 0, 8, 0], [0, 0, 0, 8]])
    found = accumulate_motion(moving, intra("IPPP"))
    assert found.vectors[:, 0, :, 0].tolist() == [[0, 0, 0, 0], [0, 8, 0, 0], [0, 8, 16, 0], [0, 8, 16, 24]]
    assert found.valid[3, 0].tolist() == [False, True, True, True]
    assert not found.vectors[..., 1].any()


@pytest.mark.parametrize(
    ("types", "most", "expected"),
    [
        ("IPPPPP", 12, [0, 1, 2, 3, 4, 5]),
        ("IPPPPP", 2, [0, 1, 2, 2, 2, 2]),
        ("IPPIPP", 12, [0, 1, 2, 2, 1, 2]),
        ("IIPIIP", 12, [0, 0, 1, 1, 1, 1]),
        ("PPPPPP", 12, [1, 2, 3, 4, 5, 6]),  # a clip that begins within a chain knows no more than itself
    ],
)
def test_a_chain_begins_after_a_keyframe_or_at_its_longest(types, most, expected):
    slow = field([[1, 1]] * 6)
    assert accumulate_motion(slow, intra(types), most=most).vectors[:, 0, 1, 0].tolist() == expected


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_pan_adds_up_since_the_keyframe(tmp_path, codec):
    options = {"bframes": 0} if codec == "libx264" else {}
    path = make_translation(
        tmp_path / "pan.mp4", velocity=(3, -2), frames=18, size=(96, 128), codec=codec, gop=6, **options
    )
    clip = read_motion(path)
    assert clip.picture_types == "IPPPPP" * 3
    inner = clip.accumulated.vectors[:, 3:9, 4:12]
    since = np.array([5, 1, 2, 3, 4, 5])
    for number in range(1, 18):
        expected = since[number % 6] * np.array([3, -2])
        assert np.abs(np.median(inner[number], axis=(0, 1)) - expected).max() < 0.3
    build_sidecar(path)
    again = read_motion(path)
    assert again.picture_types == clip.picture_types
    np.testing.assert_array_equal(again.accumulated.vectors, clip.accumulated.vectors)


def test_an_object_carries_its_whole_path(tmp_path):
    """A square of 48 px that moves by 4 px per frame over a still ground, for 9 frames: 36 px, more than half of its side."""
    pictures = list(object_over_pan_frames(pan=(0, 0), velocity=(4, 0), side=48, frames=10, size=(96, 192)))
    path = tmp_path / "object.mp4"
    write_video(path, (picture for picture, _ in pictures), fps=25, codec="libx264", options={"g": 100, "bf": 0})
    x0, y0, x1, y1 = pictures[-1][1]
    found = read_motion(path).accumulated.vectors[-1]
    rows, columns = slice(int(y0) // 8 + 1, int(y1) // 8), slice(int(x0) // 8 + 1, int(x1) // 8)
    assert np.median(found[rows, columns, 0]) == pytest.approx(36, abs=4)
    assert np.abs(np.median(found[:, : int(x0) // 8 - 3, 0])) < 0.5


def test_frames_at_a_distance_have_no_chain(tmp_path):
    path = make_translation(tmp_path / "pan.mp4", velocity=(1, 0), frames=6, size=(32, 32))
    with raises(VideoError, "mismatch"):
        _ = read_motion(path, stride=2).accumulated
