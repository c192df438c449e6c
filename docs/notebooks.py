"""The notebooks in docs/notebooks/: their cells, run in order as Jupyter does, and as Markdown with what they show.

They are committed without outputs, which would be out of date with the next change: `make docs` runs them for the site, and a test
runs them too. Jupyter itself, 40 packages, is not needed for that.
"""

from __future__ import annotations

import ast
import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal


@dataclass(frozen=True)
class Cell:
    """A cell as it is written."""

    kind: Literal["markdown", "code"]
    text: str


@dataclass(frozen=True)
class Shown:
    """What a cell printed, and the picture, the table or the text of its last line."""

    printed: str = ""
    png: bytes | None = None
    html: str = ""
    text: str = ""


def read_cells(notebook: Path) -> list[Cell]:
    """The cells of an .ipynb file."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return [Cell(cell["cell_type"], "".join(cell["source"])) for cell in content["cells"]]


def run_cells(cells: list[Cell], folder: Path) -> Iterator[Shown]:
    """Run the code cells in one namespace, in `folder`; yields what each shows. Exceptions of a cell are its own."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        if cell.kind == "code":
            printed = StringIO()
            with chdir(folder), redirect_stdout(printed):
                value = _run(cell.text, f"cell {number}", names)
                yield _shown(value, printed.getvalue())


def as_markdown(notebook: Path) -> str:
    """The cells and what they show, in a temporary folder, as a page."""
    cells, parts = read_cells(notebook), []
    with TemporaryDirectory() as folder:
        outputs = run_cells(cells, Path(folder))
        for cell in cells:
            parts.append(cell.text if cell.kind == "markdown" else f"```python\n{cell.text}\n```")
            if cell.kind == "code":
                parts += _output(next(outputs))
    return "\n\n".join(parts) + "\n"


def _run(code: str, name: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line, if that is an expression."""
    tree = ast.parse(code, name)
    last = tree.body[-1] if tree.body else None
    shown = last.value if isinstance(last, ast.Expr) else None
    if shown is not None:
        tree.body.pop()
    exec(compile(tree, name, "exec"), names)
    return None if shown is None else eval(compile(ast.Expression(shown), name, "eval"), names)


def _shown(value: Any, printed: str) -> Shown:
    """As Jupyter chooses: a table before a picture before text."""
    if hasattr(value, "_repr_html_"):
        return Shown(printed, html=value._repr_html_())
    if hasattr(value, "_repr_png_"):
        return Shown(printed, png=value._repr_png_())
    return Shown(printed, text="" if value is None else repr(value))


def _output(shown: Shown) -> Iterator[str]:
    for text in (shown.printed, shown.text):
        if text:
            yield f"```text\n{text.rstrip()}\n```"
    if shown.html:
        yield shown.html
    if shown.png is not None:
        yield f'<img alt="What the cell shows" src="data:image/png;base64,{b64encode(shown.png).decode()}">'
