"""Arrays in a file that several processes map, so that a machine has them in memory once.

NumPy's own files contain one array each, and `numpy.save` loses the reason for which a disk refuses to write. safetensors has no
reader that maps a file into NumPy's arrays.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""One-dimensional arrays by name."""

_ALIGNMENT: Final = 64
"""Bytes: of a line of the processor's cache."""


@dataclass(frozen=True, slots=True)
class ArrayPlace:
    """The place of an array in a file: its name, its dtype, the number of its elements and of the bytes before it."""

    name: str
    dtype: str
    count: int
    offset: int


def write_arrays(path: Path, arrays: Arrays) -> tuple[ArrayPlace, ...]:
    """Write arrays to a new file. Raises OSError if it cannot be written."""
    places = []
    with path.open("xb") as file:
        for name, array in arrays.items():
            file.seek(-file.tell() % _ALIGNMENT, 1)
            places.append(ArrayPlace(name, array.dtype.str, len(array), file.tell()))
            file.write(np.ascontiguousarray(array).data)
        file.truncate()
    return tuple(places)


def map_arrays(path: Path, places: tuple[ArrayPlace, ...]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file, read-only; its name may vanish while they are used.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too short.
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return {place.name: np.frombuffer(mapped, place.dtype, place.count, place.offset) for place in places}
