"""Rows found by their names, with 16 bytes for each name: a million names in a dict take 300 MB."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import numpy as np


class NameIndex:
    """Finds the rows that may have a name by its hash; their names are elsewhere, and the caller compares them.

    Args:
        named: (name, row) pairs; rows from 0, ascending. A row may have several names, and a name several rows.
    """

    __slots__ = ("_hashes", "_rows", "repeats")

    def __init__(self, named: Iterable[tuple[str, int]]) -> None:
        hashes, rows = array("q"), array("q")
        for name, row in named:
            hashes.append(hash(name))
            rows.append(row)
        values = np.frombuffer(hashes, np.int64)
        order = np.argsort(values, kind="stable")
        values = values[order]
        self._hashes = array("q", values.tobytes())
        self._rows = array("q", np.frombuffer(rows, np.int64)[order].tobytes())
        self.repeats = bool((values[1:] == values[:-1]).any())
        """Whether a name may have several rows."""

    def rows(self, name: str) -> Iterator[int]:
        """The rows that may have a name, ascending."""
        wanted = hash(name)
        for place in range(bisect_left(self._hashes, wanted), len(self._hashes)):
            if self._hashes[place] != wanted:
                return
            yield self._rows[place]
