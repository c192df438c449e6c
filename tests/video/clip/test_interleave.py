"""Planes become pixels, by words and byte by byte."""

import numpy as np
import pytest
from av.video.frame import VideoFrame

from mgm.compiled import compiled_at_once
from mgm.video.clip import interleave as module
from mgm.video.clip.interleave import compile_clip_kernels, interleave


@pytest.mark.parametrize("width", [1, 3, 4, 12, 33, 64])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("at_once", [False, True], ids=["numpy", "compiled"])
def test_every_byte_takes_its_place(width: int, turned: bool, at_once: bool):
    pixels = np.random.default_rng(width).integers(0, 256, (5, width, 3)).astype(np.uint8)
    picture = VideoFrame(width, 5, "gbrp")
    for plane, channel in zip(picture.planes, (1, 2, 0), strict=True):
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:5, :width] = pixels[..., channel]
    image = np.zeros((width, 5, 3) if turned else (5, width, 3), np.uint8)
    into = image.swapaxes(0, 1)[::-1] if turned else image
    if at_once:
        with compiled_at_once():
            interleave(picture, into)
    else:
        interleave(picture, into)
    np.testing.assert_array_equal(into, pixels)


def test_the_loop_can_be_compiled_ahead_of_the_first_clip():
    compile_clip_kernels()
    assert module._words.signatures
