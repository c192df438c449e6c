"""Paths of millions of videos in a few bytes each."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt

from mgm.files.name_index import NameIndex

_BLOCK = 4096
"""Rows whose numbers become Python's at a time."""
_ERRORS: Final = "surrogatepass"
"""Of the UTF-8 of paths: Python's need not be valid text."""


class _Store:
    """The bytes of paths: a folder that many share, and the rest of each."""

    __slots__ = ("ends", "folder", "folders", "numbers", "text")

    def __init__(self) -> None:
        self.folders: list[str] = []
        self.numbers: dict[str, int] = {}
        self.folder = array("I")
        self.ends = array("Q", [0])
        self.text = bytearray()

    def append(self, path: str) -> None:
        # A video of a shard is in the "folder" of its tar file: its byte range, behind the #, has slashes of its own.
        cut = path.find("#") + 1 or path.rfind("/") + 1
        folder = path[:cut]
        number = self.numbers.setdefault(folder, len(self.folders))
        if number == len(self.folders):
            self.folders.append(folder)
        self.folder.append(number)
        self.text += path[cut:].encode("utf-8", _ERRORS)
        self.ends.append(len(self.text))

    def path(self, row: int) -> str:
        name = self.text[self.ends[row] : self.ends[row + 1]]
        return self.folders[self.folder[row]] + name.decode("utf-8", _ERRORS)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        folders = [folder.encode("utf-8", _ERRORS) for folder in self.folders]
        return {
            "folder": np.asarray(self.folder, np.uint32),
            "name ends": np.asarray(self.ends, np.uint64),
            "names": np.asarray(self.text, np.uint8),
            "folder ends": np.cumsum([0, *map(len, folders)], dtype=np.uint64),
            "folders": np.frombuffer(b"".join(folders), np.uint8),
        }

    def __len__(self) -> int:
        return len(self.folder)


class _FixedStore:
    """The same bytes in given arrays, such as those of a mapped file."""

    __slots__ = ("_arrays", "_folder", "_folder_ends", "_folders", "_name_ends", "_names")

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._arrays = {name: arrays[name] for name in ("folder", "name ends", "names", "folder ends", "folders")}
        # As views of memory: their numbers are Python's, and are read in half the time.
        views = (array.data for array in self._arrays.values())
        self._folder, self._name_ends, self._names, self._folder_ends, self._folders = views

    def path(self, row: int) -> str:
        folder, ends, folders = self._folder[row], self._name_ends, self._folder_ends
        return str(self._folders[folders[folder] : folders[folder + 1]], "utf-8", _ERRORS) + str(
            self._names[ends[row] : ends[row + 1]], "utf-8", _ERRORS
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return self._arrays

    def __len__(self) -> int:
        return len(self._folder)


class PathColumn(Sequence[str]):
    """Paths, each as the number of its folder and the rest of it in UTF-8.

    As text of its own, a path of 60 characters takes 110 bytes; here its name and 12 bytes. A forked process that reads them copies
    no memory: there are no objects whose references would be counted.
    """

    __slots__ = ("_rows", "_store")

    def __init__(self, paths: Iterable[str] = ()) -> None:
        store = _Store()
        for path in paths:
            store.append(path)
        self._store: _Store | _FixedStore = store
        self._rows: npt.NDArray[np.int64] | None = None

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> PathColumn:
        """The column whose `arrays` these are, which it does not copy. It cannot grow."""
        return cls._of(_FixedStore(arrays), arrays.get("rows"))

    @classmethod
    def _of(cls, store: _Store | _FixedStore, rows: npt.NDArray[np.int64] | None) -> PathColumn:
        made = cls.__new__(cls)
        made._store, made._rows = store, rows
        return made

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that the column consists of, by name; with a part of a column come the bytes of the whole.

        A column cannot grow while an array of it exists.
        """
        return self._store.arrays() | ({} if self._rows is None else {"rows": self._rows})

    def append(self, path: str) -> None:
        """Add a path. Raises ValueError if the column is a part of another, or has given arrays."""
        if self._rows is not None or isinstance(self._store, _FixedStore):
            raise ValueError("a part of a column cannot grow")
        self._store.append(path)

    def take(self, rows: npt.NDArray[np.int64] | slice) -> PathColumn:
        """The paths of some rows, int64 (n,) or a slice, which share their bytes with these."""
        if self._rows is None:
            return self._of(self._store, np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows)
        return self._of(self._store, self._rows[rows])

    def without_repeats(self) -> PathColumn:
        """Each path once, at its first place; the column itself if none is repeated."""
        kept = np.ones(len(self), np.bool_)
        for row in NameIndex((path, row) for row, path in enumerate(self)).repeats(self.__getitem__):
            kept[row] = False
        return self if kept.all() else self.take(np.flatnonzero(kept))

    def joined(self, other: PathColumn) -> PathColumn:
        """These paths, then the others."""
        if self._store is not other._store:
            return PathColumn(chain(self, other))
        own, more = (np.arange(len(column)) if column._rows is None else column._rows for column in (self, other))
        return self._of(self._store, np.concatenate([own, more]))

    def __len__(self) -> int:
        return len(self._store) if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        numbers = range(len(self))[index]
        if isinstance(numbers, range):
            return [self[number] for number in numbers]
        return self._store.path(numbers if self._rows is None else int(self._rows[numbers]))

    def __iter__(self) -> Iterator[str]:
        path = self._store.path
        for first in range(0, len(self), _BLOCK):
            last = min(first + _BLOCK, len(self))
            yield from map(path, range(first, last) if self._rows is None else self._rows[first:last].tolist())

    def __reduce__(self) -> tuple[type[PathColumn], tuple[list[str]]]:
        return PathColumn, (list(self),)


class PathList(Sequence[Path]):
    """A column of paths as `Path`s, which are made as they are read. It equals any sequence of the same paths."""

    __slots__ = ("names",)

    def __init__(self, names: PathColumn) -> None:
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...

    def __getitem__(self, index: int | slice) -> Path | list[Path]:
        return Path(self.names[index]) if isinstance(index, int) else list(map(Path, self.names[index]))

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self.names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"PathList({list(map(str, self[:3]))}{', ...' if len(self) > 3 else ''})"
