"""Text for people: numbers of things, and texts without characters that act instead of being read.

Names of files and classes may contain any such character.
"""

from __future__ import annotations

import re

_ACTING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""Control characters, which a terminal obeys or which end a line, and characters without width or that reorder their neighbours."""


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with its control characters written as `\x1b` or `\u202e`, on one line.

    Args:
        keep: characters that stay, such as a newline in text of several lines.
    """
    return _ACTING.sub(lambda found: found[0] if found[0] in keep else _escape(ord(found[0])), text)


def plural(number: int, noun: str) -> str:
    """ "1 step", "2,000 steps"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


_FORMULA = re.compile(r"'*[=+\-@]")


def table_cell(text: str) -> str:
    """The text as a cell of csv. A leading apostrophe keeps a program for tables from running it as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_table_cell(cell: str) -> str:
    """The text that was given to `table_cell`."""
    return cell.removeprefix("'") if _FORMULA.match(cell) else cell
