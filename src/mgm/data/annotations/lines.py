"""The lines of a text, split as they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import overload

_BLOCK = 2**16
"""Characters that are split at a time."""


class Lines(Sequence[tuple[int, str]]):
    """The lines of a text that are not blank: (number from 1, text without surrounding white space).

    They are split anew in each pass: as objects, two million lines would take ten times the memory of the text. An index reads all
    lines before its own.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._count = sum(1 for _ in self)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        text, start, number = self._text, 0, 0
        while start < len(text):
            end = text.find("\n", start + _BLOCK)
            end = len(text) if end < 0 else end
            # Not splitlines: a name may contain the other line separators of Unicode.
            for line in text[start:end].split("\n"):
                number += 1
                line = line.strip(" \t\r")
                if line:
                    yield number, line
            start = end + 1

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> tuple[int, str]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, str]]: ...

    def __getitem__(self, index: int | slice) -> tuple[int, str] | list[tuple[int, str]]:
        chosen = range(self._count)[index]
        if isinstance(chosen, range):
            return list(islice(self, chosen.start, max(chosen.stop, 0), chosen.step))
        return next(islice(self, chosen, None))
