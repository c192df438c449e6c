"""Rows found by their names, with 8 bytes for each name: a million names in a dict take 300 MB."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np

_BITS: Final = 32
"""Bits of the hash in a key; those of the row are below them."""
_MASK: Final = 2**_BITS - 1
_BLOCK = 2**16
"""Keys that are compared at a time: a copy of all would double the memory."""


class NameIndex:
    """Finds the rows that may have a name by its hash; their names are elsewhere, and the caller compares them.

    Args:
        named: (name, row) pairs; rows below 2^32. A row may have several names, and a name several rows.
    """

    __slots__ = ("_keys",)

    def __init__(self, named: Iterable[tuple[str, int]]) -> None:
        self._keys = array("Q", ((hash(name) & _MASK) << _BITS | row for name, row in named))
        np.frombuffer(self._keys, np.uint64).sort()  # in its place

    def rows(self, name: str) -> Iterator[int]:
        """The rows that may have a name, ascending."""
        wanted, last = hash(name) & _MASK, -1
        for place in range(bisect_left(self._keys, wanted << _BITS), len(self._keys)):
            key = self._keys[place]
            if key >> _BITS != wanted:
                return
            if key != last:  # two names of one row
                yield key & _MASK
            last = key

    def repeats(self, name: Callable[[int], str]) -> Iterator[int]:
        """The rows whose name a lower row has, in no particular order; `name` returns that of a row, which has no other."""
        keys = np.frombuffer(self._keys, np.uint64)
        for first in range(0, len(keys), _BLOCK):
            hashes = keys[first : first + _BLOCK + 1] >> np.uint64(_BITS)
            for place in np.flatnonzero(hashes[1:] == hashes[:-1]).tolist():
                row = self._keys[first + place + 1] & _MASK
                own = name(row)
                if any(other < row and name(other) == own for other in self.rows(own)):
                    yield row
