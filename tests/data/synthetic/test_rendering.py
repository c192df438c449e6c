"""Rendered pictures and their boxes follow the track of the object."""

import numpy as np
import pytest

from mgm.data.synthetic.rendering import Appearance, Track, draw_appearance, render


def white_on_black(seed: int) -> Appearance:
    look = draw_appearance(np.random.default_rng(seed))
    return Appearance(np.zeros_like(look.background), np.ones_like(look.texture), look.profile)


def still(centre: tuple[float, float], *, radius: float, frames: int = 1, turn: float = 0) -> Track:
    time = np.arange(frames, dtype=np.float64)
    return Track(np.tile(centre, (frames, 1)), np.full(frames, radius), 0.3 + turn * time, np.zeros((frames, 2)))


@pytest.mark.parametrize(
    ("centre", "pieces"), [((32, 32), 1), ((63.5, 32), 2), ((30, 1), 2), ((0, 0), 4), ((64 * 3 + 2, -3), 4)]
)
@pytest.mark.parametrize("seed", range(6))
def test_boxes_are_the_tight_boxes_of_the_pieces(centre: tuple[float, float], pieces: int, seed: int) -> None:
    frames, boxes = render(white_on_black(seed), still(centre, radius=20), size=64)
    covered = frames[0, :, :, 0] >= 127
    assert len(boxes[0]) == pieces
    found = np.zeros_like(covered)
    for x0, y0, x1, y1 in boxes[0]:
        piece = covered[y0:y1, x0:x1]
        assert piece[0].any() and piece[-1].any() and piece[:, 0].any() and piece[:, -1].any()  # noqa: PT018
        assert not found[y0:y1, x0:x1].any()
        found[y0:y1, x0:x1] = True
    assert not (covered & ~found).any()


def test_turning_clockwise_turns_clockwise_on_the_screen() -> None:
    bar = white_on_black(0)
    angle = np.linspace(0, 2 * np.pi, 512, endpoint=False)
    bar.profile[:, 0] = (np.cos(angle) ** 2 + (np.sin(angle) / 0.4) ** 2) ** -0.5
    frames, _ = render(bar, still((32, 32), radius=24, frames=3, turn=0.2), size=64)
    angles = []
    for frame in frames[..., 0]:
        y, x = np.nonzero(frame >= 127)
        covariance = np.cov(x, y)
        angles.append(0.5 * np.arctan2(2 * covariance[0, 1], covariance[0, 0] - covariance[1, 1]))
    np.testing.assert_allclose(angles, [0.3, 0.5, 0.7], atol=0.03)
