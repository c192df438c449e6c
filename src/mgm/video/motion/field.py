"""From motion vectors to a motion field: displacement of every 8-px cell, what was measured and what was held."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numba
import numpy as np
import numpy.typing as npt

from mgm.video.motion.vectors import VECTOR_DTYPE
from mgm.video.motion.velocity import compile_kernels as compile_evidence

CELL = 8
"""Side of a cell of the motion field in pixels of the coded frame (the paper's M_t: T x H/8 x W/8)."""

Policy = Literal["window_sum", "sampled", "window_max"]
Reading = Literal["clean", "references", "raw"]
Source = Literal["codec", "flow", "difference", "raft"]


@dataclass(frozen=True, slots=True, eq=False)
class MotionField:
    """The motion of a clip.

    Attributes:
        vectors: float32 (T, gh, gw, 2), displacement (dx, dy) in pixels of the coded frame since the previous sampled frame;
            x to the right, y down. Cell (i, j) covers rows 8i..8i+7 and columns 8j..8j+7 of the region that `frames` show.
        valid: bool (T, gh, gw), False where nothing was measured (intra blocks, I-frames) and a neighbour fills in.
        source: what measured it: "codec" (the stream's vectors), "flow", "difference" (grey levels, no direction) or "raft".
        extent: (height, width) of the region in pixels of the coded frame; the last row and column of cells may hang over it.
    """

    vectors: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    source: Source
    extent: tuple[int, int]

    @property
    def magnitude(self) -> npt.NDArray[np.float32]:
        """float32 (T, gh, gw), length of each displacement in pixels of the coded frame."""
        return np.hypot(self.vectors[..., 0], self.vectors[..., 1])

    def crop(self, box: tuple[int, int, int, int]) -> MotionField:
        """The field of the region `box` = (x, y, width, height) in pixels of this field's region, by nearest neighbour."""
        x, y, width, height = box
        rows = _cell_index(y, height, self.vectors.shape[1])
        columns = _cell_index(x, width, self.vectors.shape[2])
        grid = np.ix_(np.arange(len(self.vectors)), rows, columns)
        return replace(self, vectors=self.vectors[grid], valid=self.valid[grid], extent=(height, width))

    def scaled(self, factor_x: float, factor_y: float, *, flip: bool = False) -> MotionField:
        """The field of frames stretched by the factors, and mirrored left to right if `flip`: vectors come out in pixels of the
        result, dx negated when mirrored. Cells and `extent` keep counting pixels of the coded frame."""
        factors = np.array([-factor_x if flip else factor_x, factor_y], np.float32)
        if not flip:
            return replace(self, vectors=self.vectors * factors)
        mirrored = _mirror(self.extent[1])
        return replace(self, vectors=self.vectors[:, :, mirrored] * factors, valid=self.valid[:, :, mirrored])

    def rotate(self, quarter_turns: int) -> MotionField:
        """The field of the frames turned counter-clockwise by `quarter_turns` x 90 degrees, vectors included."""
        turns = quarter_turns % 4
        if turns == 0:
            return self
        vectors, valid = self.vectors, self.valid
        if turns in (1, 2):  # the left edge comes from the right one
            mirrored = _mirror(self.extent[1])
            vectors, valid = vectors[:, :, mirrored], valid[:, :, mirrored]
        if turns in (2, 3):
            mirrored = _mirror(self.extent[0])
            vectors, valid = vectors[:, mirrored], valid[:, mirrored]
        if turns in (1, 3):
            vectors, valid = vectors.swapaxes(1, 2), valid.swapaxes(1, 2)
        dx, dy = vectors[..., 0], vectors[..., 1]
        turned = [(dx, dy), (dy, -dx), (-dx, -dy), (-dy, dx)][turns]  # y points down: one turn makes right up
        extent = self.extent if turns == 2 else self.extent[::-1]
        return replace(self, vectors=np.stack(turned, axis=-1), valid=np.ascontiguousarray(valid), extent=extent)


def _mirror(length: int) -> npt.NDArray[np.intp]:
    """The source cell of each cell of a mirrored axis of `length` pixels. The last cell may hang over the border, so that reversing
    the order of the cells would shift them by up to 7 pixels."""
    centres = np.minimum(np.arange(0, length, CELL) + CELL // 2, length - 1)
    index: npt.NDArray[np.intp] = (length - 1 - centres) // CELL
    return index


def _cell_index(start: int, length: int, cells: int) -> npt.NDArray[np.intp]:
    """The source cell under the centre of each 8-px cell of the range `start..start+length`."""
    centres = start + np.minimum(np.arange(0, length, CELL) + CELL // 2, length - 1)
    index: npt.NDArray[np.intp] = np.clip(centres // CELL, 0, cells - 1)
    return index


def grid_shape(height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of 8-px cells that cover a frame."""
    return -(-height // CELL), -(-width // CELL)


def literal_field(
    vectors: npt.NDArray[np.void], grid: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """One frame's vectors as a literal implementation reads them: list 0 where it exists, else list 1 negated, nothing divided.

    Args:
        vectors: array of `VECTOR_DTYPE`. Blocks that reach over the frame's border are clipped.
        grid: (rows, columns) of the field.

    Returns:
        (displacement float32 (rows, columns, 2), measured bool (rows, columns)).
    """
    field = np.zeros((*grid, 2), np.float32)
    seen = np.zeros(grid, np.bool_)
    if len(vectors):
        _spread(vectors, field, seen)
    return field, seen


def _spread_kernel(vectors: Any, field: Any, seen: Any) -> None:
    rows, columns = seen.shape
    for k in range(vectors.shape[0]):
        v = vectors[k]
        unit = np.float32(1.0) / np.float32(v.motion_scale)
        # A list-0 vector points back to where the block was, a list-1 vector forward to where it will be.
        factor = -unit if v.source < 0 else unit
        x0 = (v.dst_x - (v.w >> 1)) >> 3
        y0 = (v.dst_y - (v.h >> 1)) >> 3
        x1 = min(x0 + max(v.w >> 3, 1), columns)
        y1 = min(y0 + max(v.h >> 3, 1), rows)
        for y in range(max(y0, 0), y1):
            for x in range(max(x0, 0), x1):
                if not seen[y, x] or v.source < 0:
                    field[y, x, 0] = np.float32(v.motion_x) * factor
                    field[y, x, 1] = np.float32(v.motion_y) * factor
                    seen[y, x] = True


def hold(fields: npt.NDArray[np.float32], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Fill cells of which nothing is known from the nearest earlier frame that knows them, else from the next; zero where none has.

    A frame without vectors is not "no motion": an I-frame in the middle of a throw would otherwise read as stillness.

    Args:
        fields: float32 (n, rows, columns, 2), one field per frame; changed in place, and returned.
        known: bool (n, rows, columns); see `mgm.video.motion.velocity.reached`.
    """
    if not known.all():
        _hold(fields, known)
    return fields


def _hold_kernel(fields: Any, known: Any) -> None:
    count, rows, columns = known.shape
    for y in range(rows):
        for x in range(columns):
            first = 0
            while first < count and not known[first, y, x]:
                first += 1
            for i in range(first):
                fields[i, y, x, 0] = fields[first, y, x, 0] if first < count else np.float32(0)
                fields[i, y, x, 1] = fields[first, y, x, 1] if first < count else np.float32(0)
    for i in range(1, count):
        if known[i].all():
            continue
        for y in range(rows):
            for x in range(columns):
                if not known[i, y, x]:
                    fields[i, y, x, 0] = fields[i - 1, y, x, 0]
                    fields[i, y, x, 1] = fields[i - 1, y, x, 1]


def over_windows(
    fields: npt.NDArray[np.float32],
    measured: npt.NDArray[np.bool_],
    ends: npt.NDArray[np.intp],
    *,
    stride: int | npt.NDArray[np.int64],
    policy: Policy,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The displacement since the previous sampled frame, from the displacement of every frame.

    `window_sum` adds up the `stride` frames that end at a sampled frame (agrees best with dense flow); `sampled` takes the
    sampled frame's own displacement times `stride` (the paper's literal reading, in the same unit); `window_max` the longest of the
    window times `stride`.

    Args:
        fields: float32 (n, rows, columns, 2), displacement per frame, gaps already held.
        measured: bool (n, rows, columns).
        ends: positions in `fields` of the sampled frames. A window that starts before the first frame holds that frame's
            displacement for the missing ones.
        stride: frames from one sampled frame to the next, or int64 (T,), from the one before to each of them.

    Returns:
        (vectors float32 (T, rows, columns, 2), valid bool (T, rows, columns): True where the window has a measurement).
    """
    strides = np.broadcast_to(np.asarray(stride, np.int64), ends.shape)
    lengths = strides.astype(np.float32)[:, None, None, None]
    if policy == "sampled":
        return fields[ends] * lengths, measured[ends]
    if policy == "window_sum":
        vectors = np.zeros((len(ends), *fields.shape[1:]), np.float32)
        valid = np.zeros((len(ends), *measured.shape[1:]), np.bool_)
        _sum(
            np.ascontiguousarray(fields),
            np.ascontiguousarray(measured),
            ends,
            np.ascontiguousarray(strides),
            vectors,
            valid,
        )
        return vectors, valid
    offset = np.arange(strides.max())
    window = ends[:, None] - np.minimum(offset, strides[:, None] - 1)
    inside = np.maximum(window, 0)
    valid = np.any(measured[inside] & (window >= 0)[..., None, None], axis=1)
    parts = fields[inside]
    longest = np.argmax(np.square(parts).sum(axis=-1), axis=1)
    vectors = np.take_along_axis(parts, longest[:, None, :, :, None], axis=1)[:, 0]
    return vectors * lengths, valid


def _sum_kernel(fields: Any, measured: Any, ends: Any, strides: Any, vectors: Any, valid: Any) -> None:
    for t in range(ends.shape[0]):
        for k in range(strides[t]):
            i = ends[t] - k
            inside = i >= 0
            i = max(i, 0)
            for y in range(measured.shape[1]):
                for x in range(measured.shape[2]):
                    vectors[t, y, x, 0] += fields[i, y, x, 0]
                    vectors[t, y, x, 1] += fields[i, y, x, 1]
                    if inside and measured[i, y, x]:
                        valid[t, y, x] = True


# Compiled at first use, once: numba keeps the result beside this file, or in the user's cache folder. Importing mgm stays quick.
_spread: Any = numba.njit(cache=True)(_spread_kernel)
_hold: Any = numba.njit(cache=True)(_hold_kernel)
_sum: Any = numba.njit(cache=True)(_sum_kernel)


def compile_kernels() -> None:
    """Compile what is not compiled yet, seconds once per installation: `make setup` does it, so that no first clip has to wait."""
    compile_evidence()
    vectors = np.zeros(1, VECTOR_DTYPE)
    vectors["motion_scale"] = 1
    fields, measured = literal_field(vectors, (1, 1))
    fields = hold(fields[None], np.zeros_like(measured)[None])
    over_windows(fields, measured[None], np.zeros(1, np.int64), stride=1, policy="window_sum")
