"""Clips, motion fields and masks as pictures in notebooks.

`mgm.show.pictures` draws them and is imported with the first one: reading motion or drawing a mask needs no package for pictures.
"""

from __future__ import annotations

from abc import abstractmethod
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

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


def draw(kind: str, *values: Any, **options: Any) -> Image:
    """Call `<kind>_sheet` of `mgm.show.pictures`.

    Raises:
        ModuleNotFoundError: with the packages to install, if those for pictures are missing.
    """
    try:
        pictures = import_module("mgm.show.pictures")
    except ModuleNotFoundError as error:
        if error.name in TRAINING_PACKAGES:
            raise ModuleNotFoundError(missing_package("a picture", error.name), name=error.name) from error
        raise
    image: Image = getattr(pictures, f"{kind}_sheet")(*values, **options)
    return image
