"""The inner loops of changes of colour on a CPU, compiled: one pass over the pixels, nothing kept between. numba keeps what it has
compiled beside this file, or in the user's cache folder."""

import numpy as np
from numba import njit

RED, GREEN, BLUE = 19595, 38470, 7471
"""Weights in grey, in 65536ths (ITU-R 601-2, as Pillow has them)."""


def compile_levels() -> None:
    """Compile what is not compiled yet, so that no first step has to wait."""
    planes = np.zeros((3, 1, 4), np.uint8)
    count(planes)
    look_up(planes, np.zeros((3, 1, 256), np.uint8))
    grey_sums(planes)
    saturate(planes, np.float32(1))


@njit(cache=True)
def count(planes):  # type: ignore[no-untyped-def]
    """How many pixels of each channel and frame have each level: uint8 (C, T, N) to int64 (C, T, 256)."""
    channels, frames, _ = planes.shape
    found = np.zeros((channels, frames, 256), np.int64)
    for channel in range(channels):
        for frame in range(frames):
            for level in planes[channel, frame]:
                found[channel, frame, level] += 1
    return found


@njit(cache=True)
def look_up(planes, tables):  # type: ignore[no-untyped-def]
    """Each level of uint8 (C, T, N) through the table of its channel and frame, uint8 (C, T, 256)."""
    channels, frames, pixels = planes.shape
    found = np.empty_like(planes)
    for channel in range(channels):
        for frame in range(frames):
            for i in range(pixels):
                found[channel, frame, i] = tables[channel, frame, planes[channel, frame, i]]
    return found


@njit(cache=True)
def grey_sums(planes):  # type: ignore[no-untyped-def]
    """Sum of the lightness of each frame of uint8 (3, T, N), int64 (T,)."""
    _, frames, pixels = planes.shape
    found = np.zeros(frames, np.int64)
    for frame in range(frames):
        total = 0
        for i in range(pixels):
            total += _grey(planes[0, frame, i], planes[1, frame, i], planes[2, frame, i])
        found[frame] = total
    return found


@njit(cache=True)
def saturate(planes, factor):  # type: ignore[no-untyped-def]
    """uint8 (3, T, N) between its lightness (factor 0, float32) and itself (1), or beyond; fractions are cut off."""
    _, frames, pixels = planes.shape
    found = np.empty_like(planes)
    low, high = np.float32(0), np.float32(255)
    for frame in range(frames):
        for i in range(pixels):
            grey = np.float32(_grey(planes[0, frame, i], planes[1, frame, i], planes[2, frame, i]))
            for channel in range(3):
                level = (np.float32(planes[channel, frame, i]) - grey) * factor + grey
                found[channel, frame, i] = np.uint8(min(max(level, low), high))
    return found


@njit(cache=True, inline="always")
def _grey(red, green, blue):  # type: ignore[no-untyped-def]
    return (np.int32(red) * RED + np.int32(green) * GREEN + np.int32(blue) * BLUE + 0x8000) >> 16
