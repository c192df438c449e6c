"""Motion between pictures: placed at the later picture, in the right unit, averaged over the right pixels."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.data.synthetic.known_motion import object_over_pan_frames, translating_frames
from mgm.errors import VideoError
from mgm.video.motion.estimators import (
    DisFlow,
    LumaDifference,
    MotionEstimator,
    make_estimator,
    needed_pictures,
    pairwise_field,
    to_cells,
)
from mgm.video.motion.field import grid_shape
from mgm.video.motion.names import EstimatorName
from tests.errors import raises

cv2 = pytest.importorskip("cv2")


def gray(frame: np.ndarray, shrink: int = 1) -> np.ndarray:
    """Luma at 1/shrink: every pixel is the mean of the pixels that it covers (at the border, of those inside)."""
    luma = frame @ np.array([0.299, 0.587, 0.114])
    height, width = (-(-side // shrink) for side in luma.shape)
    wide = np.pad(luma, ((0, height * shrink - luma.shape[0]), (0, width * shrink - luma.shape[1])), mode="edge")
    return np.rint(wide.reshape(height, shrink, width, shrink).mean(axis=(1, 3))).astype(np.uint8)


def moving(velocity: tuple[float, float], size: tuple[int, int], shrink: int = 1, frames: int = 2) -> list[np.ndarray]:
    return [gray(f, shrink) for f in translating_frames(velocity=velocity, frames=frames, size=size)]


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
@pytest.mark.parametrize("velocity", [(5.25, -3.5), (-4, 0), (0, 4)])
def test_flow_is_the_velocity(preset, velocity):
    flow = DisFlow(preset).between(*moving(velocity, (96, 128)))
    assert flow.dtype == np.float32
    assert flow.shape == (96, 128, 2)
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), velocity, atol=0.05)
    assert np.abs(flow[16:-16, 16:-16] - np.float32(velocity)).max(axis=-1).mean() < 0.1


@pytest.mark.parametrize("source", [DisFlow(shrink=1), DisFlow(), DisFlow("medium", shrink=1)], ids=str)
@pytest.mark.parametrize(("side", "seed"), [(56, 1), (96, 1), (96, 2)])
def test_motion_is_at_the_new_place_of_an_object(source, side, seed):
    scene = object_over_pan_frames(pan=(0, 0), velocity=(20, 0), side=side, frames=2, size=(144, 240), seed=seed)
    (before, was), (after, now) = scene
    flow = source.between(gray(before, source.shrink), gray(after, source.shrink))
    field_ = to_cells(flow, source.shrink, grid_shape(144, 240))
    rows = slice((72 - side // 2) // 8 + 2, (72 + side // 2) // 8 - 1)
    length = np.hypot(field_[..., 0], field_[..., 1])[rows]
    left, covered, right = (
        slice(int(a) // 8 + 1, int(b) // 8)
        for a, b in zip((was[0], now[0], was[2]), (now[0], now[2], now[2]), strict=True)
    )
    np.testing.assert_allclose(np.median(field_[rows, covered], axis=(0, 1)), (20, 0), atol=0.5)
    assert np.abs(length[:, right] - 20).mean() < 1
    assert length[:, left].mean() < 13  # ground behind the object's old place: every flow is wrong there


def test_flow_follows_a_zoom_in_small_pictures():
    """At the preset's own level of the pyramid this field is 40% too short."""
    y, x = np.mgrid[:72, :96]
    picture = moving((0, 0), (72, 96))[0]
    shifts = np.stack([(x - 47.5) * 0.08, (y - 35.5) * 0.08], axis=-1).astype(np.float32)
    after = cv2.remap(
        picture, *np.moveaxis(np.stack([x, y], axis=-1).astype(np.float32) - shifts, -1, 0), cv2.INTER_CUBIC
    )
    flow = DisFlow(shrink=1).between(picture, after)
    assert (flow * shifts).sum() / np.square(shifts).sum() == pytest.approx(1, abs=0.05)
    coarse = DisFlow(shrink=1, finest=2).between(picture, after)
    assert (coarse * shifts).sum() / np.square(shifts).sum() < 0.8


@pytest.fixture
def opencv_threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("opencv_threads")
@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_flow_does_not_depend_on_threads_nor_changes_their_number(preset):
    scene = object_over_pan_frames(pan=(3, 1), velocity=(-4, 2), side=50, frames=2, size=(150, 230))
    pictures = [gray(frame) for frame, _ in scene]
    flows = []
    for threads in (1, 2, 5):
        cv2.setNumThreads(threads)
        flows.append(DisFlow(preset).between(*pictures))
        assert cv2.getNumThreads() == threads
    np.testing.assert_array_equal(flows[1], flows[0])
    np.testing.assert_array_equal(flows[2], flows[0])


def test_flow_survives_pictures_that_crash_opencv():
    """In a process of its own: without padding, OpenCV dies of a segmentation fault at 8 x 100 pixels."""
    code = (
        "import numpy as np\n"
        "from mgm.video.motion.estimators import DisFlow\n"
        "rng = np.random.default_rng(0)\n"
        "for shape in [(8, 100), (100, 8), (24, 200), (200, 24), (1, 1), (3, 500), (32, 400), (33, 47)]:\n"
        "    before, after = rng.integers(0, 256, (2, *shape), dtype=np.uint8)\n"
        "    for flow in [DisFlow(), DisFlow('medium'), DisFlow(finest=2), DisFlow('fast', finest=0)]:\n"
        "        measured = flow.between(before, after)\n"
        "        assert measured.shape == (*shape, 2) and np.isfinite(measured).all(), (shape, flow)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_flow_takes_views_of_larger_pictures():
    before, after = moving((2, 1), (64, 96))
    wide = np.zeros((2, 70, 110), np.uint8)
    wide[:, :64, :96] = before, after
    np.testing.assert_array_equal(DisFlow().between(*wide[:, :64, :96]), DisFlow().between(before, after))


def test_difference_is_the_change_of_luma():
    before, after = np.random.default_rng(0).integers(0, 256, (2, 30, 41), dtype=np.uint8)
    change = LumaDifference().between(before, after)
    assert change.dtype == np.float32
    np.testing.assert_array_equal(change[..., 0], np.abs(before.astype(int) - after))
    assert not change[..., 1].any()
    np.testing.assert_array_equal(LumaDifference().between(after, before), change)


@pytest.mark.parametrize("source", [DisFlow(), LumaDifference()])
def test_pictures_must_be_two_grey_ones_of_one_size(source):
    picture = np.zeros((40, 50), np.uint8)
    for other in (picture[1:], picture.astype(np.float32), np.zeros((40, 50, 3), np.uint8)):
        with raises(VideoError, "invalid_shape", subject=source.name):
            source.between(picture, other)


@pytest.mark.parametrize(
    ("make", "reason", "name"),
    [
        (lambda: DisFlow("slow"), "unknown_name", "flow"),
        (lambda: DisFlow(shrink=3), "invalid_value", "flow"),
        (lambda: DisFlow(finest=3), "invalid_value", "flow"),
        (lambda: LumaDifference(0), "invalid_value", "difference"),
    ],
)
def test_wrong_options_are_errors_of_the_estimator(make, reason, name):
    with raises(VideoError, reason, subject=name):
        make()


def test_estimators_by_name():
    assert make_estimator("flow") == DisFlow()
    assert make_estimator("difference") == LumaDifference()
    for source in (DisFlow(), LumaDifference()):
        assert isinstance(source, MotionEstimator)
        assert source.name in get_args(EstimatorName)
    assert not isinstance(object(), MotionEstimator)
    with raises(VideoError, "unknown_name", message="motion-unknown-estimator"):
        make_estimator("optical")
    with raises(VideoError, "missing_value", message="motion-raft-without-weights"):
        make_estimator("raft")


def test_a_missing_opencv_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with raises(VideoError, "missing_package", message="motion-flow-without-opencv"):
        make_estimator("flow")
    picture = np.zeros((40, 50), np.uint8)
    with raises(VideoError, "missing_package"):
        DisFlow().between(picture, picture)
    assert not LumaDifference().between(picture, picture).any()


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 70), width=st.integers(1, 70), shrink=st.sampled_from([1, 2, 4]), seed=st.integers(0, 9))
def test_cells_are_means_of_their_pixels(height, width, shrink, seed):
    shape = -(-height // shrink), -(-width // shrink)
    flow = np.random.default_rng(seed).normal(size=(*shape, 2)).astype(np.float32)
    cells = to_cells(flow, shrink, grid_shape(height, width))
    assert cells.dtype == np.float32
    assert cells.shape == (*grid_shape(height, width), 2)
    side = 8 // shrink
    for row, column in np.ndindex(cells.shape[:2]):
        part = flow[row * side : (row + 1) * side, column * side : (column + 1) * side]
        np.testing.assert_allclose(cells[row, column], shrink * part.mean(axis=(0, 1)), rtol=1e-4, atol=1e-5)
    own = to_cells(flow, shrink, grid_shape(height, width), in_pixels=False)
    np.testing.assert_allclose(own * shrink, cells, rtol=1e-5, atol=1e-6)


def test_cells_of_a_picture_that_was_rounded_down():
    flow = np.arange(8, dtype=np.float32).reshape(1, 8, 1).repeat(2, axis=-1)
    # 33 / 4 is rounded down to 8 pixels: the fifth cell has none
    cells = to_cells(flow, 4, grid_shape(4, 33), in_pixels=False)
    np.testing.assert_array_equal(cells[0, [0, 1, 2, 4], 0], [0.5, 2.5, 4.5, 7])


def test_a_grid_of_another_size_is_refused():
    with raises(VideoError, "mismatch", message="motion-flow-of-another-size"):
        to_cells(np.zeros((64, 96, 2), np.float32), 2, (8, 12))


@dataclass
class Spy(Mapping):
    """Pictures filled with their own number, and the requested pairs; its flow is (after - before, after)."""

    in_pixels: bool = True
    name: str = "flow"
    pixel_format: str = "gray"
    shrink: int = 2
    pairs: list[tuple[int, int]] = field(default_factory=list)
    requested: set[int] = field(default_factory=set)

    def __getitem__(self, number: int) -> np.ndarray:
        self.requested.add(number)
        return np.full((9, 13), number, np.uint8)

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("pictures are requested by number")

    def __len__(self) -> int:
        raise AssertionError("pictures are requested by number")

    def between(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        self.pairs.append((int(before[0, 0]), int(after[0, 0])))
        change = np.float32(after[0, 0]) - before[0, 0]
        return np.broadcast_to(np.float32([change, after[0, 0]]), (*after.shape, 2))


def measured(wanted: list[int], stride: int, **options: bool) -> tuple[np.ndarray, np.ndarray, Spy]:
    spy = Spy(**options)
    numbers = np.array(wanted, np.int64)
    found = pairwise_field(spy, spy, numbers, stride, grid_shape(18, 26))
    vectors, valid = found.vectors, found.valid
    assert vectors.dtype == np.float32
    assert valid.dtype == bool
    assert vectors.shape == (len(wanted), 3, 4, 2)
    assert valid.shape == (len(wanted), 3, 4)
    assert spy.requested == needed_pictures(numbers, stride)
    assert (vectors == vectors[:, :1, :1]).all()
    assert (valid == valid[:, :1, :1]).all()
    return vectors[:, 0, 0], valid[:, 0, 0], spy


def test_a_frame_moves_since_one_stride_before_it():
    vectors, valid, spy = measured([5, 9, 13], 4)
    assert spy.pairs == [(1, 5), (5, 9), (9, 13)]
    np.testing.assert_array_equal(vectors, [(8, 10), (8, 18), (8, 26)])  # doubled: pixels of the coded picture
    assert valid.all()


def test_near_the_start_motion_is_scaled_to_a_whole_stride():
    vectors, valid, spy = measured([2, 6], 4)
    assert spy.pairs == [(0, 2), (2, 6)]
    np.testing.assert_array_equal(vectors, [(8, 8), (8, 12)])
    assert valid.all()
    vectors, _, _ = measured([2, 6], 4, in_pixels=False)
    np.testing.assert_array_equal(vectors, [(2, 2), (4, 6)])


def test_the_first_frame_of_a_video_takes_the_motion_of_the_next():
    vectors, valid, spy = measured([0, 3, 6], 3)
    assert spy.pairs == [(0, 3), (3, 6)]
    np.testing.assert_array_equal(vectors, [(6, 6), (6, 6), (6, 12)])
    assert valid.tolist() == [False, True, True]


def test_frames_that_repeat_are_measured_once():
    vectors, valid, spy = measured([0, 4, 8, 0, 4, 8, 8], 4)
    assert spy.pairs == [(0, 4), (4, 8)]
    np.testing.assert_array_equal(vectors[:, 1], [8, 8, 16, 8, 8, 16, 16])
    assert valid.tolist() == [False, True, True, False, True, True, True]
    vectors, valid, spy = measured([0, 0], 4)
    assert not vectors.any()
    assert not valid.any()
    assert spy.pairs == []
    assert needed_pictures(np.array([0, 0]), 4) == set()


@pytest.mark.parametrize("source", [DisFlow(), DisFlow(shrink=4), DisFlow("fast", shrink=1)], ids=str)
def test_vectors_are_pixels_of_the_coded_picture_per_stride(source):
    """With sides that are not multiples of 8."""
    pictures = dict(enumerate(moving((2.5, -1.5), (139, 187), source.shrink, frames=9)))
    found = pairwise_field(source, pictures, np.array([1, 4, 8]), 4, grid_shape(139, 187))
    assert found.valid.all()
    np.testing.assert_allclose(np.median(found.vectors, axis=(1, 2)), [(10, -6)] * 3, atol=0.5)


def test_the_unit_of_difference_is_grey_levels():
    pictures = {0: np.full((20, 30), 100, np.uint8), 1: np.full((20, 30), 130, np.uint8)}
    vectors = pairwise_field(LumaDifference(), pictures, np.array([1]), 4, grid_shape(80, 120)).vectors
    np.testing.assert_array_equal(vectors, np.broadcast_to(np.float32([30, 0]), vectors.shape))
