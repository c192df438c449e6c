"""Video whose whole content translates by a known velocity: what motion vectors are tested on."""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mgm.data.encoding import encode


def make_translation(
    path: str | Path,
    *,
    velocity: tuple[float, float],
    frames: int = 32,
    size: tuple[int, int] = (256, 340),
    fps: float | Fraction = 25,
    codec: str = "libx264",
    bframes: int | None = None,
    refs: int | None = None,
    gop: int | None = None,
    options: Mapping[str, str | int] | None = None,
    pixel_format: str = "yuv420p",
    seed: int = 0,
) -> Path:
    """Encode a video whose whole content translates by exactly ``velocity``, (dx, dy) in pixels per frame.

    Args:
        path, fps, codec, options, pixel_format: see `encode`. The frames before encoding: see `translating_frames`.
        size: (height, width) in pixels.
        bframes, refs, gop: the encoder's ``bf``, ``refs`` and ``g``; its own defaults where None.

    Raises:
        DataError: the encoder refuses the options or the size.
    """
    named = {"bf": bframes, "refs": refs, "g": gop}
    chosen = {name: value for name, value in named.items() if value is not None} | dict(options or {})
    pictures = translating_frames(velocity=velocity, frames=frames, size=size, seed=seed)
    encode(path, pictures, fps=fps, codec=codec, options=chosen, pixel_format=pixel_format)
    return Path(path)


def translating_frames(
    *, velocity: tuple[float, float], frames: int, size: tuple[int, int], seed: int = 0
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield uint8 (H, W, 3) views of a texture that moves by ``velocity``, (dx, dy) in pixels per frame.

    The texture has no wavelength under 4 px and is shifted in its Fourier series, so that a shift by any fraction of a
    pixel is exact up to the rounding to 8 bits. Its period is 1.5 frames or more: nothing in view repeats.
    """
    height, width = size
    tile = (64 * math.ceil(1.5 * height / 64), 64 * math.ceil(1.5 * width / 64))  # sides that transform fast
    y, x = np.fft.fftfreq(tile[0])[:, None], np.fft.rfftfreq(tile[1])
    frequency = np.hypot(x, y)
    # Detail at every scale, as in a photograph: fine enough for a block search to lock on, no period for it to slip by.
    envelope = np.where((frequency > 0) & (frequency <= 0.25), np.maximum(frequency, 1 / 64) ** -1.5, 0)
    spectra = np.fft.rfft2(np.random.default_rng(seed).standard_normal((2, *tile))) * envelope
    spectra /= np.fft.irfft2(spectra, tile).std(axis=(1, 2), keepdims=True)
    for t in range(frames):
        shift = np.exp(-2j * math.pi * t * velocity[1] * y) * np.exp(-2j * math.pi * t * velocity[0] * x)
        light, tint = np.fft.irfft2(spectra * shift, tile)[:, :height, :width, None]
        colour = np.array([122, 126, 120]) + light * [40, 41, 38] + tint * [16, 0, -18]
        yield np.rint(colour.clip(0, 255)).astype(np.uint8)
