"""Estimate the motion of the camera from a field and subtract it: motion relative to the background remains."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.video.motion.field import CELL_PIXELS, MotionField
from mgm.video.motion.names import CameraModel

_LEAST_CELLS = 8
"""Minimum of valid cells for an affine fit: three suffice without noise, but a robust fit must outvote some."""

_TUKEY = 4.685
"""Tukey's constant in standard deviations: 95% efficiency under Gaussian noise (Holland and Welsch 1977)."""

_REWEIGHTINGS = 4

_LEAST_SCALE = 0.25
"""Pixels: the step of H.264's vectors. A residual below it does not lower a cell's weight, however exact the others are."""

_SLOPE_PRIOR = 0.1
"""Weight, in cells, of a prior for a pure translation: cells in one corner or on one line do not determine a slope."""

_Floats = npt.NDArray[np.float32]


def remove_camera(field: MotionField, how: CameraModel) -> MotionField:
    """The field minus the motion of the camera, frame by frame; `valid` is unchanged. See `camera_motion`.

    Raises:
        VideoError: unknown `how`, or a field without directions (source "difference").
    """
    motion = camera_motion(field, how)
    return field if how == "none" else replace(field, vectors=field.vectors - motion)


def camera_motion(field: MotionField, how: CameraModel) -> _Floats:
    """The motion that `remove_camera` subtracts: float32 (T, gh, gw, 2), in pixels of the coded frame like the field.

    Args:
        how: "none": zero. "median": per frame the median displacement of its valid cells (of all cells if none is valid), the
            same for every cell: a pan. "affine": dx and dy each as a + b x + c y of the cell's centre, by iteratively
            reweighted least squares over the valid cells: pan, zoom, roll. Frames with fewer than 8 valid cells take the median.

    Raises:
        VideoError: unknown `how`, or a field without directions (source "difference").
    """
    if how not in get_args(CameraModel):
        known = ", ".join(get_args(CameraModel))
        raise VideoError("camera", f"found {how!r}", f"one of {known}", reason="unknown_name")
    vectors = field.vectors
    if how == "none":
        return np.zeros_like(vectors)
    if field.source == "difference":
        raise no_direction("camera", how)
    frames, rows, columns, _ = vectors.shape
    values = np.ascontiguousarray(vectors.reshape(frames, rows * columns, 2).swapaxes(1, 2))
    valid = field.valid.reshape(frames, rows * columns)
    used = np.where(valid.any(axis=1, keepdims=True), valid, True)
    enough = valid.sum(axis=1) >= _LEAST_CELLS
    if how == "median" or not enough.any():
        motion = np.broadcast_to(_median(values, used[:, None, :])[..., None], values.shape)
    else:
        motion = np.empty_like(values)
        motion[~enough] = _median(values[~enough], used[~enough, None, :])[..., None]
        motion[enough] = _affine(values[enough], used[enough], _centres(rows, columns, field.extent), (rows, columns))
    return np.ascontiguousarray(motion.swapaxes(1, 2)).reshape(vectors.shape)


def no_direction(subject: str, how: CameraModel) -> VideoError:
    """The error of a camera model for motion "difference"."""
    return VideoError(
        subject,
        f"found camera {how!r} with motion 'difference', which has no direction",
        advice="use camera='none', or motion 'codec' or 'flow'",
        reason="conflict",
    )


def _median(values: _Floats, used: npt.NDArray[np.bool_]) -> _Floats:
    """The median over the elements of the last axis that are `used` (at least one in every row)."""
    ordered = np.sort(np.where(used, values, np.float32(np.inf)), axis=-1)
    count = np.broadcast_to(used.sum(axis=-1, keepdims=True), (*values.shape[:-1], 1))
    middle = np.concatenate([(count - 1) // 2, count // 2], axis=-1)
    median: _Floats = np.take_along_axis(ordered, middle, axis=-1).mean(axis=-1, dtype=np.float32)
    return median


def _centres(rows: int, columns: int, extent: tuple[int, int]) -> _Floats:
    """float32 (3, cells): 1, x and y of the centre of each cell's pixels, relative to the frame's centre, in half diagonals."""
    height, width = extent
    x, y = (
        (np.arange(cells) * CELL_PIXELS + np.minimum(np.arange(1, cells + 1) * CELL_PIXELS, length)) / 2 - length / 2
        for cells, length in ((columns, width), (rows, height))
    )
    unit = np.hypot(height, width) / 2
    yy, xx = np.meshgrid(y / unit, x / unit, indexing="ij")
    return np.stack([np.ones(rows * columns), xx.ravel(), yy.ravel()]).astype(np.float32)


def _affine(values: _Floats, used: npt.NDArray[np.bool_], centres: _Floats, grid: tuple[int, int]) -> _Floats:
    """float32 (T, 2, cells), the robust affine fit to `values` (T, 2, cells) over the cells that are `used` (T, cells)."""
    products = (centres[:, None, :] * centres[None, :, :]).reshape(9, -1).T
    prior = np.diag([0.0, _SLOPE_PRIOR, _SLOPE_PRIOR])
    fitted = _first_fit(values, used, centres, grid)
    for _ in range(_REWEIGHTINGS):
        weights = _weights(np.square(values - fitted).sum(axis=1), used)
        normal = (weights @ products).reshape(-1, 3, 3).astype(np.float64) + prior
        right = (values * weights[:, None, :]) @ centres.T
        slopes = np.linalg.solve(normal, right.swapaxes(1, 2).astype(np.float64))
        fitted = slopes.swapaxes(1, 2).astype(np.float32) @ centres
    return fitted


def _first_fit(values: _Floats, used: npt.NDArray[np.bool_], centres: _Floats, grid: tuple[int, int]) -> _Floats:
    """Fit by medians of the slopes between distant cells: least squares would tilt towards a large object at the border."""
    fields, measured = values.reshape(-1, 2, *grid), used.reshape(-1, 1, *grid)
    coordinates = centres.reshape(3, *grid)
    fitted = np.zeros_like(values)
    for axis, coordinate in ((3, coordinates[1]), (2, coordinates[2])):
        cells = grid[axis - 2]
        step = min(max(cells // 8, 2), cells - 1)
        if step == 0:
            continue
        # Every other line of cells suffices: a macroblock covers two.
        near = tuple(slice(None, cells - step) if a == axis else slice(None, None, 2) for a in (2, 3))
        far = tuple(slice(step, None) if a == axis else slice(None, None, 2) for a in (2, 3))
        slopes = (fields[:, :, *far] - fields[:, :, *near]) / (coordinate[far] - coordinate[near])
        pairs = measured[:, :, *far] & measured[:, :, *near]
        some: npt.NDArray[np.bool_] = np.logical_or.reduce(pairs, axis=(2, 3), keepdims=True)
        slope = _median(slopes.reshape(len(slopes), 2, -1), (pairs | ~some).reshape(len(slopes), 1, -1))
        fitted += np.where(some[..., 0], slope[..., None], np.float32(0)) * coordinate.ravel()
    return fitted + _median(values - fitted, used[:, None, :])[..., None]


def _weights(squared: _Floats, used: npt.NDArray[np.bool_]) -> _Floats:
    """Tukey's biweight, 0..1, of each cell's squared distance from the fit, float32 (T, cells); 0 for cells not `used`."""
    # The median length of a two-dimensional Gaussian residual is 1.1774 standard deviations.
    variance = np.maximum(_median(squared, used)[:, None] / np.float32(1.1774**2), np.float32(_LEAST_SCALE**2))
    weights: _Floats = np.square(np.maximum(1 - squared / (np.float32(_TUKEY**2) * variance), np.float32(0))) * used
    return weights
