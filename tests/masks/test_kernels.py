"""The compiled loops against plain numpy, and that nobody waits for a compiler."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mgm.masks import kernels

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.sampled_from([0.0, -0.0, 1.0, -1.0])


@given(values=arrays(np.float64, st.integers(1, 40), elements=st.floats(-5, 5)), data=st.data())
@settings(deadline=None)
def test_select_is_sorting(values, data):
    k = data.draw(st.integers(0, len(values) - 1))
    assert kernels.select(values.copy(), k) == np.sort(values)[k]


@given(
    rank=arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.integers(0, 6)),
    data=st.data(),
)
@settings(deadline=None)
def test_lowest_takes_the_first_of_equals(rank, data):
    check_lowest(rank, data.draw(st.integers(1, rank.shape[1])))


@given(
    rank=arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 30)), elements=st.floats(allow_nan=False)),
    data=st.data(),
)
@settings(deadline=None)
def test_lowest_stands_any_range(rank, data):
    """Infinite ranks, ranges that overflow, differences that vanish."""
    check_lowest(rank, data.draw(st.integers(1, rank.shape[1])))


def check_lowest(rank, count):
    expected = np.zeros(rank.shape, dtype=np.bool_)
    np.put_along_axis(expected, np.argsort(rank, axis=1, kind="stable")[:, :count], True, axis=1)
    np.testing.assert_array_equal(kernels.lowest(rank, count), expected)


def test_refuses_nan_and_invalid_counts():
    """Not a place outside of memory: masks of other people's own call this, too."""
    for rank in ([[0.0, np.nan, 1.0]], [[np.nan, np.nan, np.nan]], [[0.0, 1.0, np.nan]]):
        with pytest.raises(ValueError, match="NaN"):
            kernels.lowest(np.array(rank), 1)
    for count in (0, 4, -1):
        with pytest.raises(ValueError, match="not between 1 and their number"):
            kernels.lowest(np.zeros((1, 3)), count)


@given(
    vectors=arrays(
        np.float32, st.tuples(st.just(2), st.integers(1, 5), st.integers(1, 5), st.just(2)), elements=FLOATS
    ),
    seed=st.integers(0, 99),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(deadline=None)
def test_medians_are_numpys(vectors, seed, share):
    used = np.random.default_rng(seed).random(vectors.shape[:3]) < share
    chosen = [v[u] if u.any() else v.reshape(-1, 2) for v, u in zip(vectors, used, strict=True)]
    expected = [np.median(v.astype(np.float64), axis=0) for v in chosen]
    np.testing.assert_allclose(kernels.frame_medians(vectors, used), expected, rtol=1e-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_finds_the_frame_of_values_that_are_not_finite(bad):
    vectors = np.random.default_rng(0).normal(size=(4, 3, 5, 2)).astype(np.float32)
    camera = np.full((4, 2), 0.5)
    power, finite = kernels.squared_magnitude(vectors, camera)
    np.testing.assert_allclose(power, np.square(vectors - 0.5).sum(axis=3), rtol=1e-6)
    assert finite.all()
    vectors[2, 1, 4, 1] = bad
    assert kernels.squared_magnitude(vectors, camera)[1].tolist() == [True, True, False, True]


def test_nearest_square_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    points, targets = rng.random((3, 20, 2)), rng.random((7, 2))
    expected = np.square(points[:, :, None] - targets).sum(axis=3).min(axis=2)
    np.testing.assert_allclose(kernels.nearest_square(points, targets), expected, rtol=1e-12)


def test_all_that_masks_call_is_compiled_beforehand():
    """By `make setup`: a compiler that starts in the first mask of a run would hold up every worker for seconds."""
    code = """if True:
        import numpy as np
        from mgm.masks import build_mask, kernels, list_masks, motion_energy
        from tests.masks.fields import Field
        compiled = [kernel for kernel in vars(kernels).values() if hasattr(kernel, "signatures")]
        assert len(compiled) > 5
        kernels.compile_kernels()
        known = {kernel: list(kernel.signatures) for kernel in compiled}
        vectors = np.random.default_rng(0).normal(size=(16, 28, 28, 2)).astype(np.float32)
        valid, extent = np.ones((16, 28, 28), np.bool_), (224, 224)
        for writeable in (True, False):
            vectors.flags.writeable = valid.flags.writeable = writeable
            wider = np.broadcast_to(vectors[:, :1], vectors.shape)
            for motion in (vectors, Field(vectors, valid, extent), Field(wider, valid[:, ::-1], extent), vectors.astype(float)):
                motion_energy(motion, (8, 14, 14))
                for name in list_masks():
                    for camera in ("none", "median"):
                        mask = build_mask(name)
                        if hasattr(mask, "camera"):
                            mask = build_mask(name, camera=camera)
                        mask.draw((8, 14, 14), 0.75, motion, np.random.default_rng(0))
        for options in ({"boundary": "wrap", "softness": 1.0, "trim": "random"}, {"scope": "clip", "top_k": 3, "share": 0.5},
                        {"sides": "motion"}, {"sides": "motion", "scope": "clip", "jitter": False},
                        {"exact": "clip", "share": 0.5}, {"exact": "none", "boundary": "shift"}):
            build_mask("mgm", **options).draw((8, 14, 14), 0.75, vectors, np.random.default_rng(0))
        for kernel in compiled:
            assert list(kernel.signatures) == known[kernel], (kernel, kernel.signatures)
    """
    subprocess.run([sys.executable, "-c", code], check=True)
