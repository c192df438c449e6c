"""The camera's own motion in a field, and the field without it: what moves against the background is what is left."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.video.motion.field import CELL_PIXELS, MotionField

Camera = Literal["none", "median", "affine"]

LEAST_CELLS = 8
"""Valid cells that an affine fit needs: three would do without noise, but a robust fit must outvote some."""

TUKEY = 4.685
"""Tukey's constant in standard deviations: 95% efficiency under Gaussian noise (Holland and Welsch 1977)."""

ROUNDS = 4

LEAST_SCALE = 0.25
"""Pixels; the step of H.264's vectors. A residual below it is no reason to doubt a cell, however exact the others are."""

SLOPE_PULL = 0.1
"""Cells' worth of a pull towards a pure translation: no slope is drawn from cells that huddle in a corner or lie on a line."""

Floats = npt.NDArray[np.float32]


def remove_camera(field: MotionField, how: Camera) -> MotionField:
    """The field less the motion of the camera, frame by frame; `valid` stays. See `camera_motion`.

    Raises:
        VideoError: unknown `how`, or a field without directions (source "difference").
    """
    motion = camera_motion(field, how)
    return field if how == "none" else replace(field, vectors=field.vectors - motion)


def camera_motion(field: MotionField, how: Camera) -> Floats:
    """What `remove_camera` subtracts: float32 (T, gh, gw, 2), in pixels of the coded frame like the field.

    Args:
        how: "none": zero. "median": per frame the median displacement of its valid cells (of all where none is valid), the
            same for every cell: a pan. "affine": dx and dy each as a + b x + c y of the cell's centre, by iteratively
            reweighted least squares over the valid cells: pan, zoom, roll. Frames with fewer than 8 valid cells take the median.

    Raises:
        VideoError: unknown `how`, or a field without directions (source "difference").
    """
    if how not in get_args(Camera):
        raise VideoError(f"camera {how!r}: no such model of its motion, expected one of {', '.join(get_args(Camera))}")
    vectors = field.vectors
    if how == "none":
        return np.zeros_like(vectors)
    if field.source == "difference":
        raise VideoError(
            f"camera {how!r}: motion 'difference' has no direction, expected a source that has one; "
            "use camera='none', or motion 'codec' or 'flow'"
        )
    frames, rows, columns, _ = vectors.shape
    values = np.ascontiguousarray(vectors.reshape(frames, rows * columns, 2).swapaxes(1, 2))
    valid = field.valid.reshape(frames, rows * columns)
    used = np.where(valid.any(axis=1, keepdims=True), valid, True)
    enough = valid.sum(axis=1) >= LEAST_CELLS
    if how == "median" or not enough.any():
        motion = np.broadcast_to(_median(values, used[:, None, :])[..., None], values.shape)
    else:
        motion = np.empty_like(values)
        motion[~enough] = _median(values[~enough], used[~enough, None, :])[..., None]
        motion[enough] = _affine(values[enough], used[enough], _centres(rows, columns, field.extent), (rows, columns))
    return np.ascontiguousarray(motion.swapaxes(1, 2)).reshape(vectors.shape)


def _median(values: Floats, used: npt.NDArray[np.bool_]) -> Floats:
    """Over the last axis, where `used` (at least once in every row)."""
    ordered = np.sort(np.where(used, values, np.float32(np.inf)), axis=-1)
    count = np.broadcast_to(used.sum(axis=-1, keepdims=True), (*values.shape[:-1], 1))
    middle = np.concatenate([(count - 1) // 2, count // 2], axis=-1)
    median: Floats = np.take_along_axis(ordered, middle, axis=-1).mean(axis=-1, dtype=np.float32)
    return median


def _centres(rows: int, columns: int, extent: tuple[int, int]) -> Floats:
    """float32 (3, cells): 1, x and y of the centre of what each cell covers, from the frame's centre in half diagonals."""
    height, width = extent
    x, y = (
        (np.arange(cells) * CELL_PIXELS + np.minimum(np.arange(1, cells + 1) * CELL_PIXELS, length)) / 2 - length / 2
        for cells, length in ((columns, width), (rows, height))
    )
    unit = np.hypot(height, width) / 2
    yy, xx = np.meshgrid(y / unit, x / unit, indexing="ij")
    return np.stack([np.ones(rows * columns), xx.ravel(), yy.ravel()]).astype(np.float32)


def _affine(values: Floats, used: npt.NDArray[np.bool_], centres: Floats, grid: tuple[int, int]) -> Floats:
    """float32 (T, 2, cells), the robust affine fit to `values` (T, 2, cells) over the cells that are `used` (T, cells)."""
    products = (centres[:, None, :] * centres[None, :, :]).reshape(9, -1).T
    pull = np.diag([0.0, SLOPE_PULL, SLOPE_PULL])
    fitted = _first_fit(values, used, centres, grid)
    for _ in range(ROUNDS):
        weights = _weights(np.square(values - fitted).sum(axis=1), used)
        normal = (weights @ products).reshape(-1, 3, 3).astype(np.float64) + pull
        right = (values * weights[:, None, :]) @ centres.T
        slopes = np.linalg.solve(normal, right.swapaxes(1, 2).astype(np.float64))
        fitted = slopes.swapaxes(1, 2).astype(np.float32) @ centres
    return fitted


def _first_fit(values: Floats, used: npt.NDArray[np.bool_], centres: Floats, grid: tuple[int, int]) -> Floats:
    """Medians of the slopes between cells some way apart: least squares would tilt towards a large object at the border."""
    fields, measured = values.reshape(-1, 2, *grid), used.reshape(-1, 1, *grid)
    places = centres.reshape(3, *grid)
    fitted = np.zeros_like(values)
    for axis, coordinate in ((3, places[1]), (2, places[2])):
        cells = grid[axis - 2]
        step = min(max(cells // 8, 2), cells - 1)
        if step == 0:
            continue
        # Every other line of cells will do: a macroblock covers two.
        near = tuple(slice(None, cells - step) if a == axis else slice(None, None, 2) for a in (2, 3))
        far = tuple(slice(step, None) if a == axis else slice(None, None, 2) for a in (2, 3))
        slopes = (fields[:, :, *far] - fields[:, :, *near]) / (coordinate[far] - coordinate[near])
        pairs = measured[:, :, *far] & measured[:, :, *near]
        some: npt.NDArray[np.bool_] = np.logical_or.reduce(pairs, axis=(2, 3), keepdims=True)
        slope = _median(slopes.reshape(len(slopes), 2, -1), (pairs | ~some).reshape(len(slopes), 1, -1))
        fitted += np.where(some[..., 0], slope[..., None], np.float32(0)) * coordinate.ravel()
    return fitted + _median(values - fitted, used[:, None, :])[..., None]


def _weights(squared: Floats, used: npt.NDArray[np.bool_]) -> Floats:
    """Tukey's biweight, 0..1 by each cell's squared distance from the fit, float32 (T, cells); 0 where not `used`."""
    # The median length of a two-dimensional Gaussian residual is 1.1774 standard deviations.
    variance = np.maximum(_median(squared, used)[:, None] / np.float32(1.1774**2), np.float32(LEAST_SCALE**2))
    weights: Floats = np.square(np.maximum(1 - squared / (np.float32(TUKEY**2) * variance), np.float32(0))) * used
    return weights
