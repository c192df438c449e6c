"""What a pickle's objects become when nothing of it is run: names, records, and arrays on the bytes of the file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mgm.errors import ModelError

DTYPE: Final = "numpy.dtype"
"""The kind of the record of a dtype."""
_NUMBER_DTYPE: Final = re.compile(r"[<>|=]?(b1|[biufc][1-9]\d?)")
_MOST_AXES: Final = 32


@dataclass(frozen=True, slots=True)
class GlobalName:
    """A class or a function that a pickle names: its module and its name, and nothing behind them."""

    name: str


@dataclass(slots=True, eq=False)
class InertObject:
    """An object of a class that is not loaded.

    Attributes:
        kind: module and name of the class, or of the function that would have made the object.
        arguments: of it.
        state: what its class would have restored it from, usually its attributes by name.
        entries: the items of a list, or the pairs of a dict, that is an instance of a class of its own.
    """

    kind: str
    arguments: tuple[Any, ...]
    state: Any = None
    entries: list[Any] = field(default_factory=list)


def refused(subject: object, found: str) -> ModelError:
    """The error for a pickle that contains more than data."""
    return ModelError(
        subject,
        f"found {found}",
        "numbers, text, containers and NumPy arrays",
        "mgm runs no code of files: if you trust it, open it with the program that wrote it and save its arrays",
        reason="unsupported",
    )


def dtype_of(record: Any, subject: object) -> np.dtype[Any]:
    """The dtype of a record of it: a number of fixed size, in the byte order of the file.

    Raises:
        ValueError: it is not a record of a dtype.
        ModelError: about `subject` for a dtype of anything else, such as Python objects.
    """
    if not isinstance(record, InertObject) or record.kind != DTYPE or not isinstance(record.arguments[0], str):
        raise ValueError("not a dtype")
    code, order = record.arguments[0], record.state[1] if isinstance(record.state, tuple) else "="
    if not _NUMBER_DTYPE.fullmatch(code) or not isinstance(order, str) or order not in "<>=|":
        raise refused(subject, f"an array of {code[:20]!r}")
    return np.dtype(code).newbyteorder(order)  # type: ignore[arg-type]  # NumPy's stub wants a literal


def array_of(data: Any, dtype: np.dtype[Any], shape: Any, order: str) -> NDArray[Any]:
    """An array of bytes of the file, in the machine's byte order.

    Args:
        data: bytes, or the text of latin-1 that they are in a pickle of Python 2.
        order: "F" for columns first.

    Raises:
        ValueError: the bytes are not exactly those of the shape.
    """
    if not isinstance(data, str | bytes | bytearray) or not isinstance(shape, tuple) or len(shape) > _MOST_AXES:
        raise ValueError("an array without bytes or shape")
    if not all(isinstance(n, int) and 0 <= n < 1 << 48 for n in shape):
        raise ValueError("an array of impossible shape")
    size = math.prod(shape) * dtype.itemsize
    if size != len(data):
        raise ValueError(f"{len(data)} bytes of an array of {size}")
    stored = data.encode("latin-1") if isinstance(data, str) else data
    flat = np.frombuffer(stored, dtype) if size else np.empty(0, dtype)
    flat = flat.astype(dtype.newbyteorder("="), copy=False)
    return flat.reshape(shape, order="F" if order == "F" else "C")
