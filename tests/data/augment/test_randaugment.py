import numpy as np
import pytest
import torch

from mgm.data.augment import colour, warp
from mgm.data.augment.randaugment import OPERATIONS, RandAugment, parse_randaugment
from mgm.errors import ConfigError
from tests.errors import raises

ALL = RandAugment(probability=1.0)


def drawn(augment, times=4000):
    rng = np.random.default_rng(0)
    return [step for _ in range(times) for step in augment.draw(rng)]


def values(augment, name):
    return np.array([value for found, value in drawn(augment) if found == name])


def test_fifteen_operations_are_drawn_equally_often():
    names = [name for name, _ in drawn(ALL)]
    counts = [names.count(name) for name in OPERATIONS]
    assert len(OPERATIONS) == 15
    assert sum(counts) == 4 * 4000
    assert min(counts) > 0.85 * np.mean(counts)
    half = [len(RandAugment().draw(np.random.default_rng(i))) for i in range(2000)]
    assert np.mean(half) == pytest.approx(2, abs=0.1)
    assert set(half) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("name", "most"),
    [("rotate", 30), ("shear_x", 0.3), ("shear_y", 0.3), ("translate_x", 0.45), ("translate_y", 0.45)],
)
def test_geometric_operations_have_both_signs(name, most):
    found = values(ALL, name)
    assert (found > 0).mean() == pytest.approx(0.5, abs=0.07)
    assert np.abs(found).mean() == pytest.approx(0.7 * most, rel=0.02)
    assert np.abs(found).std() == pytest.approx(0.05 * most, rel=0.15)


@pytest.mark.parametrize("name", ["saturation", "contrast", "brightness", "sharpness"])
def test_enhancements_increase_and_decrease(name):
    found = values(ALL, name)
    assert np.abs(found - 1).mean() == pytest.approx(0.63, rel=0.02)
    assert (found < 1).mean() == pytest.approx(0.5, abs=0.07)
    assert values(RandAugment(magnitude=10, spread=2, probability=1), name).min() == pytest.approx(0.1)


def test_magnitude_is_strength():
    exact = {m: RandAugment(magnitude=m, spread=0, probability=1) for m in (0, 7, 10)}
    levels = {
        name: [set(values(exact[m], name)) for m in (0, 7, 10)] for name in ("posterize", "solarize", "solarize_add")
    }
    assert levels["posterize"] == [{4}, {2}, {1}]
    assert levels["solarize"] == [{256}, {256 - 179}, {0}]
    assert levels["solarize_add"] == [{0}, {77}, {110}]


def test_a_draw_is_applied_in_its_order_to_all_frames():
    rng = np.random.default_rng(0)
    frame = torch.from_numpy(rng.integers(0, 256, (3, 1, 20, 24), dtype=np.uint8))
    clip = frame.expand(3, 5, 20, 24)
    steps = (("rotate", 20.0), ("posterize", 2), ("brightness", 1.4))
    found = RandAugment(interpolation="bilinear").apply(clip, steps)
    expected = colour.brightness(colour.posterize(warp.rotate(frame, 20.0), 2), 1.4)
    assert torch.equal(found, expected.expand_as(found))
    assert torch.equal(RandAugment().apply(clip, ()), clip)
    bicubic = RandAugment().apply(clip, steps[:1])
    assert torch.equal(bicubic, warp.rotate(clip, 20.0, interpolation="bicubic"))


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_can_be_applied_at_any_strength(name):
    clip = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 12, 16, 3), dtype=np.uint8)).permute(
        3, 0, 1, 2
    )
    for strength in (0.0, 0.35, 1.0):
        for sign in (-1, 1):
            operation = OPERATIONS[name]
            result = operation.apply(clip, operation.value(strength, sign), "bilinear")
            assert result.shape == clip.shape
            assert result.dtype == torch.uint8


def test_timms_short_form():
    assert parse_randaugment("rand-m7-n4-mstd0.5-inc1") == RandAugment()
    assert parse_randaugment("rand-n2-m9-inc1-p1") == RandAugment(9, 2, 0, probability=1)
    assert parse_randaugment("rand-m9-mstd1-inc1") == RandAugment(9, 2, 1)


def test_defaults_are_timms():
    assert parse_randaugment("rand-inc1") == RandAugment(magnitude=10, count=2, spread=0, probability=0.5)
    assert parse_randaugment("rand-m9-mstd0.5-inc1") == RandAugment(magnitude=9, count=2, spread=0.5)


def test_a_huge_spread_is_a_uniform_magnitude():
    assert parse_randaugment("rand-m8-inc1-mstd100").spread == 100
    found = np.abs(values(parse_randaugment("rand-m8-n4-inc1-mstd101-p1"), "rotate")) / 30 * 10
    assert found.max() == pytest.approx(8, abs=0.1)
    assert [((found >= low) & (found < low + 2)).mean() for low in (0, 2, 4, 6)] == pytest.approx([0.25] * 4, abs=0.07)


@pytest.mark.parametrize(
    "text", ["", "rand", "augmix-m7-inc1", "rand-m7-n4", "rand-m7-n4-inc0", "rand-m11-inc1", "rand-n1.5-inc1", "rand-p2-inc1",
             "rand-x3-inc1", "rand-m7-m8-inc1", "rand-m-inc1"]
)  # fmt: skip
def test_other_forms_are_refused(text):
    with raises(ConfigError, "invalid_value", message="augment-randaugment-form" if text == "rand" else None):
        parse_randaugment(text)
