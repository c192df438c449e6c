"""The inner loops of motion by numpy, for the first clips of an installation: bit for bit what the compiled loops give.

To compile them takes seconds, which pays from about a thousand frames on; see `mgm.compiled`. `velocity` and `field` explain them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

REACH = 3
"""Radius of the smoothing filter in cells."""
SAME_DIRECTION = np.float32(0.82)  # squared cosine of 25 degrees
LONGER = np.float32(1.5**2)


def gather(vectors: Any, past: Any, future: Any, total: Any) -> None:
    """Add the velocities of a frame's vectors to its sums."""
    rows, columns = total.shape[1:]
    wide, high = vectors["w"].astype(np.int64), vectors["h"].astype(np.int64)
    later, scale = vectors["source"] >= 0, vectors["motion_scale"].astype(np.float32)
    share = (np.minimum(wide, 8) * np.minimum(high, 8)).astype(np.float32) / np.float32(64)
    factor = np.where(later, share / (scale * future), -share / (scale * past))
    x0 = (vectors["dst_x"].astype(np.int64) - (wide >> 1)) >> 3
    y0 = (vectors["dst_y"].astype(np.int64) - (high >> 1)) >> 3
    x1, y1 = np.minimum(x0 + np.maximum(wide >> 3, 1), columns), np.minimum(y0 + np.maximum(high >> 3, 1), rows)
    x0, y0 = np.maximum(x0, 0), np.maximum(y0, 0)
    across = np.maximum(x1 - x0, 0)
    cells = across * np.maximum(y1 - y0, 0)
    # An entry for each cell of a vector, in the order of the vectors, on which the rounding of a sum depends.
    owner = np.repeat(np.arange(len(vectors)), cells)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(cells) - cells, cells)
    place = (y0[owner] + number // across[owner]) * columns + x0[owner] + number % across[owner]
    values = (vectors["motion_x"].astype(np.float32) * factor, vectors["motion_y"].astype(np.float32) * factor, share)
    lists = np.zeros((2, 3, rows * columns), np.float32)
    for side in (0, 1):
        own = later[owner] == bool(side)
        for plane, value in enumerate(values):
            np.add.at(lists[side, plane], place[own], value[owner[own]])
    first, second = lists.reshape(2, 3, rows, columns)
    if later.any():
        _join(second, first, drop_zeros=True)
    _join(first, total, drop_zeros=False)


def _join(new: Any, total: Any, *, drop_zeros: bool) -> None:
    """Add sums to sums, without the estimates that are wrong."""
    (ax, ay, n), (bx, by, m) = new, total
    a, b = ax * ax + ay * ay, bx * bx + by * by
    both = (n != 0) & (m != 0) & ~((a == 0) & (b == 0))
    one_still = both & ((a == 0) | (b == 0))
    along = ax * bx + ay * by
    same = both & ~one_still & (along > 0) & (along * along > SAME_DIRECTION * a * b)
    # Compares the squared means a / n^2 and b / m^2 without a division.
    drop_new = (same & (a * m * m > LONGER * b * n * n)) | (one_still & (a == 0) & drop_zeros)
    drop_old = (same & (b * n * n > LONGER * a * m * m)) | (one_still & (b == 0) & drop_zeros)
    total[:, drop_old & ~drop_new] = 0
    added = (n != 0) & ~drop_new
    total[:, added] += new[:, added]


def smooth(velocity: Any, interval: Any, field: Any, measured: Any) -> None:
    """The displacement over `interval`, averaged over neighbouring cells."""
    _, rows, columns = velocity.shape
    line = np.zeros((3, rows, columns + 2 * REACH), np.float32)
    line[..., REACH:-REACH] = velocity
    across = np.zeros((3, rows + 2 * REACH, columns), np.float32)
    across[:, REACH:-REACH] = _weighted([line[..., k : k + columns] for k in range(7)])
    sums = _weighted([across[:, k : k + rows] for k in range(7)])
    unit = interval / np.maximum(sums[2], np.float32(1e-30))
    field[..., 0], field[..., 1] = sums[0] * unit, sums[1] * unit
    measured[...] = velocity[2] > 0


def _weighted(parts: list[Any]) -> Any:
    """Seven neighbours with binomial weights, in the order of the compiled sum."""
    a, b, c, d, e, f, g = parts
    far, mid, near = np.float32(6), np.float32(15), np.float32(20)
    return near * d + mid * (c + e) + far * (b + f) + (a + g)


def support(measured: Any, known: Any) -> None:
    """The cells with a measured one up to `REACH` away."""
    _, rows, columns = measured.shape
    padded = np.pad(measured, ((0, 0), (REACH, REACH), (REACH, REACH)))
    down = np.logical_or.reduce([padded[:, k : k + rows] for k in range(2 * REACH + 1)])
    known[...] = np.logical_or.reduce([down[..., k : k + columns] for k in range(2 * REACH + 1)])


def fill(fields: Any, known: Any) -> None:
    """Forward fill of unknown cells, in place."""
    number = np.arange(len(known))[:, None, None]
    last = np.maximum.accumulate(np.where(known, number, -1), axis=0)
    source = np.where(last < 0, known.argmax(axis=0), last)
    filled = np.take_along_axis(fields, source[..., None], axis=0)
    filled[:, ~known.any(axis=0)] = 0
    fields[...] = filled


def add_windows(fields: Any, measured: Any, ends: Any, strides: Any, vectors: Any, valid: Any) -> None:
    """The sums of the frames of each window."""
    for t, (end, stride) in enumerate(zip(ends.tolist(), strides.tolist(), strict=True)):
        for i in range(end, end - stride, -1):
            vectors[t] += fields[max(i, 0)]
            if i >= 0:
                valid[t] |= measured[i]
