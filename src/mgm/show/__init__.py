"""Pictures of motion and masks (`figures`, `filmstrip`, `pictures`), previews, and the report as one self-contained page.

`mgm.show(clip, mask)` is a call of this package: see `mgm.show.pictures.show`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgm.notebook import Image


class _CallablePackage(ModuleType):
    def __call__(self, *values: Any, **options: Any) -> Image:
        image: Image = import_module(f"{__name__}.pictures").show(*values, **options)
        return image


sys.modules[__name__].__class__ = _CallablePackage
