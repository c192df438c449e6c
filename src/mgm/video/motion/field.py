"""Motion fields: one displacement per 8-px cell and a mask of validity, in time and over the strides of a clip.

raw_field           vectors of one frame -> field, as a literal implementation reads them
fill_gaps           forward fill of cells without a displacement
aggregate_windows   displacement per frame -> displacement per sampling step
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from mgm.compiled import compiled
from mgm.notebook import Pictured, draw
from mgm.video.container.orientation import UPRIGHT, Orientation
from mgm.video.motion import numpy_kernels
from mgm.video.motion.names import MotionSource, Policy, Reading
from mgm.video.motion.vectors import VECTOR_DTYPE

if TYPE_CHECKING:
    from mgm.notebook import Image

CELL_PIXELS = 8
"""Side of a cell of the motion field in pixels of the coded frame (the paper's M_t: T x H/8 x W/8)."""


@dataclass(frozen=True, slots=True, eq=False)
class VectorField:
    """Displacements with their mask of validity: of one frame, or of several along leading axes.

    Attributes:
        vectors: float32 (..., rows, columns, 2), displacement (dx, dy) in pixels of the coded frame.
        valid: bool (..., rows, columns), False in cells that were not measured: their displacement is zero or filled in.
    """

    vectors: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Self:
        """Uninitialised arrays of `shape` = (..., rows, columns)."""
        return cls(np.empty((*shape, 2), np.float32), np.empty(shape, np.bool_))

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, index: int | slice | npt.NDArray[np.integer]) -> Self:
        """The field of some of the frames; a view if numpy returns one."""
        return type(self)(self.vectors[index], self.valid[index])

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """`np.asarray(field)` is `vectors`."""
        return np.array(self.vectors, dtype, copy=copy)

    def __repr__(self) -> str:
        """The shape and the share of valid cells, without the arrays."""
        return f"{type(self).__name__}({self._shape}, {self._share})"

    @property
    def _shape(self) -> str:
        return f"{' x '.join(str(side) for side in self.valid.shape)} cells"

    @property
    def _share(self) -> str:
        return f"{self.valid.mean() if self.valid.size else 0:.0%} valid"


@dataclass(frozen=True, slots=True, eq=False)
class MotionField(VectorField, Pictured):
    """The motion of a clip.

    Attributes:
        vectors: float32 (T, gh, gw, 2), displacement (dx, dy) in pixels of the coded frame since the previous sampled frame;
            x to the right, y down. Cell (i, j) covers rows 8i..8i+7 and columns 8j..8j+7 of the region that `frames` show.
        valid: bool (T, gh, gw), False in cells that were not measured (intra blocks, I-frames) and filled from a neighbour.
        source: "codec" (the stream's vectors), "flow", "difference" (grey levels, no direction) or "raft".
        extent: (height, width) of the region in pixels of the coded frame; the last row and column of cells may extend over it.
    """

    source: MotionSource
    extent: tuple[int, int]

    @classmethod
    def of(cls, field: VectorField, source: MotionSource, extent: tuple[int, int]) -> MotionField:
        """A field of (T, gh, gw) cells with its source and extent."""
        return cls(field.vectors, field.valid, source, extent)

    def __getitem__(self, index: int | slice | npt.NDArray[np.integer]) -> Self:
        return replace(self, vectors=self.vectors[index], valid=self.valid[index])

    def __repr__(self) -> str:
        """The shape, unit, source and share of valid cells, without the arrays."""
        unit = "grey levels" if self.source == "difference" else "px"
        known = f"source={self.source!r}, {self._share}, extent={self.extent}"
        return f"MotionField({self._shape}, dx and dy in {unit}, {known})"

    def show(self, *, columns: int = 8) -> Image:
        """The field in colour at up to `columns` frames, as a `PIL.Image.Image`: hue is direction, strength is speed."""
        return draw("motion_sheet", self, columns=columns)

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
        """The field of frames scaled by the factors, and mirrored left to right if `flip`.

        Vectors are in pixels of the result, with dx negated if mirrored. Cells and `extent` remain in pixels of the coded frame.
        """
        factors = np.array([-factor_x if flip else factor_x, factor_y], np.float32)
        if not flip:
            return replace(self, vectors=self.vectors * factors)
        mirrored = _mirror(self.extent[1])
        return replace(self, vectors=self.vectors[:, :, mirrored] * factors, valid=self.valid[:, :, mirrored])

    def upright(self, orientation: Orientation) -> MotionField:
        """The field of the frames made upright, vectors included."""
        if orientation == UPRIGHT:
            return self
        vectors, valid, extent = self.vectors, self.valid, orientation.shape(*self.extent)
        if orientation.transposed:
            vectors, valid = vectors.swapaxes(1, 2)[..., ::-1], valid.swapaxes(1, 2)
        if orientation.mirrored:
            mirrored = _mirror(extent[1])
            vectors, valid = vectors[:, :, mirrored] * np.array([-1, 1], np.float32), valid[:, :, mirrored]
        if orientation.flipped:
            flipped = _mirror(extent[0])
            vectors, valid = vectors[:, flipped] * np.array([1, -1], np.float32), valid[:, flipped]
        return replace(self, vectors=np.ascontiguousarray(vectors), valid=np.ascontiguousarray(valid), extent=extent)


def _mirror(length: int) -> npt.NDArray[np.intp]:
    """The source cell of each cell of a mirrored axis of `length` pixels.

    The last cell may extend over the border: reversing the order of the cells would shift them by up to 7 pixels.
    """
    centres = np.minimum(np.arange(0, length, CELL_PIXELS) + CELL_PIXELS // 2, length - 1)
    index: npt.NDArray[np.intp] = (length - 1 - centres) // CELL_PIXELS
    return index


def _cell_index(start: int, length: int, cells: int) -> npt.NDArray[np.intp]:
    """The source cell under the centre of each 8-px cell of the range `start..start+length`."""
    centres = start + np.minimum(np.arange(0, length, CELL_PIXELS) + CELL_PIXELS // 2, length - 1)
    index: npt.NDArray[np.intp] = np.clip(centres // CELL_PIXELS, 0, cells - 1)
    return index


def grid_shape(height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of 8-px cells that cover a frame."""
    return -(-height // CELL_PIXELS), -(-width // CELL_PIXELS)


def raw_field(vectors: npt.NDArray[np.void], grid: tuple[int, int]) -> VectorField:
    """One frame's vectors as a literal implementation reads them: list 0 if it exists, else list 1 negated, without any division.

    Args:
        vectors: array of `VECTOR_DTYPE`. Blocks that extend over the frame's border are clipped.
        grid: (rows, columns) of the field.
    """
    field = VectorField(np.zeros((*grid, 2), np.float32), np.zeros(grid, np.bool_))
    if len(vectors):
        _spread(vectors, field.vectors, field.valid)
    return field


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


def fill_gaps(vectors: npt.NDArray[np.float32], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Forward fill: unknown cells take the value of the nearest earlier frame that has one, else of the next; zero without either.

    A frame without vectors is not a still one: an I-frame in the middle of a throw would otherwise read as stillness.

    Args:
        vectors: float32 (n, rows, columns, 2), one field per frame; changed in place, and returned.
        known: bool (n, rows, columns); see `mgm.video.motion.velocity.smoothed_support`.
    """
    if not known.all():
        _fill(vectors, known)
    return vectors


def _fill_kernel(fields: Any, known: Any) -> None:
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


def counts_whole_steps(reading: Reading, policy: Policy) -> bool:
    """Whether motion is in pixels per sampling step. The literal reading keeps the vectors of the sampled frame as they are."""
    return reading != "raw" or policy != "sampled"


def aggregate_windows(
    field: VectorField,
    ends: npt.NDArray[np.intp],
    *,
    stride: int | npt.NDArray[np.int64],
    policy: Policy,
) -> VectorField:
    """The displacement since the previous sampled frame, from the displacement of every frame.

    `window_sum` adds the displacements of the `stride` frames that end at a sampled frame (agrees best with dense flow);
    `sampled` takes the sampled frame's own displacement times `stride` (the paper's literal reading, in the same unit);
    `window_max` takes the longest displacement of the window times `stride`.

    Args:
        field: displacement per frame, (n, rows, columns), gaps already filled.
        ends: positions in `field` of the sampled frames. In a window that starts before the first
            frame, the missing frames have that frame's displacement.
        stride: distance between sampled frames in frames, or int64 (T,): from the previous sampled frame to each.

    Returns:
        (T, rows, columns); valid if any frame of the window was measured.
    """
    strides = np.broadcast_to(np.asarray(stride, np.int64), ends.shape)
    lengths = strides.astype(np.float32)[:, None, None, None]
    if policy == "sampled":
        return VectorField(field.vectors[ends] * lengths, field.valid[ends])
    if policy == "window_sum":
        vectors = np.zeros((len(ends), *field.vectors.shape[1:]), np.float32)
        valid = np.zeros((len(ends), *field.valid.shape[1:]), np.bool_)
        _sum(
            np.ascontiguousarray(field.vectors).reshape(len(field), -1),
            np.ascontiguousarray(field.valid).reshape(len(field), -1).view(np.uint8),
            ends,
            np.array(strides),  # not a view that cannot be written, for which the loop would be another
            vectors.reshape(len(ends), -1),
            valid.reshape(len(ends), -1).view(np.uint8),
        )
        return VectorField(vectors, valid)
    offset = np.arange(strides.max())
    window = ends[:, None] - np.minimum(offset, strides[:, None] - 1)
    inside = np.maximum(window, 0)
    valid = np.any(field.valid[inside] & (window >= 0)[..., None, None], axis=1)
    parts = field.vectors[inside]
    longest = np.argmax(np.square(parts).sum(axis=-1), axis=1)
    vectors = np.take_along_axis(parts, longest[:, None, :, :, None], axis=1)[:, 0]
    return VectorField(vectors * lengths, valid)


def _sum_kernel(fields: Any, measured: Any, ends: Any, strides: Any, vectors: Any, valid: Any) -> None:
    # The arrays are flat but for their first axis: the compiler vectorises these inner loops.
    for t in range(ends.shape[0]):
        total, known = vectors[t], valid[t]
        for k in range(strides[t]):
            i = max(ends[t] - k, 0)
            part, seen = fields[i], measured[i]
            for x in range(total.shape[0]):
                total[x] += part[x]
            if ends[t] - k >= 0:
                for x in range(known.shape[0]):
                    known[x] |= seen[x]


_spread: Any = compiled()(_spread_kernel)
_fill: Any = compiled(twin=numpy_kernels.fill)(_fill_kernel)
_sum: Any = compiled(twin=numpy_kernels.add_windows)(_sum_kernel)


def compile_field_kernels() -> None:
    """Compile the kernels of this module."""
    vectors = np.zeros(1, VECTOR_DTYPE)
    vectors["motion_scale"] = 1
    field = raw_field(vectors, (1, 1))
    field = VectorField(field.vectors[None], field.valid[None])
    fill_gaps(field.vectors, np.zeros_like(field.valid))
    aggregate_windows(field, np.zeros(1, np.int64), stride=1, policy="window_sum")
