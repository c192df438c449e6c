import numpy as np
import pytest

from mgm.errors import MaskError
from mgm.masks import build_mask
from mgm.masks.smm import reflect, simulated_path
from tests.errors import raises

GRID = (8, 14, 14)


def bounced(start, velocity, room, steps):
    """A ball between walls, moved in small steps."""
    position, places = start, [start]
    for _ in range(steps):
        for _ in range(1000):
            position += velocity / 1000
            if not 0 <= position <= room:
                velocity, position = -velocity, (0 if position < 0 else 2 * room) - position
        places.append(position)
    return places


@pytest.mark.parametrize(("start", "velocity"), [(1, 2), (3, -1.5), (0, 0.7), (4.9, 1.9), (2, 12.3)])
def test_reflects_like_a_ball(start, velocity):
    straight = start + velocity * np.arange(9.0)
    found = reflect(straight[:, None], np.array([5.0]))[:, 0]
    np.testing.assert_allclose(found, bounced(float(start), velocity, 5.0, 8), atol=0.05)


def test_without_room_nothing_moves():
    assert (reflect(np.arange(6.0).reshape(3, 2), np.array([0.0, 0.0])) == 0).all()


def test_linear_paths_are_straight_in_all_directions_up_to_the_speed():
    rng = np.random.default_rng(0)
    paths = np.array([simulated_path(8, velocity="linear", speed=2, rng=rng) for _ in range(3000)])
    assert (paths[:, 0] == 0).all()
    np.testing.assert_allclose(np.diff(paths, n=2, axis=1), 0, atol=1e-12)
    velocity = paths[:, 1]
    speed, angle = np.hypot(*velocity.T), np.arctan2(*velocity.T)
    assert speed.max() <= 2
    np.testing.assert_allclose(np.histogram(speed, bins=8, range=(0, 2))[0] / 3000, 1 / 8, atol=0.03)
    np.testing.assert_allclose(np.histogram(angle, bins=8, range=(-np.pi, np.pi))[0] / 3000, 1 / 8, atol=0.03)


def test_a_walk_turns_at_every_step():
    rng = np.random.default_rng(0)
    paths = np.array([simulated_path(8, velocity="walk", speed=2, rng=rng) for _ in range(2000)])
    steps = np.diff(paths, axis=1)
    assert np.hypot(steps[..., 0], steps[..., 1]).max() <= 2
    assert abs((steps[:, 1:] * steps[:, :-1]).mean()) < 0.05
    assert len(simulated_path(1, velocity="walk", speed=2, rng=rng)) == 1


def middles(masked):
    return np.array([np.argwhere(step).mean(axis=0) for step in masked])


def test_the_rectangle_moves_straight_and_not_at_all_without_speed():
    options = {"boundary": "grow", "jitter": False}
    moving = build_mask("smm", speed=1.0, **options)
    still = build_mask("smm", speed=0, **options)
    moved = 0.0
    for seed in range(50):
        path = middles(moving.draw((8, 30, 30), 0.01, None, np.random.default_rng(seed)).masked)
        assert np.abs(np.diff(path, axis=0)).max() <= 2.5
        moved += np.abs(path[-1] - path[0]).sum()
        # What stays is drawn anew only among equally distant tokens.
        at = middles(still.draw((8, 30, 30), 0.01, None, np.random.default_rng(seed)).masked)
        assert np.ptp(at, axis=0).max() <= 1
    assert moved / 50 > 2


def test_shift_keeps_the_rectangle_inside_and_wrap_lets_it_through():
    for seed in range(50):
        drawn = build_mask("smm", boundary="shift", jitter=False).draw(GRID, 0.75, None, np.random.default_rng(seed))
        assert drawn.masked[:, 3:11, 3:11].all()
    wrapped = build_mask("smm", boundary="wrap", jitter=False, speed=5)
    rows = [wrapped.draw((8, 20, 1), 0.25, None, np.random.default_rng(seed)).masked[:, :, 0] for seed in range(50)]
    # On the ring of 20 tokens the 5 hidden ones hang together; some go round the end.
    runs = [(np.roll(step, 1) != step).sum() for clip in rows for step in clip]
    assert set(runs) == {2}
    assert any(step[0] and step[-1] for clip in rows for step in clip)


def test_the_sparse_set_keeps_its_shape():
    mask = build_mask("smm-sparse", speed=6)
    still = 0
    for seed in range(30):
        masked = mask.draw((8, 9, 14), 0.3, None, np.random.default_rng(seed)).masked
        for step in masked[1:]:
            shifts = [(y, x) for y in range(9) for x in range(14) if (np.roll(masked[0], (y, x), (0, 1)) == step).all()]
            assert shifts
            still += (0, 0) in shifts
    assert still < 60  # of 210; slow sets stay within half a token for a step or two


def test_the_sparse_set_moves_by_its_rounded_path():
    mask, rng = build_mask("smm-sparse", velocity="walk"), np.random.default_rng(3)
    masked = mask.draw(GRID, 0.75, None, np.random.default_rng(3)).masked
    rng.random((1, 196))
    path = np.rint(simulated_path(8, velocity="walk", speed=2.0, rng=rng)).astype(int)
    for step, offset in zip(masked, path, strict=True):
        np.testing.assert_array_equal(step, np.roll(masked[0], tuple(offset), (0, 1)))


@pytest.mark.parametrize("name", ["smm", "smm-sparse"])
@pytest.mark.parametrize(
    ("option", "value"),
    [("velocity", "circle"), ("speed", -1), ("speed", float("nan")), ("speed", True), ("speed", "2")],
)
def test_refuses_invalid_options(name, option, value):
    with raises(MaskError, "invalid_value", subject=name):
        build_mask(name, **{option: value})
