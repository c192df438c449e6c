"""Estimate per-cell velocity from all motion vectors that span a frame.

accumulate_vectors   vectors -> sum and count of velocities per cell, without those that are wrong
smooth               sums -> displacement, averaged over neighbouring cells
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mgm.compiled import compiled, compiled_at_once
from mgm.video.container.stream import EXPORTS_B_VECTORS
from mgm.video.motion import numpy_kernels
from mgm.video.motion.accumulation import compile_accumulation
from mgm.video.motion.field import VectorField, compile_field_kernels
from mgm.video.motion.numpy_kernels import LONGER, REACH, SAME_DIRECTION
from mgm.video.motion.reference_distance import Distance
from mgm.video.motion.vectors import NO_VECTORS, VECTOR_DTYPE

VelocitySum = npt.NDArray[np.float32]
"""(3, rows, columns): the sums of the velocities dx and dy (pixels of the coded frame per unit of time, forward in time), and their
number, in which parts of a cell count by area. A cell with number 0 is not measured."""


def accumulate_vectors(
    vectors: npt.NDArray[np.void],
    grid: tuple[int, int],
    *,
    past: float,
    future: float,
    enclosing: VelocitySum | None = None,
) -> VelocitySum:
    """Sum the velocities of one frame's vectors, and of a later frame whose own vectors span this one.

    Each vector, divided by the time that it spans, is one estimate of the velocity. Two rules discard wrong estimates, first
    between the lists of a frame, then between a frame and the enclosing one:

    * Zeros: a split B-macroblock exports both lists even for parts that use one. If one list is exactly (0, 0) and the other is
      not, the zero is discarded.
    * Length: a block with a farther reference than the nearest yields an estimate that is too long by a factor of two or more,
      and never too short. If two estimates point the same way and one is at least half as long again, the longer is discarded.

    Args:
        vectors: array of `VECTOR_DTYPE`. Blocks that extend over the frame's border are clipped.
        grid: (rows, columns) of 8-px cells.
        past, future: the time that a vector of list 0 and of list 1 spans: the distances to the references.
        enclosing: sum of the next later reference picture; returned itself if there are no vectors.
    """
    if not len(vectors):
        return np.zeros((3, *grid), np.float32) if enclosing is None else enclosing
    total = np.zeros((3, *grid), np.float32) if enclosing is None else enclosing.copy()
    _gather(vectors, np.float32(past), np.float32(future), total)
    return total


def accumulate_frame(
    vectors: npt.NDArray[np.void],
    grid: tuple[int, int],
    *,
    codec: str,
    picture_type: str,
    distance: Distance,
    interval: float,
    enclosing: VelocitySum | None,
) -> VelocitySum:
    """`accumulate_vectors` of one decoded frame, by the rules of its codec.

    Args:
        vectors: array of `VECTOR_DTYPE`.
        grid: (rows, columns) of 8-px cells.
        codec: FFmpeg's name of the codec. The decoders of the MPEG-4 family export exact zeros for B-frames: these are ignored.
        picture_type: "I", "P" or "B".
        distance: to the references, in the unit of `interval`.
        interval: since the previous frame: the time that a vector with unknown reference is assumed to span.
        enclosing: sum of the later reference picture in `distance`, if there is one.
    """
    if picture_type == "B" and codec not in EXPORTS_B_VECTORS:
        vectors = NO_VECTORS
    before, after = distance
    return accumulate_vectors(vectors, grid, past=before or interval, future=after or interval, enclosing=enclosing)


def smooth(velocity: VelocitySum, interval: float, out: VectorField | None = None) -> VectorField:
    """The displacement over `interval` (in the unit of time of `velocity`), averaged over neighbouring cells.

    An encoder chooses the vector that is cheapest to write, and on plain surfaces nearly any is cheap. The errors of neighbouring
    cells are largely independent, their motion is not: the sums of the cells up to `REACH` away are added with binomial weights.
    Cells with more vectors therefore weigh more, and a gap between measured cells is filled from them.

    Args:
        out: receives the result instead of new arrays.

    Returns:
        (rows, columns); zero where neither the cell nor one up to `REACH` away is measured. Valid where the cell itself is.
    """
    field = VectorField.empty(velocity.shape[1:]) if out is None else out
    _smooth(velocity, np.float32(interval), field.vectors, field.valid)
    return field


def smoothed_support(measured: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The cells for which `smooth` has a value: measured, or up to `REACH` away from a measured one; bool (n, rows, columns)."""
    if measured.all():
        return measured
    known = np.zeros(measured.shape, np.bool_)
    _support(np.ascontiguousarray(measured).view(np.uint8), known.view(np.uint8))
    return known


def _gather_kernel(vectors: Any, past: Any, future: Any, total: Any) -> None:
    rows, columns = total.shape[1:]
    lists = np.zeros((2, 3, rows, columns), np.float32)
    second = False
    for k in range(vectors.shape[0]):
        v = vectors[k]
        share = np.float32(min(v.w, 8) * min(v.h, 8)) / np.float32(64)
        # A list-0 vector points back to where the block was, a list-1 vector forward to where it will be.
        if v.source < 0:
            side, factor = 0, -share / (np.float32(v.motion_scale) * past)
        else:
            side, factor, second = 1, share / (np.float32(v.motion_scale) * future), True
        dx = np.float32(v.motion_x) * factor
        dy = np.float32(v.motion_y) * factor
        x0 = (v.dst_x - (v.w >> 1)) >> 3
        y0 = (v.dst_y - (v.h >> 1)) >> 3
        x1 = min(x0 + max(v.w >> 3, 1), columns)
        y1 = min(y0 + max(v.h >> 3, 1), rows)
        for y in range(max(y0, 0), y1):
            for x in range(max(x0, 0), x1):
                lists[side, 0, y, x] += dx
                lists[side, 1, y, x] += dy
                lists[side, 2, y, x] += share
    if second:
        _join(lists[1], lists[0], True)
    _join(lists[0], total, False)


def _join_kernel(new: Any, total: Any, drop_zeros: Any) -> None:
    """Add sums to sums, without the estimates that are wrong."""
    for y in range(total.shape[1]):
        for x in range(total.shape[2]):
            n, m = new[2, y, x], total[2, y, x]
            if n == 0:
                continue
            ax, ay, bx, by = new[0, y, x], new[1, y, x], total[0, y, x], total[1, y, x]
            a, b = ax * ax + ay * ay, bx * bx + by * by
            drop_new = drop_old = False
            if m == 0 or (a == 0 and b == 0):
                pass
            elif a == 0 or b == 0:
                drop_new, drop_old = drop_zeros and a == 0, drop_zeros and b == 0
            else:
                along = ax * bx + ay * by
                if along > 0 and along * along > SAME_DIRECTION * a * b:
                    # Compares the squared means a / n^2 and b / m^2 without a division.
                    drop_new = a * m * m > LONGER * b * n * n
                    drop_old = b * n * n > LONGER * a * m * m
            if drop_new:
                continue
            if drop_old:
                total[0, y, x] = total[1, y, x] = total[2, y, x] = np.float32(0)
            total[0, y, x] += ax
            total[1, y, x] += ay
            total[2, y, x] += n


def _smooth_kernel(velocity: Any, interval: Any, field: Any, measured: Any) -> None:
    # The compiler vectorises these inner loops. The weights need not add up to one.
    rows, columns = measured.shape
    far, mid, near = np.float32(6), np.float32(15), np.float32(20)
    line = np.zeros(columns + 2 * REACH, np.float32)
    across = np.zeros((3, rows + 2 * REACH, columns), np.float32)
    for p in range(3):
        for y in range(rows):
            row, out = velocity[p, y], across[p, y + REACH]
            for x in range(columns):
                line[x + REACH] = row[x]
            for x in range(columns):
                inner = near * line[x + 3] + mid * (line[x + 2] + line[x + 4])
                out[x] = inner + far * (line[x + 1] + line[x + 5]) + (line[x] + line[x + 6])
    sums = np.zeros((3, columns), np.float32)
    for y in range(rows):
        for p in range(3):
            block = across[p, y : y + 7]
            a, b, c, d, e, f, g = block[0], block[1], block[2], block[3], block[4], block[5], block[6]
            out = sums[p]
            for x in range(columns):
                out[x] = near * d[x] + mid * (c[x] + e[x]) + far * (b[x] + f[x]) + (a[x] + g[x])
        count, here, seen = velocity[2, y], field[y], measured[y]
        for x in range(columns):
            unit = interval / max(sums[2, x], np.float32(1e-30))  # without any measurement the sums are zero
            here[x, 0] = sums[0, x] * unit
            here[x, 1] = sums[1, x] * unit
            seen[x] = count[x] > 0


def _support_kernel(measured: Any, known: Any) -> None:
    # Along the rows, then along the columns, in bytes: the compiler vectorises these inner loops.
    count, rows, columns = measured.shape
    line = np.zeros(columns + 2 * REACH, np.uint8)
    across = np.zeros((rows + 2 * REACH, columns), np.uint8)
    for i in range(count):
        for y in range(rows):
            row, out = measured[i, y], across[y + REACH]
            for x in range(columns):
                line[x + REACH] = row[x]
            for x in range(columns):
                out[x] = line[x] | line[x + 1] | line[x + 2] | line[x + 3] | line[x + 4] | line[x + 5] | line[x + 6]
        for y in range(rows):
            block, out = across[y : y + 7], known[i, y]
            a, b, c, d, e, f, g = block[0], block[1], block[2], block[3], block[4], block[5], block[6]
            for x in range(columns):
                out[x] = a[x] | b[x] | c[x] | d[x] | e[x] | f[x] | g[x]


_join: Any = compiled()(_join_kernel)
_gather: Any = compiled(twin=numpy_kernels.gather)(_gather_kernel)
_smooth: Any = compiled(twin=numpy_kernels.smooth)(_smooth_kernel)
_support: Any = compiled(twin=numpy_kernels.support)(_support_kernel)


def compile_motion_kernels() -> None:
    """Compile all kernels of motion ahead of the first clip, as `make setup` does: it takes seconds, once per installation."""
    vectors = np.zeros(1, VECTOR_DTYPE)
    vectors["motion_scale"] = 1
    with compiled_at_once():
        field = smooth(accumulate_vectors(vectors, (1, 1), past=1.0, future=1.0), 1.0)
        smoothed_support(np.zeros_like(field.valid)[None])
        compile_field_kernels()
        compile_accumulation()
