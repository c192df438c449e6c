"""The blocks of code of a page in Markdown."""

import re
from typing import Any

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """(language, text) of each; the language is "" where none is named, which are commands."""
    return _BLOCK.findall(page)


def blocks_in(page: str, language: str) -> list[str]:
    """The texts of the blocks in one language."""
    return [text for found, text in blocks(page) if found == language]


def run(code: str, name: str) -> dict[str, Any]:
    """Run a block of Python; returns its names. `name` is that of the page in tracebacks."""
    names: dict[str, Any] = {}
    exec(compile(code, name, "exec"), names)
    return names
