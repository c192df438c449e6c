"""PyTorch takes seconds to import, more from a cold disk, and so do the loops of a new installation: a command says so before."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from mgm.terminal import note
from mgm.waits import announce_compilation


def announce_torch() -> None:
    """Print a line when torch is imported, wherever that is."""
    if "torch" not in sys.modules:
        sys.meta_path.insert(0, _Announcement())


def announce_loops() -> None:
    """Print a line when an inner loop must be compiled, once."""
    announce_compilation(lambda: note("compiling loops, once for this installation ..."))


class _Announcement(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "torch":
            sys.meta_path.remove(self)
            if find_spec(fullname) is not None:  # else a message about it follows
                note("loading PyTorch ...")
        return None
