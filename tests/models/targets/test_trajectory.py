"""Trajectories of points: closed forms of constant and affine motion."""

import math

import pytest
import torch

from mgm.models import MaskedAutoencoder, ModelSpec, Trajectory
from tests.models.clips import random_video

SPEC = ModelSpec("debug", patch=16, frames=10, resolution=(64, 80))
CELLS = (2 * 4, 2 * 5)
TOKENS = torch.arange(SPEC.tokens)[None]


def values_of(motion, **options):
    """(t, h, w, 2, steps, row, column) of one clip."""
    target = Trajectory(SPEC, **options)
    return target(motion[None], TOKENS)[0].view(*SPEC.grid, 2, target.steps, 2, 2)


def centres():
    """(x, y) of the cells, each float32 (8, 10)."""
    y, x = ((torch.arange(n) + 0.5) * 8 for n in CELLS)
    return x.expand(CELLS), y[:, None].expand(CELLS)


def test_points_that_move_alike_are_0():
    values = values_of(torch.tensor([3.0, -2.0]).expand(10, *CELLS, 2))
    assert Trajectory(SPEC).dim == 32
    known = ~values.isnan()
    assert known[:3].all()
    assert values[known].count_nonzero() == 0
    # Steps beyond the clip's last frame are not known: of the last two tubelets all but three, and all but one.
    assert known[3].all((0, 1, 2, 4, 5)).tolist() == [True] * 3 + [False]
    assert known[4].all((0, 1, 2, 4, 5)).tolist() == [True] + [False] * 3


def test_affine_motion_has_a_closed_form():
    """dx = x / 4 and dy = -y / 4 at the cell of the point, cut to whole pixels, followed by hand."""
    x, y = centres()
    field = torch.stack([x / 4, -y / 4], dim=-1)
    values = values_of(field.expand(10, *CELLS, 2))
    for row, column in ((1, 1), (2, 0), (1, 2)):
        points = [
            (float(x[2 * row + i, 2 * column + j]), float(y[2 * row + i, 2 * column + j]))
            for i in (0, 1)
            for j in (0, 1)
        ]
        for step in range(4):
            cells = [(min(int(py // 8), 7), min(int(px // 8), 9)) for px, py in points]
            moves = [(math.trunc((c * 8 + 4) / 4), -math.trunc((r * 8 + 4) / 4)) for r, c in cells]
            for axis in (0, 1):
                four = torch.tensor([float(move[axis]) for move in moves]).clamp(-20, 20)
                expected = (four - four.mean()) / (four.std() + 1e-6)
                torch.testing.assert_close(values[0, row, column, axis, step].flatten(), expected)
            points = [
                (min(max(px + mx, 0), 79), min(max(py + my, 0), 63))
                for (px, py), (mx, my) in zip(points, moves, strict=True)
            ]


def test_each_step_reads_the_frame_after_the_point():
    motion = torch.zeros(10, *CELLS, 2)
    motion[4, :, ::2, 0] = (
        5.0  # from frame 3 to frame 4: step 3 of the first tubelet, 1 of the second, none of the third
    )
    moving = values_of(motion)[..., 0, :, :, :].nan_to_num().flatten(4).abs().sum((1, 2, 4))
    assert (moving > 0).tolist() == [[False, False, False, True], [False, True, False, False]] + [[False] * 4] * 3
    expected = torch.tensor([0.5, -0.5, 0.5, -0.5]) * math.sqrt(3)  # deviation of (5, 0, 5, 0): 2.5 x sqrt(4 / 3)
    torch.testing.assert_close(values_of(motion)[1, 2, 2, 0, 1].flatten(), expected)


def test_long_steps_are_cut():
    motion = torch.zeros(10, *CELLS, 2)
    motion[1, :, 1::2, 1] = -60.0
    motion[1, ::2, ::2, 1] = -20.0
    values = values_of(motion, steps=1)[0, 1, 1, 1, 0]
    torch.testing.assert_close(values, torch.tensor([[-0.5, -0.5], [1.5, -0.5]]))


def test_tokens_whose_points_have_all_left_do_not_count():
    """Moving left by 6, points at x = 4 and 12 are at -2, 6 after a step, at -6 (from the edge), 0 after two, then at -6, -6."""
    motion = torch.tensor([-6.0, 0.0]).expand(10, *CELLS, 2)
    for steps, left in ((3, False), (4, True)):
        values = values_of(motion, steps=steps)[0]
        unknown = values.isnan().flatten(2).all(2)
        assert unknown[:, 0].all() == left
        assert not unknown[:, 1:].any()


def test_the_loss_divides_by_all_values():
    target = Trajectory(SPEC, steps=1)
    values, prediction = torch.zeros(2, 3, 8), torch.full((2, 3, 8), 2.0)
    values[0, 0] = math.nan
    assert target.loss(prediction, values, None) == pytest.approx(4 * 5 / 6)
    valid = torch.tensor([[True, True, False], [True, True, False]])
    assert target.loss(prediction, values, valid) == pytest.approx(4 * 3 / 4)


def test_it_trains_beside_targets_of_whole_patches():
    spec = ModelSpec("debug", patch=8, frames=4, resolution=32)
    model = MaskedAutoencoder(spec, target={"trajectory": 1.0, "motion": 1.0}, visible_target="motion")
    motion = torch.randn(2, 4, 8, 8, 2)
    mask = torch.zeros(2, *spec.grid, dtype=torch.bool)
    mask[:, :, 1:] = True
    result = model(random_video(spec), mask, motion=motion, predict=True)
    mean = motion.view(2, 4, 4, 2, 4, 2, 2).mean((3, 5))
    token = int(result.tokens[0, 5])
    expected = mean[0, :2, token // 4 % 4, token % 4] / 8
    torch.testing.assert_close(model.objective.split_values(result.target)["motion"][0, 5].view(2, 2), expected)
    assert model.objective.split(result.prediction)["trajectory"].abs().max() <= 1
    result.loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
