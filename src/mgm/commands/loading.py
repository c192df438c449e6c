"""PyTorch takes seconds to import, more from a cold disk: a command says so in its first second."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from mgm.terminal import note


def announce_torch() -> None:
    """Print a line when torch is imported, wherever that is."""
    if "torch" not in sys.modules:
        sys.meta_path.insert(0, _Announcement())


class _Announcement(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "torch":
            sys.meta_path.remove(self)
            note("loading PyTorch ...")
        return None
