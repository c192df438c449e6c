"""Whether the masks are where the object is, in video whose object is known: encoded, read back, drawn from its vectors."""

import numpy as np
import pytest

from mgm.data.synthetic.known_motion import object_over_pan_frames
from mgm.masks import build_mask, draw_statistics
from mgm.video import read_clip
from mgm.video.transcode.write import write_video

GRID, FRAMES, SIZE, SIDE = (8, 14, 14), 16, 224, 64
# (velocity of the object, pan of the ground), pixels per frame; the object, 4 x 4 tokens, stays inside the frame.
SCENES = [((5, 0), (0, 0)), ((-3, 4), (0, 0)), ((0, -6), (1, 1)), ((4, 4), (-1, 0))]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """x264's defaults: B-frames, several references, one key frame."""
    folder = tmp_path_factory.mktemp("objects")
    made = []
    for number, (velocity, pan) in enumerate(SCENES):
        drawn = list(
            object_over_pan_frames(
                pan=pan, velocity=velocity, side=SIDE, frames=FRAMES, size=(SIZE, SIZE), seed=2 * number
            )
        )
        path = folder / f"{number}.mp4"
        write_video(path, (frame for frame, _ in drawn), fps=25)
        motion = read_clip(path, start=0, frames=FRAMES, stride=1, size=SIZE, motion="codec").motion
        made.append((motion, [[box] for _, box in drawn]))
    return made


def object_share(clips, **options):
    """The masked share of each clip's object over 20 draws."""
    mask = build_mask("mgm", **options)
    shares = []
    for motion, boxes in clips:
        drawn = [mask.draw(GRID, 0.75, motion, np.random.default_rng(seed)) for seed in range(20)]
        shares.append(draw_statistics(drawn, motion=motion, boxes=boxes, extent=(SIZE, SIZE)).object_share)
    return shares


@pytest.mark.parametrize("boundary", ["clip", "shift", "grow", "wrap"])
def test_mgm_hides_an_object_that_is_smaller_than_its_rectangle(clips, boundary):
    assert min(object_share(clips, boundary=boundary, start="motion")) >= 0.95


def test_the_paper_leaves_the_first_step_to_chance(clips):
    """Of eight steps one is not where the object is, and hides about as much of it as its rectangle happens to cover."""
    guided, random = object_share(clips, start="motion"), object_share(clips, start="random")
    assert np.mean(guided) - np.mean(random) < 0.5 / 8
    assert np.mean(random) < np.mean(guided)
    assert min(random) > 0.9


def test_half_of_a_mask_hides_less_of_it(clips):
    whole, half = (object_share(clips, start="motion", share=share) for share in (1.0, 0.2))
    assert all(less < more - 0.02 for less, more in zip(half, whole, strict=True))
