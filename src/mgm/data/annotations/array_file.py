"""Reads a NumPy array of text as lines of an annotation file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mgm.errors import DataError


def array_lines(path: Path) -> list[str]:
    """The rows of a NumPy array of text, each as `path` or `path<tab>label`.

    Raises:
        DataError: the array is damaged, contains pickled objects or numbers, or has more than two dimensions.
    """
    try:
        array = np.load(path, allow_pickle=False)
        rows = _text_of(array).tolist()
    except DataError as error:
        raise error.about(path) from error
    except (
        Exception
    ) as error:  # NumPy evaluates the header, whose damage raises SyntaxError, TokenError, SystemError and others
        with path.open("rb") as file:
            of_objects = b"'descr': '|O'" in file.read(256)  # NumPy raises ValueError for a damaged file, too
        if of_objects:
            raise DataError(
                path,
                "an array of Python objects, which NumPy stores as a pickle: reading it can run code",
                "an array of text, or 'path label' lines",
                "write it again with numpy.savetxt(..., fmt='%s')",
                reason="unsupported",
            ) from error
        found = f"not a readable array ({error})"
        raise DataError(path, found, "an array of text", "write it again", reason="malformed") from error
    return ["\t".join(row) if isinstance(row, list) else row for row in rows]


def _text_of(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "US" or array.ndim not in (1, 2):
        raise DataError(
            "",
            f"a {array.ndim}-dimensional array of {array.dtype}",
            "text: (n,) paths, or (n, 2) with labels",
            reason="invalid_type",
        )
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "surrogateescape")
    # NumPy checks no characters
    array.astype(array.dtype.newbyteorder("<")).tobytes().decode("utf-32-le", "surrogatepass")
    return array
