"""Values that show themselves in notebooks: clips, motion fields and masks as pictures, results as tables.

`mgm.show.pictures` draws them and is imported with the first one: reading motion or drawing a mask needs no package for pictures.
"""

from __future__ import annotations

from abc import abstractmethod
from html import escape
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from mgm.lazy import TRAINING_PACKAGES, missing_package

if TYPE_CHECKING:
    from PIL.Image import Image as Image


class Pictured:
    """Base of values with a picture: `show()` returns it, and a notebook displays it."""

    __slots__ = ()

    @abstractmethod
    def show(self) -> Image:
        """The picture."""

    def _repr_png_(self) -> bytes | None:
        """For notebooks; None without the packages for pictures."""
        try:
            image = self.show()
        except ModuleNotFoundError:
            return None
        buffer = BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()


class Tabled:
    """Base of values that a notebook shows as a table."""

    __slots__ = ()

    @abstractmethod
    def as_table(self) -> Table:
        """What the value says, in rows."""

    def _repr_html_(self) -> str:
        """For notebooks: a table in the notebook's own style."""
        table = self.as_table()
        head = "".join(f"<th>{escape(name)}</th>" for name in table.headings)
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
        return f"<table><caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


class Table(NamedTuple):
    """Lines of text under a title. Each row has a cell for each heading."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def draw(sheet: str, *values: Any, **options: Any) -> Image:
    """Call the function `sheet` of `mgm.show.pictures`.

    Raises:
        ModuleNotFoundError: with the packages to install, if those for pictures are missing.
    """
    try:
        pictures = import_module("mgm.show.pictures")
    except ModuleNotFoundError as error:
        if error.name in TRAINING_PACKAGES:
            raise ModuleNotFoundError(missing_package("a picture", error.name), name=error.name) from error
        raise
    image: Image = getattr(pictures, sheet)(*values, **options)
    return image
