"""Motion with known answers, for the tests of the masks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Field:
    """The least that the masks ask of a motion field."""

    vectors: NDArray[np.float32]
    valid: NDArray[np.bool_]
    extent: tuple[int, int]


def field(vectors: NDArray[np.floating], *, extent: tuple[int, int] | None = None) -> Field:
    """A field of measured vectors; without `extent` its cells of 8 pixels end where the frame ends."""
    rows, columns = vectors.shape[1:3]
    return Field(
        vectors.astype(np.float32), np.ones(vectors.shape[:3], dtype=np.bool_), extent or (8 * rows, 8 * columns)
    )


def still(frames: int, rows: int, columns: int) -> NDArray[np.float32]:
    return np.zeros((frames, rows, columns, 2), dtype=np.float32)


def moving_cells(
    frames: int, rows: int, columns: int, *, cells: list[tuple[int, int]], vector: tuple[float, float] = (3, -4)
) -> NDArray[np.float32]:
    """The same cells, (row, column), move in every frame; everything else stands still."""
    vectors = still(frames, rows, columns)
    for row, column in cells:
        vectors[:, row, column] = vector
    return vectors


def random_peaks(frames: int, rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Weak noise and one cell per frame, anywhere, that moves most."""
    vectors = rng.normal(0, 0.1, (frames, rows, columns, 2)).astype(np.float32)
    vectors[np.arange(frames), rng.integers(rows, size=frames), rng.integers(columns, size=frames)] = (5, 5)
    return vectors


def moving_blob(frames: int, *, cells: int, side: int) -> tuple[Field, list[list[list[float]]]]:
    """A square of `side` cells that crosses a frame of `cells` x `cells` over a trembling background, and its box."""
    vectors = np.random.default_rng(0).normal(0, 0.2, (frames, cells, cells, 2)).astype(np.float32)
    boxes = []
    for frame in range(frames):
        y = x = round(frame * (cells - side) / (frames - 1))
        vectors[frame, y : y + side, x : x + side] = (6, 6)
        boxes.append([[8.0 * x, 8.0 * y, 8.0 * (x + side), 8.0 * (y + side)]])
    return field(vectors), boxes
