"""The twins of compiled loops give the same bits, and the loops take over when it pays."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.data.synthetic.known_motion import make_translation
from mgm.masks import kernels
from mgm.video.clip import interleave
from mgm.video.motion import field, velocity
from mgm.video.motion.vectors import VECTOR_DTYPE

PATIENT = {
    f"{module.__name__}.{name}": one
    for module in (kernels, field, velocity, interleave)
    for name, one in vars(module).items()
    if hasattr(one, "twin")
}


def assert_same(patient, *args):
    """Both forms return the same and leave the same in their arguments, bit for bit."""
    mine, others = ([arg.copy() if isinstance(arg, np.ndarray) else arg for arg in args] for _ in range(2))
    found, expected = patient.twin(*mine), patient.kernel(*others)
    pairs = [*zip(mine, others, strict=True)]
    pairs += zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
    for one, other in pairs:
        if isinstance(other, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other, strict=True)
            if other.dtype.kind == "f":
                np.testing.assert_array_equal(np.signbit(one) & ~np.isnan(one), np.signbit(other) & ~np.isnan(other))
        else:
            assert one == other


def vectors_of(rng, count):
    """Blocks of all sizes, some of them over the border, and equal or opposite ones beside each other."""
    found = np.zeros(count, VECTOR_DTYPE)
    found["source"] = rng.choice([-1, 1], count)
    found["w"], found["h"] = rng.choice([4, 8, 16, 32, 64], (2, count))
    found["dst_x"], found["dst_y"] = rng.integers(-40, 200, (2, count))
    found["motion_x"], found["motion_y"] = rng.choice([0, 0, 3, 4, 5, 12, -12, 77], (2, count))
    found["motion_scale"] = rng.choice([1, 4], count)
    return found


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 300))
@settings(deadline=None, max_examples=25)
def test_motion(seed, count):
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 20, 2)
    total = (rng.normal(size=(3, rows, columns)) * rng.choice([0, 1], (3, rows, columns))).astype(np.float32)
    total[2] = np.abs(total[2])
    assert_same(velocity._gather, vectors_of(rng, count), np.float32(1.5), np.float32(2), total)
    shown, seen = np.zeros((rows, columns, 2), np.float32), np.zeros((rows, columns), np.bool_)
    assert_same(velocity._smooth, total, np.float32(0.04), shown, seen)
    frames = int(rng.integers(1, 9))
    known = rng.random((frames, rows, columns)) < rng.choice([0.02, 0.5])
    assert_same(velocity._support, known.view(np.uint8), np.zeros(known.shape, np.uint8))
    fields = rng.normal(size=(frames, rows, columns, 2)).astype(np.float32)
    assert_same(field._fill, fields, known)
    ends = rng.integers(0, frames, 5)
    flat = fields.reshape(frames, -1), known.reshape(frames, -1).view(np.uint8)
    out = np.zeros((5, rows * columns * 2), np.float32), np.zeros((5, rows * columns), np.uint8)
    assert_same(field._sum, *flat, ends, rng.integers(1, 6, 5), *out)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_pixels(seed):
    rng = np.random.default_rng(seed)
    rows, words = rng.integers(1, 20, 2)
    planes = rng.integers(0, 2**32, (3, int(rows * (words + 2))), np.uint32)
    assert_same(interleave._words, *planes, int(words + 2), np.zeros((rows, 3 * words), np.uint32))


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_masks(seed):
    rng = np.random.default_rng(seed)
    steps, frames, rows, columns = rng.integers(1, 12, 4)
    given_motion = (rng.normal(size=(steps * frames, rows, columns, 2)) * rng.choice([0, 1, 1e6])).astype(np.float32)
    camera = rng.normal(size=(steps * frames, 2)) * rng.choice([0, 1])
    assert_same(kernels.squared_magnitude, given_motion, camera)
    given_motion[rng.integers(len(given_motion)), 0, 0, 1] = rng.choice([np.nan, np.inf])
    assert_same(kernels.squared_magnitude, given_motion, camera)
    power = rng.choice([0.0, 0.3, 0.7], (steps, frames, rows, columns))
    assert_same(kernels.tied_peaks, power, rng.random((rows * columns, 3)) + 0.1)
    jitter = rng.integers(-1, 2, size=(steps, 2))
    assert_same(kernels.balance, jitter, rng.random((steps, 2)))
    tokens = int(rows * columns)
    rank = rng.choice([rng.random((steps, tokens)), rng.integers(0, 3, (steps, tokens)).astype(float)])
    assert_same(kernels.lowest, rank, int(rng.integers(1, tokens + 1)))
    shape = (int(rows), int(columns))
    places = rng.random((steps, 2)) * shape, rng.random((steps, 2)) * shape + 0.5
    noise = rng.normal(size=(steps, tokens if rng.random() < 0.5 else 0))
    chance = rng.random((steps, tokens))
    for clip, wrap in ((True, False), (False, True), (False, False)):
        for near in (False, True):
            for loose in (False, True):
                assert_same(kernels.rectangle_rank, *places, noise, chance, shape, clip, wrap, near, loose, 1e-9)


@pytest.mark.parametrize(("rank", "count"), [([[0.0, np.nan]], 1), ([[0.0, 1.0]], 3), ([[0.0, 1.0]], 0)])
def test_errors_are_the_same(rank, count):
    said = []
    for form in (kernels.lowest.twin, kernels.lowest.kernel):
        with pytest.raises(ValueError) as error:
            form(np.array(rank), count)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_every_twin_is_compared():
    assert set(PATIENT) == {
        *(
            f"mgm.masks.kernels.{name}"
            for name in ("lowest", "squared_magnitude", "tied_peaks", "rectangle_rank", "balance")
        ),
        *(f"mgm.video.motion.velocity.{name}" for name in ("_gather", "_smooth", "_support")),
        *(f"mgm.video.motion.field.{name}" for name in ("_fill", "_sum")),
        "mgm.video.clip.interleave._words",
    }


LOOP = """
import mgm.compiled
mgm.compiled.TWIN_CALLS = 3
calls = []

@mgm.compiled.compiled(twin=lambda x: calls.append(x) or 2 * x)
def double(x):
    return 2 * x
"""


@pytest.mark.parametrize("kept", [True, False])
def test_the_loop_takes_over(tmp_path, kept):
    (tmp_path / "loop.py").write_text(LOOP)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    environment["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")

    def run(code):
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)

    if kept:  # by an earlier process
        run(
            "import loop, mgm.compiled\nwith mgm.compiled.compiled_at_once(): assert loop.double(1) == 2\nassert not loop.calls"
        )
    expected = [] if kept else [0, 1, 2]
    run(f"import loop; assert [loop.double(x) for x in range(5)] == [0, 2, 4, 6, 8]; assert loop.calls == {expected}")


def test_loops_are_loaded_without_compiling_any(tmp_path):
    (tmp_path / "loop.py").write_text(LOOP)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    environment["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
    begin = """
import loop
from mgm.compiled import compiled_at_once, load_cached

def compile_loops():
    with compiled_at_once():
        loop.double(1)
"""
    empty = "assert not load_cached(compile_loops); assert loop.double(1) == 2; assert loop.calls == [1]"
    full = "assert load_cached(compile_loops); assert loop.double(1) == 2; assert not loop.calls"
    for code in (empty, "compile_loops()", full):
        subprocess.run([sys.executable, "-c", begin + code], env=environment, check=True)


def test_threads_that_count_down_at_once_do_not_pass_zero():
    one = next(iter(PATIENT.values()))
    before = one._left
    try:
        one._left = 0  # as another thread left it after this one had looked
        assert one._is_due(())
        assert one._left == 0
    finally:
        one._left = before


CLIP = """
import sys
from mgm.video import read_clip
from mgm.video.clip import interleave
from mgm.video.motion import field, velocity

for policy in ("window_sum", "window_max"):
    read_clip(sys.argv[1], frames=4, stride=2, size=64, policy=policy)
used = {name: one._left for module in (field, velocity, interleave) for name, one in vars(module).items() if hasattr(one, "twin")}
print(sorted(name for name, left in used.items() if left != 0))
"""


def test_the_loops_compiled_ahead_are_those_that_a_clip_uses(tmp_path):
    """A loop is compiled for the types of its arguments: others would go to the twin in each new process."""
    video = make_translation(tmp_path / "a.mp4", velocity=(3, 1), frames=12, size=(64, 80), seed=0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    ahead = [sys.executable, "-c", "from mgm.video.clip.interleave import compile_clip_kernels as c; c()"]
    subprocess.run(ahead, env=environment, check=True)
    clip = [sys.executable, "-c", CLIP, str(video)]
    ran = subprocess.run(clip, env=environment, check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"
