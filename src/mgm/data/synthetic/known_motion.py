"""Video with known motion everywhere - a pan, a zoom, or an object over a pan - for tests of motion vectors."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mgm.video.transcode.write import write_video

_Floats = npt.NDArray[np.floating]


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
    """Encode a video that translates by exactly ``velocity``, (dx, dy) in pixels per frame.

    Args:
        path, fps, codec, options, pixel_format: see `encode`. For the frames before encoding, see `translating_frames`.
        size: (height, width) in pixels.
        bframes, refs, gop: the encoder's ``bf``, ``refs`` and ``g``; None: its defaults.

    Raises:
        DataError: the encoder refuses the options or the size.
    """
    named = {"bf": bframes, "refs": refs, "g": gop}
    chosen = {name: value for name, value in named.items() if value is not None} | dict(options or {})
    pictures = translating_frames(velocity=velocity, frames=frames, size=size, seed=seed)
    write_video(path, pictures, fps=fps, codec=codec, options=chosen, pixel_format=pixel_format)
    return Path(path)


def translating_frames(
    *, velocity: tuple[float, float], frames: int, size: tuple[int, int], seed: int = 0
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield uint8 (H, W, 3) views of a texture that moves by ``velocity``, (dx, dy) in pixels per frame.

    The texture has no wavelength below 4 px and is shifted in its Fourier series, so that a shift by any fraction of a
    pixel is exact except for rounding to 8 bits. Its period is 1.5 frames or more: no content in view repeats.
    """
    height, width = size
    texture = _draw_texture(size, seed)
    for t in range(frames):
        y, x = texture.y[:, None], texture.x
        shift = np.exp(-2j * math.pi * t * velocity[1] * y) * np.exp(-2j * math.pi * t * velocity[0] * x)
        light, tint = np.fft.irfft2(texture.spectra * shift, texture.tile)[:, :height, :width]
        yield _coloured(light, tint)


def zooming_frames(
    *, zoom: float, times: Sequence[float], size: tuple[int, int], seed: int = 0
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield uint8 (H, W, 3) views, at each of ``times``, of a texture that grows by the factor ``zoom`` per unit of time.

    Content at the distance ``d`` from the frame's centre at time ``t`` is at ``d * zoom ** (s - t)`` at time ``s``. The
    Fourier series of the texture is summed at every pixel's position: exact except for rounding to 8 bits. The texture is
    never minified, so that no wavelength falls below 4 px: a zoom below 1 is one above 1 in reverse.
    """
    texture = _draw_texture(size, seed)
    rows, columns = (np.arange(length) - (length - 1) / 2 for length in size)
    widest = min(times) if zoom >= 1 else max(times)
    for time in times:
        scale = zoom ** (widest - time)
        yield _coloured(*_sample(texture, rows * scale, columns * scale))


def object_over_pan_frames(
    *,
    pan: tuple[float, float],
    velocity: tuple[float, float],
    side: float,
    frames: int,
    size: tuple[int, int],
    seed: int = 0,
) -> Iterator[tuple[npt.NDArray[np.uint8], tuple[float, float, float, float]]]:
    """Yield a textured square over a panning texture, with the square's box.

    Args:
        pan: (dx, dy) of the background in pixels per frame.
        velocity: (dx, dy) of the square in the frame, in pixels per frame. At half time it is in the frame's centre.
        side: of the square in pixels.

    Yields:
        (uint8 (H, W, 3), (x0, y0, x1, y1)): the box in pixels from the frame's upper left corner, sub-pixel, clipped
        to the frame. Pixels on the square's edge mix both textures in proportion to their areas.
    """
    background, texture = _draw_texture(size, seed), _draw_texture(size, seed + 1)
    y, x = np.arange(size[0]), np.arange(size[1])
    for t in range(frames):
        past = t - (frames - 1) / 2
        left = size[1] / 2 + past * velocity[0] - side / 2
        top = size[0] / 2 + past * velocity[1] - side / 2
        behind = _sample(background, y - t * pan[1], x - t * pan[0])
        square = _sample(texture, y - top, x - left)
        covered = np.outer(_overlap(y, top, top + side), _overlap(x, left, left + side))
        light, tint = behind + (square - behind) * covered
        box = (max(left, 0.0), max(top, 0.0), min(left + side, float(size[1])), min(top + side, float(size[0])))
        yield _coloured(light, tint), box


@dataclass(frozen=True, slots=True)
class _Texture:
    """Two random periodic functions of the plane as Fourier series: lightness and tint, each of unit variance.

    ``spectra``: complex128 (2, h, w // 2 + 1), as from rfft2; ``tile``: (h, w), the period in pixels;
    ``y``, ``x``: their frequencies in periods per pixel.
    """

    spectra: npt.NDArray[np.complex128]
    tile: tuple[int, int]
    y: _Floats
    x: _Floats


def _draw_texture(size: tuple[int, int], seed: int) -> _Texture:
    """Draw a texture without wavelengths below 4 px, and with a period of 1.5 frames or more."""
    tile = (64 * math.ceil(1.5 * size[0] / 64), 64 * math.ceil(1.5 * size[1] / 64))  # sizes with a fast transform
    y, x = np.fft.fftfreq(tile[0]), np.fft.rfftfreq(tile[1])
    frequency = np.hypot(y[:, None], x)
    # Detail at every scale, as in a photograph: fine enough for a block search, without a period that misleads it.
    envelope = np.where((frequency > 0) & (frequency <= 0.25), np.maximum(frequency, 1 / 64) ** -1.5, 0)
    spectra = np.fft.rfft2(np.random.default_rng(seed).standard_normal((2, *tile))) * envelope
    spectra /= np.fft.irfft2(spectra, tile).std(axis=(1, 2), keepdims=True)
    return _Texture(spectra, tile, y, x)


def _sample(texture: _Texture, rows: _Floats, columns: _Floats) -> _Floats:
    """The texture at the positions (rows[i], columns[j]) in pixels, float (2, rows, columns): its series, summed directly."""
    y, x = np.flatnonzero(np.abs(texture.y) <= 0.25), np.flatnonzero(texture.x <= 0.25)
    # rfft2 keeps one of each pair of conjugate terms; those of frequency 0 along x are not in pairs.
    weight = np.where(x == 0, 1, 2) / math.prod(texture.tile)
    down = np.exp(2j * math.pi * np.outer(rows, texture.y[y]))
    across = np.exp(2j * math.pi * np.outer(texture.x[x], columns))
    values: _Floats = (down @ (texture.spectra[:, y[:, None], x] * weight) @ across).real
    return values


def _overlap(pixels: npt.NDArray[np.int64], low: float, high: float) -> _Floats:
    """Share of each pixel [i, i + 1) inside [low, high], 0..1."""
    shares: _Floats = np.clip(np.minimum(pixels + 1, high) - np.maximum(pixels, low), 0, 1)
    return shares


def _coloured(light: _Floats, tint: _Floats) -> npt.NDArray[np.uint8]:
    colour = np.array([122, 126, 120]) + light[..., None] * [40, 41, 38] + tint[..., None] * [16, 0, -18]
    pixels: npt.NDArray[np.uint8] = np.rint(colour.clip(0, 255)).astype(np.uint8)
    return pixels
