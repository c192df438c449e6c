"""One geometry for pixels, motion and boxes, which transforms all three alike."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.clips.transform import (
    Geometry,
    centre_crop,
    draw_geometry,
    multi_scale_crop,
    random_resized_crop,
    short_side,
    spatial_views,
)
from mgm.data.synthetic.known_motion import make_translation
from mgm.video import MotionField


def named(name, height, width, size, flip, rng):
    """The geometry that a recipe or an evaluation makes, by the name of its function."""
    if name == "short_side":
        return short_side(height, width, size=size)
    if name == "views":
        views = spatial_views(height, width, size=size)
        return views[rng.integers(len(views))]
    return draw_geometry(name, height, width, size=size, flip=flip, rng=rng)


@st.composite
def geometries(draw):
    """Any geometry, or one of those that are made for training and testing."""
    height, width = draw(st.integers(32, 90)), draw(st.integers(32, 90))
    name = draw(st.sampled_from(["any", "any", "centre", "multiscale", "random_resized", "short_side", "views"]))
    if name != "any":
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        return named(name, height, width, draw(st.sampled_from([32, 48])), draw(st.booleans()), rng)
    w, h = draw(st.integers(16, width)), draw(st.integers(16, height))
    x, y = (2 * draw(st.integers(0, (side - part) // 2)) for side, part in ((width, w), (height, h)))
    size = draw(st.sampled_from([(32, 32), (48, 40), (h, w)]))
    return Geometry((height, width), (x, y, w, h), size, draw(st.booleans()))


@st.composite
def boxed(draw):
    """A geometry and a box (x0, y0, x1, y1) of whole pixels in its frame."""
    geometry = draw(geometries())
    height, width = geometry.frame
    x0, y0 = draw(st.integers(0, width - 12)), draw(st.integers(0, height - 12))
    return geometry, (x0, y0, draw(st.integers(x0 + 10, width)), draw(st.integers(y0 + 10, height)))


def bounds(shown):
    """The bounding box of a bool (height, width), or None if it is empty."""
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    return None if not len(rows) else np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@given(boxed())
@settings(max_examples=150, deadline=None)
def test_a_warped_box_is_the_box_of_the_warped_pixels(case):
    geometry, (x0, y0, x1, y1) = case
    frames = np.zeros((2, *geometry.frame, 3), np.uint8)
    frames[:, y0:y1, x0:x1] = 255
    shown = geometry.frames(frames)
    assert shown.shape == (2, *geometry.size, 3)
    expected = geometry.boxes(np.array([[x0, y0, x1, y1]], np.float64))
    if len(expected):
        # Thinner slivers fade away in the scaled picture.
        assume(np.ptp(expected.reshape(2, 2), axis=0).min() >= 2)
        np.testing.assert_allclose(bounds(shown[0, :, :, 0] >= 128), expected[0], atol=1)
    else:
        assert shown.max() < 128


@given(boxed(), st.sampled_from([1, 2, 3.5]))
@settings(max_examples=150, deadline=None)
def test_a_warped_box_is_the_box_of_the_warped_motion(case, ratio):
    geometry, box = case
    # The coded frame is `ratio` times as large as the frame that the geometry refers to: a small copy kept in memory.
    extent = (round(geometry.frame[0] * ratio), round(geometry.frame[1] * ratio))
    scale = np.array([extent[1] / geometry.frame[1], extent[0] / geometry.frame[0]])
    cells = -(-extent[0] // 8), -(-extent[1] // 8)
    vectors = np.zeros((3, *cells, 2), np.float32)
    c0, r0, c1, r1 = (np.array(box) * np.tile(scale, 2) / 8).round().astype(int)
    assume(c1 > c0 and r1 > r0)
    vectors[:, r0:r1, c0:c1] = (3, -5)
    valid = np.zeros(vectors.shape[:3], np.bool_)
    valid[:, r0:r1, c0:c1] = True
    field = geometry.motion(MotionField(vectors, valid, "codec", extent))
    assert field.vectors.shape[1:3] == (-(-field.extent[0] // 8), -(-field.extent[1] // 8))
    np.testing.assert_array_equal(field.valid, (field.vectors != 0).any(-1))
    _, _, w, h = geometry.box
    if field.valid.any():
        factors = np.array([geometry.size[1] / w, geometry.size[0] / h]) / scale
        expected = np.array([3, -5]) * factors * [-1 if geometry.flip else 1, 1]
        np.testing.assert_allclose(field.vectors[field.valid], np.tile(expected, (field.valid.sum(), 1)), rtol=1e-5)
    aligned = np.array([c0 * 8, r0 * 8, min(c1 * 8, extent[1]), min(r1 * 8, extent[0])]) / np.tile(scale, 2)
    warped = geometry.boxes(aligned[None])
    # In pixels of the coded region, where cells are 8 wide; nearest neighbour moves an edge by half a cell, a mirrored
    # cell that hangs over the border by less than a whole one.
    to_coded = np.tile([w / geometry.size[1], h / geometry.size[0]], 2) * np.tile(scale, 2)
    found = bounds(np.kron(field.valid[0], np.ones((8, 8), np.bool_))[: field.extent[0], : field.extent[1]])
    if not len(warped):
        warped = np.zeros((1, 4))
    if found is None:
        assert np.ptp((warped[0] * to_coded).reshape(2, 2), axis=0).min() <= 8
    elif warped.any():
        np.testing.assert_allclose(found, warped[0] * to_coded, atol=8 + 1)
    else:
        assert np.ptp(found.reshape(2, 2), axis=0).min() <= 8


@given(boxed())
def test_mirroring_twice_is_nothing(case):
    geometry, box = case
    height, width = geometry.size
    mirror = Geometry((height, width), (0, 0, width, height), (height, width), flip=True)
    boxes = geometry.boxes(np.array([box], np.float64))
    np.testing.assert_allclose(mirror.boxes(mirror.boxes(boxes)), boxes)
    frames = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    np.testing.assert_array_equal(mirror.frames(mirror.frames(frames)), frames)


@pytest.fixture(scope="module")
def translating(tmp_path_factory):
    path = tmp_path_factory.mktemp("moving") / "clip.mp4"
    return str(make_translation(path, velocity=(3.5, -2), frames=8, size=(112, 160), bframes=0, refs=1))


CROPS = {
    "whole": [Geometry((112, 160), (0, 0, 160, 112), (64, 64))],
    "centre": [centre_crop(112, 160, size=48)],
    "views": spatial_views(112, 160, size=64),
    "multi-scale": [multi_scale_crop(112, 160, size=56, flip=True, rng=np.random.default_rng(i)) for i in range(8)],
    "random resized": [
        random_resized_crop(112, 160, size=56, flip=True, rng=np.random.default_rng(i)) for i in range(8)
    ],
    "short side": [short_side(112, 160, size=64)],
}


@pytest.mark.parametrize("name", CROPS)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_known_translation_is_transformed(translating, name, stride):
    source = FileSource()
    for geometry in CROPS[name]:
        _, field, _ = source.clip(translating, 2, geometry, ClipSettings(3, stride, geometry.size[0], "codec"))
        _, _, w, h = geometry.box
        sign = -1 if geometry.flip else 1
        expected = np.array([sign * 3.5 * stride * geometry.size[1] / w, -2 * stride * geometry.size[0] / h])
        np.testing.assert_allclose(np.median(field.vectors[field.valid], axis=0), expected, atol=0.2)
    assert name not in ("multi-scale", "random resized") or {g.flip for g in CROPS[name]} == {True, False}


def test_several_views_of_one_clip_equal_views_read_one_by_one(translating):
    """Repeated augmentation from whole frames in memory, against reading each crop from the file."""
    rng = np.random.default_rng(3)
    settings = ClipSettings(4, 1, 64, "codec")
    whole = Geometry((112, 160), (0, 0, 160, 112), (112, 160))
    frames, field, _ = FileSource().clip(translating, 2, whole, settings)
    for name in ("multiscale", "random_resized") * 3:
        geometry = draw_geometry(name, 112, 160, size=64, flip=True, rng=rng)
        read, motion, _ = FileSource().clip(translating, 2, geometry, settings)
        difference = np.abs(geometry.frames(frames).astype(int) - read)
        assert difference.mean() < 2.5  # the file's colour has half the resolution, and another filter scales it
        assert np.percentile(difference, 99) < 16
        shown = geometry.motion(field)
        np.testing.assert_allclose(shown.vectors, motion.vectors, rtol=1e-5)
        np.testing.assert_array_equal(shown.valid, motion.valid)


def test_pixels_move_by_the_motion_field(translating):
    geometry = Geometry((112, 160), (32, 16, 80, 80), (160, 160), flip=True)  # 7 px left, 4 px up per frame
    frames, field, _ = FileSource().clip(translating, 1, geometry, ClipSettings(4, 1, 160, "codec"))
    dx, dy = np.median(field.vectors[field.valid], axis=0).round().astype(int)
    assert (dx, dy) == (-7, -4)
    frames = frames.astype(int)
    followed = np.abs(frames[1:, :dy, :dx] - frames[:-1, -dy:, -dx:]).mean()
    assert followed < 0.4 * np.abs(frames[1:] - frames[:-1]).mean()


@given(st.integers(16, 200), st.integers(16, 200), st.integers(0, 10**6))
@settings(deadline=None)
def test_crops_lie_in_the_frame(height, width, seed):
    side = min(height, width)
    rng = np.random.default_rng(seed)
    crops = [centre_crop(height, width, size=32), *spatial_views(height, width, size=32)]
    assert {geometry.box[2:] for geometry in crops} == {(side, side)}
    assert 1 <= len(crops) - 1 <= 3
    assert len(crops) == 2 or height != width  # a square has one view
    crops.append(multi_scale_crop(height, width, size=32, flip=False, rng=rng))
    crops.append(random_resized_crop(height, width, size=32, flip=False, rng=rng))
    crops.append(short_side(height, width, size=32))
    for geometry in crops:
        x, y, w, h = geometry.box
        assert x % 2 == y % 2 == 0
        assert x >= 0 <= y
        assert x + w <= width
        assert y + h <= height
        assert not geometry.flip


def test_views_show_both_ends_and_the_middle():
    boxes = [geometry.box for geometry in spatial_views(100, 180, size=32)]
    assert boxes == [(0, 0, 100, 100), (40, 0, 100, 100), (80, 0, 100, 100)]
    assert [g.box[1] for g in spatial_views(180, 100, size=32)] == [0, 40, 80]


def test_multi_scale_crops_have_all_sides_and_positions():
    rng = np.random.default_rng(0)
    drawn = [multi_scale_crop(240, 320, size=224, flip=True, rng=rng) for _ in range(2000)]
    sides = {geometry.box[2:] for geometry in drawn}
    scales = [240, 210, 180, 158]
    assert len([1 for i in range(4) for j in range(4) if abs(i - j) <= 1]) == 10
    assert sides == {(w, h) for i, h in enumerate(scales) for j, w in enumerate(scales) if abs(i - j) <= 1}
    assert len({geometry.box[:2] for geometry in drawn if geometry.box[2:] == (180, 180)}) == 13
    assert 0.45 < np.mean([geometry.flip for geometry in drawn]) < 0.55


def test_sides_near_the_result_are_set_to_it():
    """1 x 226 and .875 x 256 are 2 and 0 px from 224; .66 x 336 = 221 is 3 px away, and stays."""
    rng = np.random.default_rng(0)

    def sides(height, width):
        drawn = [multi_scale_crop(height, width, size=224, flip=False, rng=rng).box for _ in range(300)]
        return {side for box in drawn for side in box[2:]}

    assert sides(226, 300) == {224, 197, 169, 149}
    assert sides(256, 340) == {256, 224, 192, 168}
    assert sides(336, 400) == {336, 294, 252, 221}
    assert sides(222, 300) == {222, 194, 166, 146}  # 224 would hang over the frame


def test_random_resized_crops_have_all_areas_and_shapes():
    rng = np.random.default_rng(0)
    drawn = [random_resized_crop(256, 340, size=224, flip=True, rng=rng) for _ in range(3000)]
    w, h = np.array([geometry.box[2:] for geometry in drawn]).T
    area, shape = w * h / (256 * 340), np.log(w / h)
    assert 0.078 < area.min() < 0.1
    assert 0.9 < area.max() <= 1
    assert np.abs(shape).max() <= np.log(4 / 3) + 0.02
    assert abs(shape.mean()) < 0.05
    # Uniform where every shape fits into the frame.
    counts = np.histogram(area, bins=5, range=(0.08, 0.58))[0]
    assert counts.min() > 0.85 * counts.mean()
    assert 0.45 < np.mean([geometry.flip for geometry in drawn]) < 0.55
    centres = np.array([g.box[:2] for g in drawn]) + np.stack([w, h], axis=1) / 2
    np.testing.assert_allclose(centres.mean(axis=0), [170, 128], atol=4)


@pytest.mark.parametrize(("height", "width", "box"), [(20, 400, (186, 0, 27, 20)), (400, 20, (0, 186, 20, 27))])
def test_frames_of_extreme_shape_are_cropped_to_their_middle(height, width, box):
    """Long strips: every shape of that much area is higher than the frame."""
    geometry = random_resized_crop(height, width, size=32, flip=False, rng=np.random.default_rng(0), scale=(0.9, 1.0))
    assert geometry.box == box


def test_short_side_keeps_the_aspect_ratio():
    assert short_side(240, 320, size=224).size == (224, 299)
    assert short_side(320, 240, size=120) == Geometry((320, 240), (0, 0, 240, 320), (160, 120))
