"""Frames move by exactly the stated velocity, before and after encoding."""

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from mgm.data.synthetic.known_motion import make_translation, object_over_pan_frames, translating_frames, zooming_frames
from tests.video.clips import decode_by_pyav


def test_translating_frames_are_exact() -> None:
    whole = list(translating_frames(velocity=(5, -3), frames=3, size=(97, 131)))
    assert whole[0].shape == (97, 131, 3)
    np.testing.assert_array_equal(whole[2][:-6, 10:], whole[0][6:, :-10])
    half = list(translating_frames(velocity=(2.5, -1.5), frames=5, size=(97, 131)))
    np.testing.assert_array_equal(half[4], whole[2])
    assert whole[0].std() > 25


@pytest.mark.parametrize(
    ("codec", "suffix", "named", "options"),
    [
        ("libx264", ".mp4", {"bframes": 2, "refs": 3, "gop": 5}, {}),
        ("libx264", ".mkv", {}, {"profile": "baseline"}),
        ("mpeg4", ".avi", {"gop": 4}, {"b": "2M"}),
        ("libvpx-vp9", ".webm", {}, {"deadline": "realtime", "cpu-used": 8, "b": "2M"}),
        ("libx265", ".mp4", {}, {"preset": "ultrafast"}),
    ],
)
def test_translation_clip_decodes_to_shifted_content(
    tmp_path: Path, codec: str, suffix: str, named: dict[str, int], options: dict[str, str | int]
) -> None:
    path = make_translation(tmp_path / f"clip{suffix}", velocity=(4.5, -3), frames=9, size=(130, 178), codec=codec,
                            **named, options=options)  # fmt: skip
    frames = decode_by_pyav(path).astype(int)
    assert frames.shape == (9, 130, 178, 3)
    shifted = np.abs(frames[6, :-12, 18:] - frames[2, 12:, :-18]).mean()
    assert shifted < 6 < 20 < np.abs(frames[6] - frames[2]).mean()


def test_the_encoder_finds_the_motion(tmp_path: Path) -> None:
    path = make_translation(tmp_path / "clip.mp4", velocity=(6.5, -3), frames=6, size=(128, 176), bframes=0, refs=1)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        stream.codec_context.options = {"flags2": "+export_mvs"}
        exported = [frame.side_data.get("MOTION_VECTORS") for frame in container.decode(stream)]
    vectors = np.concatenate([side.to_ndarray() for side in exported if side is not None])
    found = -np.stack([vectors["motion_x"], vectors["motion_y"]], 1) / vectors["motion_scale"][:, None]
    assert (np.abs(found - (6.5, -3)).max(1) <= 0.25).mean() > 0.8


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
