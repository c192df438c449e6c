"""Paths of millions of videos in a few bytes each."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final, TypeVar, overload

import numpy as np
import numpy.typing as npt

from mgm.files.name_index import NameIndex

_BLOCK = 4096
"""Rows whose numbers become Python's at a time."""
_ERRORS: Final = "surrogatepass"
"""Of the UTF-8 of paths: Python's need not be valid text."""
_Value = TypeVar("_Value")


def _cut(path: str) -> int:
    """Number of characters of the folder that a path may share with others."""
    # A video of a shard is in the "folder" of its tar file: its byte range, behind the #, has slashes of its own.
    return path.find("#") + 1 or path.rfind("/") + 1


class _Store:
    """The bytes of paths: a folder that many share, and the rest of each."""

    __slots__ = ("ends", "folder", "folders", "numbers", "text")

    def __init__(self) -> None:
        self.folders: list[str] = []
        self.numbers: dict[str, int] = {}
        self.folder = array("I")
        self.ends = array("Q", [0])
        self.text = bytearray()

    def extend(self, paths: Iterable[str]) -> None:
        """Append paths; a folder that is already stored is shared."""
        folders, numbers, text, ends = self.folders, self.numbers, self.text, self.ends
        for path in paths:
            cut = _cut(path)
            folder = path[:cut]
            number = numbers.get(folder)
            if number is None:
                number = numbers[folder] = len(folders)
                folders.append(folder)
            self.folder.append(number)
            text += path[cut:].encode("utf-8", _ERRORS)
            ends.append(len(text))

    def folder_texts(self) -> list[str]:
        return self.folders

    def name(self, row: int) -> str:
        return self.text[self.ends[row] : self.ends[row + 1]].decode("utf-8", _ERRORS)

    def path(self, row: int) -> str:
        name = self.text[self.ends[row] : self.ends[row + 1]]
        return self.folders[self.folder[row]] + name.decode("utf-8", _ERRORS)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "folder": np.asarray(self.folder, np.uint32),
            "name ends": np.asarray(self.ends, np.uint64),
            "names": np.asarray(self.text, np.uint8),
            **_folder_arrays(self.folders),
        }

    def __len__(self) -> int:
        return len(self.folder)


def _folder_arrays(folders: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    encoded = [folder.encode("utf-8", _ERRORS) for folder in folders]
    return {
        "folder ends": np.cumsum([0, *map(len, encoded)], dtype=np.uint64),
        "folders": np.frombuffer(b"".join(encoded), np.uint8),
    }


class _FixedStore:
    """The same bytes in given arrays, such as those of a mapped file."""

    __slots__ = ("_arrays", "_folder_ends", "_folders", "ends", "folder", "text")

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._arrays = {name: arrays[name] for name in ("folder", "name ends", "names", "folder ends", "folders")}
        # As views of memory: their numbers are Python's, and are read in half the time.
        views = (array.data for array in self._arrays.values())
        self.folder, self.ends, self.text, self._folder_ends, self._folders = views

    def folder_texts(self) -> list[str]:
        return [self._folder_text(number) for number in range(len(self._folder_ends) - 1)]

    def _folder_text(self, number: int) -> str:
        ends = self._folder_ends
        return str(self._folders[ends[number] : ends[number + 1]], "utf-8", _ERRORS)

    def name(self, row: int) -> str:
        return str(self.text[self.ends[row] : self.ends[row + 1]], "utf-8", _ERRORS)

    def path(self, row: int) -> str:
        return self._folder_text(self.folder[row]) + self.name(row)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return self._arrays

    def __len__(self) -> int:
        return len(self.folder)


class PathColumn(Sequence[str]):
    """Paths, each as the number of its folder and the rest of it in UTF-8.

    As text of its own, a path of 60 characters takes 110 bytes; here its name and 12 bytes. A forked process that reads them copies
    no memory: there are no objects whose references would be counted.
    """

    __slots__ = ("_rows", "_store")

    def __init__(self, paths: Iterable[str] = ()) -> None:
        store = _Store()
        store.extend(paths)
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
        """Add a path. Raises as `extend`."""
        self.extend((path,))

    def extend(self, paths: Iterable[str]) -> None:
        """Add paths. Raises ValueError if the column is a part of another, or has given arrays."""
        if self._rows is not None or isinstance(self._store, _FixedStore):
            raise ValueError("a part of a column cannot grow")
        self._store.extend(paths)

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
        if self._store is other._store:
            own, more = (np.arange(len(column)) if column._rows is None else column._rows for column in (self, other))
            return self._of(self._store, np.concatenate([own, more]))
        if self._rows is not None or other._rows is not None:
            return PathColumn(chain(self, other))
        first, second = self.arrays(), other.arrays()
        added = {
            "folder": len(first["folder ends"]) - 1,
            "name ends": len(first["names"]),
            "folder ends": len(first["folders"]),
        }
        return self.of_arrays(
            {
                name: np.concatenate(
                    [first[name], second[name][name.endswith("ends") :] + values.dtype.type(added.get(name, 0))]
                )
                for name, values in first.items()
            }
        )

    def moved(self, folders: Mapping[str, str], rows: npt.NDArray[np.bool_]) -> PathColumn:
        """The paths, some of them in other folders. The bytes of their names are shared.

        Args:
            folders: folder of `parts` -> the one that takes its place.
            rows: whether each path is moved, (n,).
        """
        arrays, texts = self._store.arrays(), self._store.folder_texts()
        folder = arrays["folder"].copy()
        folder[rows if self._rows is None else self._rows[rows]] += len(texts)
        both = _folder_arrays([*texts, *(folders.get(text, text) for text in texts)])
        return self._of(_FixedStore({**arrays, "folder": folder, **both}), self._rows)

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
        for folder, name in self.parts():
            yield folder + name

    def _blocks(self) -> Iterator[tuple[Sequence[int], Sequence[str]]]:
        """(number of the folder, rest) of the paths, in columns, some at a time."""
        folder, ends, text = self._store.folder, self._store.ends, self._store.text
        for first in range(0, len(self), _BLOCK):
            last = min(first + _BLOCK, len(self))
            if self._rows is not None:
                rows = self._rows[first:last].tolist()
                yield [folder[row] for row in rows], list(map(self._store.name, rows))
                continue
            block = bytes(text[ends[first] : ends[last]])
            if block.isascii():  # then a byte is a character, and all are decoded at once
                characters, places = block.decode("ascii"), [end - ends[first] for end in ends[first : last + 1]]
                names = [characters[start:end] for start, end in pairwise(places)]
            else:
                names = list(map(self._store.name, range(first, last)))
            yield folder[first:last], names

    def parts(self) -> Iterator[tuple[str, str]]:
        """(folder, rest) of each path, which together are the path. Paths share a few folders.

        A folder ends in its slash; that of a path without one is empty, and that of a path with a `#` ends in the first `#`.
        """
        folders = self._store.folder_texts()
        for numbers, names in self._blocks():
            yield from zip(map(folders.__getitem__, numbers), names, strict=True)

    def by_folder(self, value: Callable[[str], _Value]) -> Iterator[_Value]:
        """`value(path)` of each path, for a function that looks at a path up to its last slash alone: once for each folder."""
        folders = self._store.folder_texts()
        if any(text.endswith("#") for text in folders):
            return map(value, self)
        values = [value(f"{text}name") for text in folders]
        numbers = chain.from_iterable(block for block, _ in self._blocks())
        return map(values.__getitem__, numbers)

    def among(self, paths: Collection[str]) -> npt.NDArray[np.bool_]:
        """Whether each path is one of `paths`, (n,)."""
        found = np.zeros(len(self), np.bool_)
        wanted = {path[: _cut(path)] for path in paths}
        of_folder = np.array([text in wanted for text in self._store.folder_texts()], np.bool_)
        if of_folder.any():
            folder = np.asarray(self._store.folder, np.uint32)
            rows = np.flatnonzero(of_folder[folder if self._rows is None else folder[self._rows]])
            found[rows] = [self[row] in paths for row in rows.tolist()]
        return found

    def may_match(self, pattern: re.Pattern[bytes]) -> bool:
        """Whether a pattern is found in the UTF-8 of the folders or the rests of the paths, one behind the other: if not, no folder
        and no rest matches."""
        arrays = self._store.arrays()
        return any(pattern.search(arrays[name].data) is not None for name in ("folders", "names"))

    def __reduce__(self) -> tuple[type[PathColumn], tuple[list[str]]]:
        return PathColumn, (list(self),)


class PathList(Sequence[Path]):
    """A column of paths as `Path`s, which are made as they are read. It equals any sequence of the same paths.

    Attributes:
        names: the texts of the paths, without such as `./` that a `Path` leaves out.
    """

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
