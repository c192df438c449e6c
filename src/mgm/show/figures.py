"""Pictures of motion, masks and reconstructions: pure functions from arrays to uint8 RGB frames.

Frames are uint8 (T, H, W, 3); every function returns new ones and leaves its arguments unchanged.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mgm.show.style import BOX, EDGE, HIDDEN, HOT, VEIL, Ground

RgbFrames = npt.NDArray[np.uint8]

_GROUND_LIGHTNESS: dict[Ground, float] = {"dark": 0.21, "light": 0.97}
_FULL_LIGHTNESS: dict[Ground, float] = {"dark": 0.80, "light": 0.66}
_FULL_CHROMA = 0.165
_HUE_OF_RIGHT = np.deg2rad(25.0)
# Below 1 makes slow motion visible without amplifying coding noise too much; the wheel uses the same curve.
_STRENGTH_EXPONENT = 0.75
_VEIL_STRENGTH = 0.6
LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the brightness of a pixel (BT.601)."""


def motion_scale(vectors: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_] | None = None) -> float:
    """The magnitude that `colour_motion` shows at full strength: the 99th percentile of the valid cells.

    At least 1 px, so that the coding noise of a still clip stays dark.

    Args:
        vectors: (T, gh, gw, 2), pixels per step.
    """
    magnitude = np.hypot(vectors[..., 0], vectors[..., 1])
    if valid is not None:
        magnitude = magnitude[valid]
    return max(1.0, float(np.percentile(magnitude, 99))) if magnitude.size else 1.0


def colour_motion(
    vectors: npt.NDArray[np.floating],
    *,
    extent: tuple[int, int],
    size: tuple[int, int] | None = None,
    cell: int = 8,
    valid: npt.NDArray[np.bool_] | None = None,
    full_scale: float | None = None,
    ground: Ground = "dark",
) -> RgbFrames:
    """Motion as colour: hue is direction (right coral, down yellow-green, left cyan, up violet), strength is speed.

    Args:
        vectors: float (T, gh, gw, 2), (dx, dy) in pixels of the coded frame per sampling step, one per square of `cell` px.
        extent: (height, width) in the same pixels of the region that the cells cover; the last row and column may extend over it.
        size: (H, W) of the result, default `extent`.
        valid: bool (T, gh, gw); cells without a vector are hatched, to differ from cells without motion.
        full_scale: the magnitude at full strength, default `motion_scale`; give one value for clips to be compared.

    Returns:
        uint8 (T, H, W, 3).

    Raises:
        ValueError: the cells do not cover `extent`.
    """
    _, gh, gw, _ = vectors.shape
    if gh * cell < extent[0] or gw * cell < extent[1]:
        raise ValueError(
            f"{gh} x {gw} cells of {cell} px do not cover {extent[0]} x {extent[1]} px; "
            "give the field's own extent and cell"
        )
    height, width = size or extent
    rows = _cell_of_pixel(height, extent[0], cell, gh)
    columns = _cell_of_pixel(width, extent[1], cell, gw)
    scale = motion_scale(vectors, valid) if full_scale is None else full_scale
    coloured = direction_colour(vectors[..., 0] / scale, vectors[..., 1] / scale, ground)
    shown = coloured[:, rows][:, :, columns]
    if valid is not None:
        missing = ~valid[:, rows][:, :, columns]
        shown[missing] = np.broadcast_to(_hatch(height, width, ground), shown.shape)[missing]
    return shown


def colour_wheel(side: int = 96, *, ground: Ground = "dark") -> npt.NDArray[np.uint8]:
    """The legend of `colour_motion`: RGBA uint8 (side, side, 4), a disc whose rim is full strength."""
    along = (np.arange(side) + 0.5) / side * 2 - 1
    dx, dy = np.meshgrid(along, along)
    colour = direction_colour(dx, dy, ground)
    # One pixel of soft rim instead of a jagged one.
    cover = np.clip((1 - np.hypot(dx, dy)) * side / 2, 0, 1)
    return np.concatenate([colour, np.round(cover * 255).astype(np.uint8)[..., None]], axis=-1)


def spread_tokens(masked: npt.NDArray[np.bool_], *, frames: int, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """A token mask pixel by pixel: bool (t, h, w) to bool (frames, H, W).

    Raises:
        ValueError: `frames` is not a multiple of t.
    """
    steps, h, w = masked.shape
    if steps == 0 or frames % steps:
        raise ValueError(
            f"{frames} frames do not divide into the mask's {steps} steps; give the clip that the mask was drawn for"
        )
    rows, columns = np.arange(size[0]) * h // size[0], np.arange(size[1]) * w // size[1]
    return np.repeat(masked[:, rows][:, :, columns], frames // steps, axis=0)


def paint_mask(
    frames: RgbFrames,
    masked: npt.NDArray[np.bool_],
    *,
    boxes: Sequence[npt.NDArray[np.floating]] | None = None,
    thickness: int | None = None,
) -> RgbFrames:
    """`frames` with the masked tokens veiled and outlined: both content and mask are visible (as in Figures 4 and 5b).

    Pixels of visible tokens stay as they are; the outline is inside the masked region and is open at the border of the frame.

    Args:
        frames: uint8 (T, H, W, 3).
        masked: bool (t, h, w), True = hidden from the encoder; T is a multiple of t.
        boxes: T arrays (n, 4) of true boxes, x0 y0 x1 y1 in pixels of `frames`, drawn on top.
        thickness: of the lines in pixels; default an eightieth of the shorter side; 0: none.

    Returns:
        uint8 (T, H, W, 3).

    Raises:
        ValueError: the lengths do not fit.
    """
    height, width = frames.shape[1:3]
    line = max(1, round(min(height, width) / 80)) if thickness is None else thickness
    hidden = spread_tokens(masked, frames=len(frames), size=(height, width))
    # Grey first: the veil then has one hue for any content, and colour itself marks visible tokens.
    grey = frames @ LUMA
    veiled = (1 - _VEIL_STRENGTH) * grey[..., None] + _VEIL_STRENGTH * np.array(VEIL)
    painted = np.where(hidden[..., None], veiled, frames).round().astype(np.uint8)
    if line:
        painted[hidden & ~_shrink(hidden, line)] = EDGE
    if boxes is not None:
        _same_length(frames, "boxes", len(boxes))
        for frame, here in zip(painted, boxes, strict=True):
            for box in here:
                _outline(frame, box, line)
    return painted


def paint_visibility(seen: npt.NDArray[np.floating], *, white: float) -> npt.NDArray[np.uint8]:
    """A map (h, w) of the visibility of each place, 0 to 1, as a small picture uint8 (h, w, 3): the colour of the veil for 0,
    white for the share `white` and above, and evenly lighter in between."""
    share = np.minimum(seen / white, 1)[..., None]
    painted: npt.NDArray[np.uint8] = ((1 - share) * np.array(VEIL) + share * 255).round().astype(np.uint8)
    return painted


def hide_masked(frames: RgbFrames, masked: npt.NDArray[np.bool_]) -> RgbFrames:
    """The encoder's input: `frames` uint8 (T, H, W, 3) with the masked tokens, bool (t, h, w), in flat grey."""
    seen = frames.copy()
    seen[spread_tokens(masked, frames=len(frames), size=frames.shape[1:3])] = HIDDEN
    return seen


def paint_attention(frames: RgbFrames, weights: npt.NDArray[np.floating]) -> RgbFrames:
    """`frames` in dark grey, brighter and warmer where attention is paid: lightness grows with it for every reader.

    Args:
        frames: uint8 (T, H, W, 3).
        weights: (t, h, w), at least 0; T is a multiple of t. Full colour is their 99th percentile.

    Returns:
        uint8 (T, H, W, 3).
    """
    top = float(np.percentile(weights, 99)) or float(weights.max()) or 1.0
    strength = np.minimum(weights / top, 1.0)
    steps, h, w = weights.shape
    height, width = frames.shape[1:3]
    if steps == 0 or len(frames) % steps:
        raise ValueError(f"{len(frames)} frames do not divide into {steps} steps; give the clip of the attention")
    rows, columns = _between(height, h), _between(width, w)
    smooth = np.einsum("yi,tij,xj->tyx", rows, strength, columns)
    heat = np.repeat(smooth, len(frames) // steps, axis=0)[..., None]
    grey = (frames @ LUMA)[..., None] * np.ones(3)
    painted: RgbFrames = (grey * (0.45 - 0.25 * heat) + np.array(HOT) * 0.8 * heat).round().astype(np.uint8)
    return painted


def _between(pixels: int, tokens: int) -> npt.NDArray[np.float64]:
    """Weights (pixels, tokens) of linear interpolation between the centres of tokens."""
    place = np.clip((np.arange(pixels) + 0.5) * tokens / pixels - 0.5, 0, tokens - 1)
    distance = np.abs(place[:, None] - np.arange(tokens))
    near: npt.NDArray[np.float64] = np.maximum(1 - distance, 0.0)
    return near


def reconstruction(
    frames: RgbFrames, predicted: RgbFrames, masked: npt.NDArray[np.bool_]
) -> list[tuple[str, RgbFrames]]:
    """The labelled rows of a reconstruction: original, the encoder's input, and the prediction among the visible tokens.

    Args:
        frames, predicted: uint8 (T, H, W, 3), the prediction already back in pixels; only its masked tokens are shown, since
            visible tokens have no loss and their prediction is meaningless.
        masked: bool (t, h, w), True = predicted.

    Raises:
        ValueError: the shapes differ.
    """
    if frames.shape != predicted.shape:
        raise ValueError(
            f"the prediction has shape {predicted.shape}, the frames {frames.shape}; give both in pixels of one clip"
        )
    hidden = spread_tokens(masked, frames=len(frames), size=frames.shape[1:3])
    filled = np.where(hidden[..., None], predicted, frames)
    return [("original", frames), ("encoder sees", hide_masked(frames, masked)), ("reconstructed", filled)]


_TO_LMS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_TO_LINEAR_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def _lch_to_rgb(
    lightness: npt.NDArray[np.floating], chroma: npt.NDArray[np.floating], hue: npt.NDArray[np.floating]
) -> npt.NDArray[np.uint8]:
    """Oklab in cylindrical coordinates to sRGB (Ottosson, 2020): colours of even brightness. In HSV a yellow is far brighter than a
    blue, so one direction of motion would look faster than another.

    Arrays of one shape (...) to uint8 (..., 3). lightness 0 to 1, chroma from 0 (grey) to about .3, hue in radians.

    Colours outside sRGB are clipped channel by channel.
    """
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    linear = np.clip((lab @ _TO_LMS.T) ** 3 @ _TO_LINEAR_RGB.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    rgb: npt.NDArray[np.uint8] = np.round(encoded * 255).astype(np.uint8)
    return rgb


def _cell_of_pixel(pixels: int, extent: int, cell: int, cells: int) -> npt.NDArray[np.intp]:
    centres = (np.arange(pixels) + 0.5) * extent / pixels
    return np.minimum((centres / cell).astype(np.intp), cells - 1)


def direction_colour(
    dx: npt.NDArray[np.floating], dy: npt.NDArray[np.floating], ground: Ground
) -> npt.NDArray[np.uint8]:
    """The colour of motion, 1 = full strength, as in `colour_motion`: uint8 (..., 3)."""
    strength = np.minimum(np.hypot(dx, dy), 1.0) ** _STRENGTH_EXPONENT
    low, high = _GROUND_LIGHTNESS[ground], _FULL_LIGHTNESS[ground]
    return _lch_to_rgb(low + (high - low) * strength, _FULL_CHROMA * strength, np.arctan2(dy, dx) + _HUE_OF_RIGHT)


def _hatch(height: int, width: int, ground: Ground) -> npt.NDArray[np.uint8]:
    period = max(8, min(height, width) // 14)  # wide enough to survive being shrunk for a strip
    y, x = np.mgrid[:height, :width]
    lightness = _GROUND_LIGHTNESS[ground] + np.where(
        (x + y) % period < period / 4, 0.14 if ground == "dark" else -0.14, 0.0
    )
    return _lch_to_rgb(lightness, np.zeros_like(lightness), np.zeros_like(lightness))


def _shrink(region: npt.NDArray[np.bool_], by: int) -> npt.NDArray[np.bool_]:
    """The region without a rim of `by` pixels: a square erosion, axis by axis. The frame's border does not count as a rim."""
    _, height, width = region.shape
    tall = np.pad(region, ((0, 0), (by, by), (0, 0)), mode="edge")
    inner = np.logical_and.reduce([tall[:, k : k + height] for k in range(2 * by + 1)])
    wide = np.pad(inner, ((0, 0), (0, 0), (by, by)), mode="edge")
    core: npt.NDArray[np.bool_] = np.logical_and.reduce([wide[:, :, k : k + width] for k in range(2 * by + 1)])
    return core


def _outline(frame: npt.NDArray[np.uint8], box: npt.NDArray[np.floating], line: int) -> None:
    height, width = frame.shape[:2]
    x0, x1 = (int(v) for v in np.clip(np.round(box[[0, 2]]), 0, width))
    y0, y1 = (int(v) for v in np.clip(np.round(box[[1, 3]]), 0, height))
    if x1 <= x0 or y1 <= y0:
        return
    inner = frame[y0 + line : y1 - line, x0 + line : x1 - line].copy()
    frame[y0:y1, x0:x1] = BOX
    if inner.size:
        frame[y0 + line : y1 - line, x0 + line : x1 - line] = inner


def _same_length(frames: RgbFrames, name: str, length: int) -> None:
    if len(frames) != length:
        raise ValueError(f"{name} of {length} frames given for a clip of {len(frames)}; both must have the same length")
