"""Three planes of a picture to pixels of three bytes: the compiled loop takes a fifth of the time of numpy's strided copies."""

from __future__ import annotations

import sys
from typing import Any, cast

import av.video.frame
import numpy as np
import numpy.typing as npt

from mgm.compiled import compiled, compiled_at_once
from mgm.video.motion.velocity import compile_motion_kernels


def interleave(picture: av.video.frame.VideoFrame, image: npt.NDArray[np.uint8]) -> None:
    """Fill `image`, uint8 (H, W, 3) RGB, from a picture of its size in FFmpeg's format gbrp."""
    planes = picture.planes
    length = planes[0].line_size  # FFmpeg pads the rows, those of all planes to the same length
    if image.shape[1] % 4 == 0 and length % 4 == 0 and image.flags.c_contiguous and sys.byteorder == "little":
        green, blue, red = (np.frombuffer(cast(bytes, plane), np.uint32) for plane in planes)
        _words(red, green, blue, length // 4, image.reshape(len(image), -1).view(np.uint32))
    else:
        g, b, r = (np.frombuffer(cast(bytes, plane), np.uint8) for plane in planes)
        _copy(r, g, b, length, image)


def _copy(red: Any, green: Any, blue: Any, length: int, image: Any) -> None:
    for channel, plane in enumerate((red, green, blue)):
        image[..., channel] = plane.reshape(-1, length)[: len(image), : image.shape[1]]


def _words_kernel(red: Any, green: Any, blue: Any, length: Any, image: Any) -> None:
    """Four pixels a step, as little-endian words: three of the planes become three of the image."""
    for y in range(image.shape[0]):
        reds, greens, blues = red[y * length :], green[y * length :], blue[y * length :]
        row = image[y]
        for i in range(row.shape[0] // 3):
            r, g, b = reds[i], greens[i], blues[i]
            row[3 * i] = (r & 0xFF) | ((g & 0xFF) << 8) | ((b & 0xFF) << 16) | ((r & 0xFF00) << 16)
            row[3 * i + 1] = ((g >> 8) & 0xFF) | (b & 0xFF00) | (r & 0xFF0000) | ((g & 0xFF0000) << 8)
            row[3 * i + 2] = ((b >> 16) & 0xFF) | ((r >> 16) & 0xFF00) | ((g >> 8) & 0xFF0000) | (b & 0xFF000000)


def _plain_words(red: Any, green: Any, blue: Any, length: Any, image: Any) -> None:
    pixels = image.view(np.uint8).reshape(len(image), -1, 3)
    _copy(red.view(np.uint8), green.view(np.uint8), blue.view(np.uint8), 4 * length, pixels)


_words: Any = compiled(twin=_plain_words)(_words_kernel)


def compile_clip_kernels() -> None:
    """Compile all loops of reading a clip ahead of the first one, as `make setup` does: it takes seconds, once per installation."""
    compile_motion_kernels()
    with compiled_at_once():
        interleave(av.video.frame.VideoFrame(4, 1, "gbrp"), np.empty((1, 4, 3), np.uint8))
