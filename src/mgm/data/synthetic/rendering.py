"""Renders a textured object on a known track over a textured background, for synthetic videos.

All content is smooth, so that a small model can learn to predict hidden patches within the minutes of a demo.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mgm.compiled import compiled

_Floats = npt.NDArray[np.float64]

# Lattice points per side of a texture; the background's tile is two frames wide. They are coarse, so that a patch predicts
# its neighbours: with finer ones and a narrower range of colours, the loss of a tiny model fell far more slowly.
BACKGROUND_CELLS, _OBJECT_CELLS = 5, 3
_HUE_SPREAD = 2.2
_PROFILE_STEPS = 512


@dataclass(frozen=True)
class Appearance:
    """The look of a clip: colours, textures and shape, without the position of the object.

    ``background``, ``texture``: float64 (n, n, 3) in 0..1, RGB at the points of a periodic lattice.
    ``profile``: float64 (512, 2), by angle: the outline's radius / the object's radius (at most 1), and the cosine between
    the ray and the outline's normal, which converts a radial distance to a distance from the edge.
    """

    background: _Floats
    texture: _Floats
    profile: _Floats


@dataclass(frozen=True)
class Track:
    """Position of the object in each frame, in pixels from the frame's upper left corner, y downward, on a torus.

    ``centre``: float64 (T, 2) x and y; ``radius``: float64 (T,); ``angle``: float64 (T,) in radians, clockwise on the
    screen; ``offset``: float64 (T, 2), displacement of the background.
    """

    centre: _Floats
    radius: _Floats
    angle: _Floats
    offset: _Floats


def draw_appearance(rng: np.random.Generator, background_cells: int = BACKGROUND_CELLS) -> Appearance:
    """Draw colours, textures and a shape. Object and background have opposite hues; one is light, the other dark.

    Args:
        background_cells: lattice points along two sides of a frame.
    """
    hue, dark = rng.uniform(0, 2 * math.pi), rng.random() < 0.5
    low, high = (0.15, 0.6), (0.5, 0.98)
    background = _texture(rng, background_cells, hue, lightness=low if dark else high, chroma=(0.04, 0.16))
    texture = _texture(rng, _OBJECT_CELLS, hue + math.pi, lightness=high if dark else low, chroma=(0.1, 0.22))
    return Appearance(background, texture, _profile(int(rng.integers(5))))


def render(look: Appearance, track: Track, *, size: int) -> tuple[npt.NDArray[np.uint8], list[npt.NDArray[np.int64]]]:
    """Draw a clip of square frames.

    Returns:
        frames: uint8 (T, size, size, 3) RGB.
        boxes: per frame int64 (n, 4), ``x0, y0, x1, y1``, far edges exclusive: the tight box of the pixels that are at
            least half covered by the object, one for each of the 1 to 4 pieces into which the frame's border cuts it.
    """
    frames = np.empty((len(track.centre), size, size, 3), np.uint8)
    pieces = np.empty((len(track.centre), 4, 4), np.int64)
    _paint(look.background, look.texture, look.profile, track.centre, track.radius, track.angle, track.offset,
           frames, pieces)  # fmt: skip
    return frames, [boxes[boxes[:, 0] < boxes[:, 2]] for boxes in pieces]


def _texture(
    rng: np.random.Generator, cells: int, hue: float, *, lightness: tuple[float, float], chroma: tuple[float, float]
) -> _Floats:
    """Draw a lattice of colours around one hue, float64 (cells, cells, 3) in 0..1."""
    # The spline averages the points; extreme lightness at the points keeps contrast between them.
    light = lightness[0] + (lightness[1] - lightness[0]) * rng.beta(0.4, 0.4, (cells, cells))
    colourful = rng.uniform(*chroma, (cells, cells))
    hues = hue + rng.uniform(-_HUE_SPREAD, _HUE_SPREAD, (cells, cells))
    return _oklab_to_rgb(light, colourful * np.cos(hues), colourful * np.sin(hues))


def _oklab_to_rgb(lightness: _Floats, a: _Floats, b: _Floats) -> _Floats:
    """Convert Ottosson's Oklab, in which equal lightness looks equal in every hue, to sRGB in 0..1 on a new last axis."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.stack(
        [
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        ],
        axis=-1,
    ).clip(0, 1)
    rgb: _Floats = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb


def _profile(shape: int) -> _Floats:
    """One of five outlines. None is round or repeats within a third of a turn, so that rotation is visible."""
    angle = np.arange(_PROFILE_STEPS) * (2 * math.pi / _PROFILE_STEPS)
    along, across = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    radius = [
        (along**2 + (across / 0.6) ** 2) ** (-1 / 2),  # ellipse
        (along**5 + (across / 0.62) ** 5) ** (-1 / 5),  # bar with round corners
        (along**2 + (across / 0.7) ** 2) ** (-1 / 2) * (1 + 0.2 * np.cos(angle)),  # egg
        1 + 0.22 * np.cos(3 * angle),  # triangle with round corners
        1 + 0.34 * np.cos(2 * angle) + 0.14 * np.cos(angle),  # pear
    ][shape]
    radius = radius / radius.max()
    slope = (np.roll(radius, -1) - np.roll(radius, 1)) * (_PROFILE_STEPS / (4 * math.pi)) / radius
    return np.stack([radius, 1 / np.sqrt(1 + slope**2)], axis=-1)


def compile_rendering() -> None:
    """Compile the loops ahead of the first clip, as `make setup` does, once per installation: with one tiny frame."""
    appearance = draw_appearance(np.random.default_rng(0))
    at = np.ones((1, 2))
    render(appearance, Track(at, at[:, 0], at[:, 0], at), size=2)


@compiled(nogil=True)
def _weights(position, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with the four weights of the uniform cubic B-spline; return the lattice index left of position."""
    left = math.floor(position)
    t = position - left
    out[0] = (1 - t) ** 3 / 6
    out[1] = (3 * t**3 - 6 * t**2 + 4) / 6
    out[2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
    out[3] = t**3 / 6
    return left


@compiled(nogil=True)
def _paint_background(lattice, dx, dy, frame):  # type: ignore[no-untyped-def]
    """Fill a frame. Joining the lattice's rows first leaves 4 points for each pixel instead of 16."""
    size, cells = frame.shape[0], lattice.shape[0]
    weight_y, weights_x = np.empty(4), np.empty((size, 4))
    # One point before and two after the lattice's period spare the inner loop the wrapping.
    first, row = np.empty(size, np.int64), np.empty((cells + 3, 3))
    for x in range(size):
        first[x] = _weights((x + 0.5 - dx) * cells / (2 * size), weights_x[x]) % cells
    for y in range(size):
        top = _weights((y + 0.5 - dy) * cells / (2 * size), weight_y)
        for j in range(cells + 3):
            for c in range(3):
                row[j, c] = 0.5
                for k in range(4):
                    row[j, c] += 255 * weight_y[k] * lattice[(top + k - 1) % cells, (j - 1) % cells, c]
        for x in range(size):
            j = first[x]
            w0, w1, w2, w3 = weights_x[x, 0], weights_x[x, 1], weights_x[x, 2], weights_x[x, 3]
            for c in range(3):
                frame[y, x, c] = int(w0 * row[j, c] + w1 * row[j + 1, c] + w2 * row[j + 2, c] + w3 * row[j + 3, c])


@compiled(nogil=True)
def _paint(background, texture, profile, centre, radius, angle, offset, frames, pieces):  # type: ignore[no-untyped-def]
    size, cells, steps = frames.shape[1], texture.shape[0], profile.shape[0]
    weight_x, weight_y = np.empty(4), np.empty(4)
    still = np.empty_like(frames[0])
    for t in range(frames.shape[0]):
        if t > 0 and offset[t, 0] == offset[0, 0] and offset[t, 1] == offset[0, 1]:
            frames[t] = still
        else:
            _paint_background(background, offset[t, 0], offset[t, 1], frames[t])
        if t == 0:
            still[:] = frames[0]
        pieces[t, :, :2] = size
        pieces[t, :, 2:] = 0
        cx, cy, r = centre[t, 0] % size, centre[t, 1] % size, radius[t]
        cos, sin = math.cos(angle[t]), math.sin(angle[t])
        for y in range(size):
            dy = (y + 0.5 - cy + 1.5 * size) % size - size / 2
            if abs(dy) > r + 1:
                continue
            for x in range(size):
                dx = (x + 0.5 - cx + 1.5 * size) % size - size / 2
                distance = math.hypot(dx, dy)
                if distance > r + 1:
                    continue
                # The object's own axes: u along its outline's angle 0, v a quarter turn clockwise of it.
                u, v = cos * dx + sin * dy, cos * dy - sin * dx
                step = int(math.atan2(v, u) / (2 * math.pi) * steps + steps + 0.5) % steps
                cover = min(1.0, (r * profile[step, 0] - distance) * profile[step, 1] + 0.5)
                if cover <= 0:
                    continue
                # The texture's tile is 2.5 radii wide, so it does not repeat within the object.
                left = _weights((u / (2.5 * r) + 0.5) * cells, weight_x)
                top = _weights((v / (2.5 * r) + 0.5) * cells, weight_y)
                for c in range(3):
                    value = 0.0
                    for j in range(4):
                        for i in range(4):
                            value += (
                                weight_y[j] * weight_x[i] * texture[(top + j - 1) % cells, (left + i - 1) % cells, c]
                            )
                    frames[t, y, x, c] = int(255 * value * cover + (1 - cover) * frames[t, y, x, c] + 0.5)
                if cover >= 0.5:
                    wrapped_x, wrapped_y = abs(x + 0.5 - cx) > size / 2, abs(y + 0.5 - cy) > size / 2
                    box = pieces[t, int(wrapped_x) + 2 * int(wrapped_y)]
                    box[0], box[1] = min(box[0], x), min(box[1], y)
                    box[2], box[3] = max(box[2], x + 1), max(box[3], y + 1)
