"""Pixels and motion show the same region: crops, sizes, rotations, flips."""

from fractions import Fraction
from pathlib import Path

import av
import av.filter
import numpy as np
import pytest

from mgm.data.synthetic.known_motion import translating_frames
from mgm.video import read_clip
from mgm.video.clip import rgb as module
from mgm.video.clip.rgb import FrameConverter, upright_region
from mgm.video.container.orientation import UPRIGHT, Orientation
from mgm.video.transcode.write import write_video
from tests.video.clips import (
    ORIENTATIONS,
    VELOCITY,
    display_matrix,
    displayed,
    displayed_vector,
    encode_moving,
    remux,
)


@pytest.fixture(scope="module")
def quadrant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 x 128: the left 48 columns move, the rest stands still."""
    moving = list(translating_frames(velocity=(4, 2), frames=6, size=(96, 48)))
    still = next(translating_frames(velocity=(0, 0), frames=1, size=(96, 80), seed=1))
    path = tmp_path_factory.mktemp("convert") / "left.mp4"
    frames = [np.concatenate([m, still], axis=1) for m in moving]
    write_video(path, frames, fps=25, options={"bf": 0, "refs": 1, "crf": 16})
    return path


@pytest.mark.parametrize(
    ("size", "crop", "region"),
    [
        (None, None, (0, 0, 340, 256)),
        (None, "centre", (0, 0, 340, 256)),
        (224, None, (0, 0, 340, 256)),
        (224, "centre", (42, 0, 256, 256)),
        ((128, 256), "centre", (0, 43, 340, 170)),
        ((300, 100), "centre", (127, 0, 85, 256)),
        (64, (5, 7, 30, 20), (5, 7, 30, 20)),
    ],
)
def test_region_of_the_upright_frame(size, crop, region):
    assert upright_region(256, 340, size, crop) == region


@pytest.mark.parametrize(
    ("size", "crop", "shape"),
    [
        (None, None, (64, 96)),
        (40, "centre", (40, 40)),
        ((24, 56), "centre", (24, 56)),
        (32, None, (32, 32)),
        (None, (10, 6, 31, 21), (21, 31)),
    ],
)
def test_shapes(ordinary: Path, size, crop, shape):
    clip = read_clip(ordinary, frames=2, size=size, crop=crop)
    assert clip.frames.shape == (2, *shape, 3)
    assert clip.motion is not None
    height, width = clip.motion.extent
    assert clip.motion.vectors.shape == (2, -(-height // 8), -(-width // 8), 2)
    assert (width, height) == upright_region(64, 96, size, crop)[2:]


def test_a_crop_is_a_cutout_of_the_whole_frame(ordinary: Path):
    whole = read_clip(ordinary, frames=3, size=None, crop=None).frames.astype(int)
    for x, y, w, h in ((0, 0, 96, 64), (16, 8, 32, 24), (7, 5, 33, 41), (95, 63, 1, 1)):
        cut = read_clip(ordinary, frames=3, size=None, crop=(x, y, w, h)).frames
        x, y = x - x % 2, y - y % 2  # chroma is stored at half resolution
        difference = np.abs(cut - whole[:, y : y + h, x : x + w])
        # Chroma is interpolated from this side of the cut alone, and over odd sides a little stretched; brightness is exact.
        assert difference.mean() < 2
        assert difference[..., 1].max() <= 4


def test_scaling_averages_what_it_shrinks(ordinary: Path):
    whole = read_clip(ordinary, frames=2, size=None, crop=None).frames.astype(float)
    small = read_clip(ordinary, frames=2, size=(16, 24), crop=None).frames
    averaged = whole.reshape(2, 16, 4, 24, 4, 3).mean(axis=(2, 4))
    assert np.abs(small - averaged).mean() < 0.7
    assert np.abs(small - averaged).max() < 5


@pytest.mark.parametrize("crop", [(0, 0, 128, 96), (16, 0, 64, 96), (24, 8, 100, 81), (11, 3, 90, 70)])
def test_the_motion_of_a_crop_is_the_motion_of_its_pixels(quadrant: Path, crop):
    x, _, w, h = crop
    motion = read_clip(quadrant, start=2, frames=3, stride=1, size=64, crop=crop).motion
    assert motion is not None
    assert motion.extent == (h, w)
    centres = (x - x % 2) + np.minimum(np.arange(0, w, 8) + 4, w - 1)
    # A macroblock of 16 pixels that straddles the border may go either way, and cells are smoothed.
    inside, outside = centres < 40, centres >= 64
    np.testing.assert_allclose(np.median(motion.vectors[:, :, inside], axis=(0, 1, 2)), (4, 2), atol=0.3)
    np.testing.assert_allclose(np.median(motion.vectors[:, :, outside], axis=(0, 1, 2)), (0, 0), atol=0.25)


def test_the_centre_crop_is_the_same_region_for_frames_and_motion(quadrant: Path):
    by_size, by_box = (read_clip(quadrant, frames=4, stride=1, size=48, crop=c) for c in ("centre", (16, 0, 96, 96)))
    np.testing.assert_array_equal(by_size.frames, by_box.frames)
    assert by_size.motion is not None
    assert by_box.motion is not None
    np.testing.assert_array_equal(by_size.motion.vectors, by_box.motion.vectors)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(
    ("size", "crop"), [(None, None), (None, (12, 5, 40, 55)), (40, "centre"), ((48, 24), "centre")]
)
def test_turned_videos_come_upright_with_their_motion(
    tmp_path: Path, ordinary: Path, orientation: Orientation, size, crop
):
    """The file's pixels and vectors are both as they were coded."""
    turned = remux(ordinary, tmp_path / "turned.mp4", matrix=display_matrix(orientation))
    upright = read_clip(turned, start=2, frames=12, stride=1, size=size, crop=crop)
    coded = read_clip(ordinary, start=2, frames=12, stride=1, size=None, crop=None)
    assert upright.motion is not None
    assert coded.motion is not None

    found = np.median(upright.motion.vectors, axis=(0, 1, 2))
    np.testing.assert_allclose(found, displayed_vector(VELOCITY, display_matrix(orientation)), atol=0.25)

    whole = np.stack([displayed(frame, display_matrix(orientation)) for frame in coded.frames])
    if size is None and crop is None:
        np.testing.assert_array_equal(upright.frames, whole)
        np.testing.assert_array_equal(upright.motion.vectors, coded.motion.upright(orientation).vectors)
    elif size is None:
        # The coded region starts on even pixels, which after a turn may move the region by one.
        x, y, w, h = crop
        assert upright.frames.shape == (12, h, w, 3)
        errors = [
            np.abs(upright.frames - whole[:, y + j : y + h + j, x + i : x + w + i].astype(int)).mean()
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        ]
        assert min(errors) < 2 < 4 < np.median(errors)
        assert upright.motion.extent == (h, w)
    else:
        height, width = (size, size) if isinstance(size, int) else size
        assert upright.frames.shape == (12, height, width, 3)
        # Content follows the motion from frame to frame.
        region = upright_region(whole.shape[1], whole.shape[2], size, crop)
        assert upright.motion.extent == (region[3], region[2])


def test_flipped_motion_equals_the_motion_of_the_flipped_region(quadrant: Path):
    motion = read_clip(quadrant, start=2, frames=3, stride=1, size=None).motion
    assert motion is not None
    flipped = motion.scaled(1, 1, flip=True)
    columns = np.arange(16) * 8 + 4
    np.testing.assert_allclose(
        np.median(flipped.vectors[:, :, columns >= 128 - 40], axis=(0, 1, 2)), (-4, 2), atol=0.25
    )
    np.testing.assert_allclose(np.median(flipped.vectors[:, :, columns < 64], axis=(0, 1, 2)), (0, 0), atol=0.25)


def test_frames_follow_the_motion_of_a_turned_video(tmp_path: Path, ordinary: Path):
    turned = remux(ordinary, tmp_path / "turned.mp4", rotation=90)
    clip = read_clip(turned, start=3, frames=2, stride=2, size=None)
    assert clip.motion is not None
    dx, dy = np.rint(np.median(clip.motion.vectors[1], axis=(0, 1))).astype(int)
    before, after = (frame.astype(int)[16:-16, 16:-16] for frame in clip.frames)
    moved = np.roll(clip.frames[0].astype(int), (dy, dx), axis=(0, 1))[16:-16, 16:-16]
    assert np.abs(moved - after).mean() < 6 < 15 < np.abs(before - after).mean()


def test_other_pixel_formats(tmp_path: Path):
    for name in ("yuv444p", "yuvj420p"):
        path = tmp_path / f"{name}.mp4"
        grey = [np.full((32, 48, 3), level, np.uint8) for level in (0, 128, 255)]
        write_video(path, grey, fps=25, pixel_format=name, options={"crf": 1})
        clip = read_clip(path, frames=3, stride=1, size=None)
        assert np.abs(clip.frames.astype(int) - np.stack(grey)).max() <= 3, name


def test_moving_frames_are_unlike_each_other(tmp_path: Path):
    """Otherwise every comparison of frames above would pass for any frames."""
    clip = read_clip(encode_moving(tmp_path / "clip.mp4", frames=3), frames=3, stride=1, size=None)
    assert np.abs(clip.frames[0].astype(int) - clip.frames[1]).mean() > 10


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv411p", "yuva420p", "yuv420p10le"])
@pytest.mark.parametrize("orientation", [UPRIGHT, Orientation(transposed=True, mirrored=True)])
@pytest.mark.parametrize(
    ("shape", "size", "crop"),
    [((64, 96), (32, 40), None), ((67, 51), None, None), ((61, 45), (70, 90), (2, 4, 33, 31))],
)
def test_colours_are_those_of_ffmpeg_to_one_level(pixels: str, orientation: Orientation, shape, size, crop):
    """The planes of its planar RGB, against its conversion to interleaved RGB."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (shape[0] // 8 + 1, shape[1] // 8 + 1, 3)).astype(np.uint8)
    pattern = coarse.repeat(8, axis=0).repeat(8, axis=1)[: shape[0], : shape[1]]
    for matrix, colour_range in ((2, 0), (1, 1), (1, 2), (5, 1), (5, 2), (7, 1), (9, 1)):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pattern), format="rgb24").reformat(format=pixels)
        picture.colorspace, picture.color_range = matrix, colour_range
        convert = FrameConverter(size, crop, "a picture", orientation)
        found = convert(picture)
        graph = av.filter.Graph()
        box = convert.coded_region(shape)
        out = (box[3], box[2]) if size is None else orientation.shape(*size)
        graph.link_nodes(
            graph.add_buffer(width=shape[1], height=shape[0], format=picture.format, time_base=Fraction(1, 25)),
            graph.add("crop", f"{box[2]}:{box[3]}:{box[0]}:{box[1]}:exact=1"),
            graph.add("scale", f"{out[1]}:{out[0]}:flags=area+accurate_rnd+full_chroma_int"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ).configure()
        graph.push(picture)
        expected = orientation.image(graph.pull().to_ndarray())
        assert found.flags.c_contiguous
        assert np.abs(found - expected.astype(int)).max() <= 1
        assert (found != expected).mean() < 0.02


def test_a_change_of_colours_within_a_stream_is_followed():
    """Also one to pictures without a tag: a clip that begins after the change would show them otherwise."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 24, 3)).astype(np.uint8)
    convert = FrameConverter(8, None, "a picture")
    for matrix, colour_range in ((2, 0), (1, 1), (2, 0), (7, 2), (2, 0)):
        picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        picture.colorspace, picture.color_range = matrix, colour_range
        np.testing.assert_array_equal(convert(picture), FrameConverter(8, None, "a picture")(picture))


def test_filters_go_to_the_next_clip_and_never_to_two():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 24, 3)).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
    expected = {size: FrameConverter(size, None, "a picture")(picture) for size in range(5, 12)}

    def graphs(converter: FrameConverter) -> set[int]:
        return {id(one.graph) for one in converter._filters.values()}

    first, second = (FrameConverter(8, None, name) for name in ("one", "two"))
    for converter in (first, second):
        np.testing.assert_array_equal(converter(picture), expected[8])
    given = graphs(first)
    assert not given & graphs(second)
    first.release()
    for converter in (third := FrameConverter(8, None, "three"), FrameConverter(8, None, "four")):
        np.testing.assert_array_equal(converter(picture), expected[8])
    assert graphs(third) == given
    for size, found in expected.items():  # more than a thread keeps
        converter = FrameConverter(size, None, "a picture")
        np.testing.assert_array_equal(converter(picture), found)
        converter.release()
    assert len(module._idle.filters) == module._MOST_IDLE


def test_images_share_one_array_only_in_their_order(ordinary: Path):
    picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24").reformat(format="yuv420p")
    convert = FrameConverter(8, None, "a picture", count=2)
    first, second, third = (convert(picture) for _ in range(3))
    assert np.shares_memory(convert.together([first, second]), second)
    second += 1
    np.testing.assert_array_equal(convert.together([second, first]), np.stack([second, first]))
    np.testing.assert_array_equal(convert.together([first, second, third]), np.stack([first, second, third]))
    np.testing.assert_array_equal(convert.together([first]), first[None])
    repeated = read_clip(ordinary, frames=9, stride=12, size=24)
    assert len(set(repeated.frame_indices.tolist())) < 9
    np.testing.assert_array_equal(repeated.frames[-1], repeated.frames[-2])
