"""Motion on the token grid: cells pooled to tokens, magnitudes, the peak of each step and the extent around it."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mgm.errors import MaskError
from mgm.masks.grid import Grid, check_grid
from mgm.masks.kernels import frame_medians, squared_magnitude, step_sums, tied_peaks

CELL_PIXELS = 8
"""Side of a motion cell in pixels: the paper's motion map is T x H/8 x W/8 (section 3.3)."""

Camera: TypeAlias = Literal["none", "median"]
"""The camera motion to subtract: none, as in the paper, or the median of each frame."""


class MotionLike(Protocol):
    """The attributes of a motion field that guides a mask; `mgm.video.MotionField` has them."""

    @property
    def vectors(self) -> NDArray[np.floating[Any]]:
        """(T, gh, gw, 2): displacement (dx, dy) in pixels per sampling step, finite in every cell."""

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(T, gh, gw): False where the vector was not measured but copied from a neighbour in time."""

    @property
    def extent(self) -> tuple[float, float]:
        """(height, width) in pixels of the region that the cells cover. Cell (i, j) covers rows [8i, 8i + 8) and
        columns [8j, 8j + 8); the last row and column may extend beyond the region's edge."""


MotionInput: TypeAlias = MotionLike | NDArray[Any]
"""A `MotionLike`, or a plain array (T, gh, gw, 2) whose cells divide the frame evenly and are all valid. Where the
length of a displacement matters, the cells of a plain array count as 8 x 8 pixels."""


@dataclass(frozen=True, eq=False)
class CellGeometry:
    """Position of the cells. Lengths are in pixels, or in cells for a plain array; only their relation to `extent`
    matters.

    Attributes:
        edges: (rows, columns), each float64 (n + 1,); the last one is cut at the extent.
        centres: float64 (gh * gw, 2), (y, x) of the part of the cell inside the extent.
        moments: float64 (gh * gw, 3), that part's area, area * y and area * x: a weighted sum of them is a centroid.
    """

    cell: float
    extent: tuple[float, float]
    edges: tuple[NDArray[np.float64], NDArray[np.float64]]
    centres: NDArray[np.float64]
    moments: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellMotion:
    """Checked motion.

    Attributes:
        given: float32 (T, gh, gw, 2), measured displacement (dx, dy) in pixels.
        camera: float64 (T, 2), the camera's motion, to be subtracted from each frame's vectors.
        power: float64 (t, T / t, gh, gw), squared magnitude. Vectors filled in from a neighbour count like measured
            ones: they are the best guess for intra-coded blocks, which are often on the fastest motion.
        measured: bool (t,), False for steps without a valid cell.
    """

    given: NDArray[np.float32]
    camera: NDArray[np.float64]
    power: NDArray[np.float64]
    measured: NDArray[np.bool_]
    geometry: CellGeometry

    @property
    def vectors(self) -> NDArray[np.floating[Any]]:
        """float32, or float64 without the camera's motion (t, T / t, gh, gw, 2), displacement (dx, dy) in pixels."""
        vectors = self.given - self.camera[:, None, None] if self.camera.any() else self.given
        return vectors.reshape(*self.power.shape, 2)


def check_motion(name: str, motion: MotionInput, *, steps: int, camera: Camera = "none") -> CellMotion:
    """Check motion, subtract the camera's, group the frames by the steps of a token grid; `name` is the subject of errors.

    `camera="median"` subtracts the median displacement of the frame's valid cells (of all cells if none is valid), a
    camera's pan. `mgm.video` also subtracts zoom and roll, before a mask receives the motion.

    Raises:
        MaskError: wrong shape, NaN or infinity, T not a multiple of `steps`, or an extent that its cells do not cover.
    """
    vectors, valid, extent = _vectors_valid_extent(name, motion)
    frames, rows, columns = vectors.shape[:3]
    if frames % steps:
        raise MaskError(
            name,
            f"found motion of {frames} frames",
            f"a multiple of the {steps} steps of the grid",
            "take one motion map per frame of the clip",
            reason="mismatch",
        )
    if valid is None or extent is None:
        geometry = cell_geometry((rows, columns), 1, (rows, columns))
        measured = np.ones(steps, dtype=np.bool_)
    else:
        geometry = cell_geometry((rows, columns), CELL_PIXELS, _check_extent(name, extent, cells=(rows, columns)))
        measured = np.logical_or.reduce(valid.reshape(steps, -1), axis=1)
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite and raises below
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if camera == "median":
        used = np.ones(vectors.shape[:3], dtype=np.bool_) if valid is None else np.ascontiguousarray(valid)
        subtracted = frame_medians(vectors, used)
    else:
        subtracted = np.zeros((frames, 2))
    power, finite = squared_magnitude(vectors, subtracted)
    if not finite.all():
        raise MaskError(
            name,
            f"found NaN or infinite motion, first in frame {int(finite.argmin())}",
            "finite displacements",
            "set cells without a vector to 0, or pass motion=None for a clip without motion",
            reason="invalid_value",
        )
    grouped = (steps, frames // steps, rows, columns)
    return CellMotion(vectors, subtracted, power.reshape(grouped), measured, geometry)


def motion_peaks(
    motion: CellMotion, *, shape: tuple[int, int], top_k: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Pool_topK of Eq. 7: the motion peak of each step. A step's magnitude is the maximum over its frames.

    The nearest-neighbour upsampling of Eq. 6 only repeats cells, so the search runs on the cells themselves;
    upsampling would only add a tie inside every cell, whose middle is the cell's centre. Blocks larger than a cell
    tie as well. All ties resolve to the centre of the tied region: its centroid if that is in the region, else the
    tied cell nearest to it (at random among equally near ones, so that no side of the frame is preferred). `top_k`
    above 1 takes the magnitude-weighted centroid of the K strongest cells; cells that tie for the last places share
    them evenly.

    Args:
        shape: (h, w) of the token grid.

    Returns:
        Centres, float64 (t, 2), (y, x) in tokens from the frame's top left corner, undefined for steps without motion;
        and bool (t,), True for steps with motion: a valid cell and a vector that is not 0.
    """
    geometry = motion.geometry
    rows, columns = motion.power.shape[2:]
    centres, peak, number, flat = tied_peaks(motion.power, geometry.moments)
    moves = (peak > 0) & motion.measured
    if top_k == 1:
        if number.max() == 1:
            return centres * np.divide(shape, geometry.extent), moves
        step, tied = np.arange(len(flat)), flat == peak[:, None]
        # The cells that touch the centroid: up to four if it is on an edge or a corner.
        low = np.ceil(centres / geometry.cell).astype(np.intp) - 1
        high = np.floor(centres / geometry.cell).astype(np.intp)
        touched = np.stack([low[:, 0], low[:, 0], high[:, 0], high[:, 0]]) * columns
        touched += np.stack([low[:, 1], high[:, 1], low[:, 1], high[:, 1]])
        hit = tied[step, touched].any(axis=0)
        outside = np.flatnonzero(moves & ~hit)
        if outside.size:
            centres[outside] = _nearest(tied[outside], centres[outside], geometry, rng)
    else:
        places = min(top_k, rows * columns)
        # Not partitioned: that is ten times slower where most cells tie at 0, as they do.
        last = np.sort(flat, axis=1)[:, -places, None]
        above, level = flat > last, flat == last
        share = (places - above.sum(axis=1, keepdims=True)) / level.sum(axis=1, keepdims=True)
        weight = (above + level * share) * np.sqrt(flat)
        # Scaled to the peak, so that sums of very small float32 magnitudes do not vanish.
        weight /= np.sqrt(np.where(peak > 0, peak, 1))[:, None]
        sums = weight @ geometry.moments
        centres = sums[:, 1:] / np.where(sums[:, :1] > 0, sums[:, :1], 1)
    return centres * np.divide(shape, geometry.extent), moves


def motion_extents(motion: CellMotion, centres: NDArray[np.float64], *, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Height and width of each step's motion around a centre: float64 (t, 2), in tokens; 0 for a step without motion.

    Each is sqrt(12) times the magnitude-weighted root mean square distance from the centre, along its axis: exactly the
    side of a rectangle that moves as one in front of a still background, and twice the frame's for uniform motion around a corner.
    A step's magnitude is that of `motion_peaks`.

    Args:
        centres: float64 (t, 2), (y, x) in tokens from the frame's top left corner.
        shape: (h, w) of the token grid.
    """
    geometry = motion.geometry
    strongest = motion.power.max(axis=1)
    peak = strongest.max(axis=(1, 2), keepdims=True)
    # Scaled to the peak, so that sums of very small float32 magnitudes do not vanish.
    weight = np.sqrt(strongest / np.where(peak > 0, peak, 1))
    sides = np.empty((len(weight), 2))
    for axis, edges in enumerate(geometry.edges):
        length, middle = np.diff(edges), (edges[1:] + edges[:-1]) / 2
        scale = shape[axis] / geometry.extent[axis]
        offset = middle - centres[:, axis, None] / scale
        across = weight @ np.diff(geometry.edges[1]) if axis == 0 else np.diff(geometry.edges[0]) @ weight
        mass = across * length
        # A cell's own spread about its middle is length ** 2 / 12.
        spread = (mass * (offset * offset + length * length / 12)).sum(axis=1)
        total = mass.sum(axis=1)
        sides[:, axis] = np.sqrt(12 * spread / np.where(total > 0, total, 1)) * scale
    return sides


def whole_clip(motion: CellMotion) -> CellMotion:
    """The same motion as a single step with all frames of the clip."""
    rows, columns = motion.power.shape[2:]
    return CellMotion(
        motion.given,
        motion.camera,
        motion.power.reshape(1, -1, rows, columns),
        np.array([motion.measured.any()]),
        motion.geometry,
    )


def token_displacement(motion: CellMotion, *, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Displacement of each token's content from one step to the next.

    The mean displacement over the token's area, summed over the frames of the step. Filled vectors count like measured
    ones.

    Args:
        shape: (h, w) of the token grid.

    Returns:
        float64 (t, h, w, 2), (dy, dx) in tokens.
    """
    geometry = motion.geometry
    summed = step_sums(motion.given, motion.camera, len(motion.power))
    rows, columns = token_shares(geometry, shape)
    dx, dy = rows @ summed[0] @ columns.T, rows @ summed[1] @ columns.T
    scale = np.divide(shape, geometry.extent) * (geometry.cell / CELL_PIXELS)
    return np.stack([dy, dx], axis=-1) * scale


def motion_energy(motion: MotionInput, grid: Grid) -> NDArray[np.float64]:
    """Motion magnitude pooled to tokens.

    A token's value is the mean magnitude over its area, each cell weighted by the exact area that they share, and over
    the frames of its step; a constant field keeps its value. Filled vectors count like measured ones.

    Args:
        motion: see `MotionInput`; T must be a multiple of t.
        grid: tokens (t, h, w).

    Returns:
        float64 (t, h, w), pixels per sampling step, at least 0.

    Raises:
        MaskError: the motion cannot be used; see `check_motion`.
    """
    steps, *shape = check_grid("motion_energy", grid)
    cells = check_motion("motion_energy", motion, steps=steps)
    return pool_to_tokens(np.sqrt(cells.power).mean(axis=1), cells.geometry, (shape[0], shape[1]))


def pool_to_tokens(maps: NDArray[np.float64], geometry: CellGeometry, shape: tuple[int, int]) -> NDArray[np.float64]:
    """float64 (n, h, w): each token's mean over maps (n, gh, gw), cells weighted by the area that they share."""
    rows, columns = token_shares(geometry, shape)
    pooled: NDArray[np.float64] = rows @ maps @ columns.T
    return pooled


@lru_cache(maxsize=64)
def cell_geometry(cells: tuple[int, int], cell: float, extent: tuple[float, float]) -> CellGeometry:
    """Lay (gh, gw) cells of side `cell` over a region of `extent`. Cached: clips of one data set share it."""
    edges = [np.minimum(np.arange(n + 1) * float(cell), size) for n, size in zip(cells, extent, strict=True)]
    middle = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    length = [np.diff(edge) for edge in edges]
    y, x = (axis.reshape(-1) for axis in np.meshgrid(*middle, indexing="ij"))
    area = np.outer(*length).reshape(-1)
    return CellGeometry(
        cell=cell,
        extent=extent,
        edges=(edges[0], edges[1]),
        centres=np.stack([y, x], axis=1),
        moments=np.stack([area, area * y, area * x], axis=1),
    )


@lru_cache(maxsize=64)
def token_shares(geometry: CellGeometry, shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of each row of tokens covered by each row of cells, float64 (h, gh), and the same of the columns, (w, gw);
    both sum to 1 over the cells. `rows @ map @ columns.T` pools a map to (h, w)."""
    rows, columns = (_overlap(edges, tokens=tokens) for edges, tokens in zip(geometry.edges, shape, strict=True))
    return rows, columns


def _vectors_valid_extent(
    name: str, motion: MotionInput
) -> tuple[NDArray[Any], NDArray[np.bool_] | None, tuple[float, float] | None]:
    """The parts of motion, of the right types and shapes; valid and extent are None for a plain array."""
    valid, extent = None, None
    if isinstance(motion, np.ndarray):
        vectors = motion
    elif hasattr(motion, "vectors") and hasattr(motion, "valid") and hasattr(motion, "extent"):
        vectors, valid, extent = motion.vectors, motion.valid, motion.extent
    else:
        raise MaskError(
            name,
            f"found motion of type {type(motion).__name__}",
            "vectors, valid and extent, or an array",
            "pass the clip's motion field or a numpy array (T, gh, gw, 2)",
            reason="invalid_type",
        )
    if vectors.ndim != 4 or vectors.shape[3] != 2 or 0 in vectors.shape or vectors.dtype.kind not in "fiu":
        raise MaskError(
            name,
            f"found motion {vectors.dtype} {vectors.shape}",
            "real numbers (T, gh, gw, 2)",
            "put (dx, dy) on the last axis",
            reason="invalid_shape" if vectors.dtype.kind in "fiu" else "invalid_type",
        )
    if valid is not None and (valid.shape != vectors.shape[:3] or valid.dtype != np.bool_):
        raise MaskError(
            name,
            f"found valid {valid.dtype} {valid.shape}",
            f"bool {vectors.shape[:3]}",
            "give one flag per cell",
            reason="invalid_type" if valid.dtype != np.bool_ else "mismatch",
        )
    return vectors, valid, extent


def _check_extent(name: str, extent: tuple[float, float], *, cells: tuple[int, int]) -> tuple[float, float]:
    height, width = (float(side) for side in extent)
    if not (
        math.isfinite(height + width) and (math.ceil(height / CELL_PIXELS), math.ceil(width / CELL_PIXELS)) == cells
    ):
        raise MaskError(
            name,
            f"found an extent of {height:g}x{width:g} pixels under {cells[0]}x{cells[1]} cells of {CELL_PIXELS}",
            f"more than {CELL_PIXELS * (cells[0] - 1)}x{CELL_PIXELS * (cells[1] - 1)} and at most "
            f"{CELL_PIXELS * cells[0]}x{CELL_PIXELS * cells[1]}",
            "give the (height, width) of the region that the cells cover",
            reason="mismatch",
        )
    return height, width


def _nearest(
    tied: NDArray[np.bool_], target: NDArray[np.float64], geometry: CellGeometry, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Per row the centre of the tied cell nearest to `target`, (n, 2); a random one of several."""
    distance = np.square(geometry.centres[None] - target[:, None]).sum(axis=2)
    distance[~tied] = np.inf
    near = distance <= distance.min(axis=1, keepdims=True) * (1 + 1e-9)
    chosen: NDArray[np.float64] = geometry.centres[np.where(near, rng.random(near.shape), -1).argmax(axis=1)]
    return chosen


def _overlap(edges: NDArray[np.float64], *, tokens: int) -> NDArray[np.float64]:
    """float64 (tokens, cells): the share of each token that each cell covers, along one axis; rows sum to 1."""
    token = np.linspace(0, edges[-1], tokens + 1)
    low = np.maximum(token[:-1, None], edges[None, :-1])
    high = np.minimum(token[1:, None], edges[None, 1:])
    shared: NDArray[np.float64] = np.maximum(high - low, 0) * (tokens / edges[-1])
    return shared
