"""Packages whose public names are imported when they are first used: `import mgm` never imports torch.

The names of a package are listed once, in its `__init__.pyi`, which type checkers and editors read as well. `lazy_loader` does the
same, without a hint for packages that are not installed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

NAME: Final = "motion-guided-masking"
"""Of the distribution."""
PICTURE_PACKAGES = {"PIL"}
"""Those of the extra `show`."""
TRAINING_PACKAGES = {"torch", "pydantic", "yaml", "lightning_fabric", "PIL", "safetensors", "tensorboard"}


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package, from the imports of the stub beside its `__init__.py`.

    `from mgm.folder.file import name as name` is a name, `from mgm import folder as folder` a module of the package itself.
    """
    homes = _read_stub(Path(file).with_suffix(".pyi"))
    names = sorted(homes)

    def get(name: str) -> Any:
        """The value of a public name, from the module that defines it."""
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, original = homes[name]
        try:
            value = import_module(f"{home}.{original}") if home == package else getattr(import_module(home), original)
        except ModuleNotFoundError as error:
            if error.name in TRAINING_PACKAGES:
                raise ModuleNotFoundError(missing_package(name, error.name), name=error.name) from error
            raise
        # A package of this name, as `mgm.show`, is its own function: the import of it has set the attribute.
        return vars(sys.modules[package]).setdefault(name, value)

    def listed() -> list[str]:
        # `help` gets every name that is listed; a base installation has no packages for some.
        return names if all(map(find_spec, TRAINING_PACKAGES)) else [name for name in names if _is_there(get, name)]

    return get, listed, names


def _is_there(get: Callable[[str], Any], name: str) -> bool:
    try:
        get(name)
    except ModuleNotFoundError:
        return False
    return True


def missing_package(subject: str, package: str | None) -> str:
    """The message for an installation that lacks a package which `subject`, a name or a command, needs."""
    extra, purpose = ("show", "pictures") if package in PICTURE_PACKAGES else ("train", "training")
    return f"{subject} needs the packages for {purpose}: {install_command(extra)}"


def install_command(extra: str) -> str:
    """The command that adds an extra to this installation, from any folder: from where it was installed, a checkout or a URL."""
    import shlex  # here, as in `_origin`: every command imports this module, and few need these

    place = _origin()
    if place is None:
        return f"pip install '{NAME}[{extra}]'"
    wanted = f"{NAME}[{extra}] @ {place}" if "://" in place else f"{place}[{extra}]"
    return f"pip install {shlex.quote(wanted)}"


def _origin() -> str | None:
    """The folder or URL that the package was installed from; None for an index."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote

    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file():
        return str(checkout)
    try:
        recorded = distribution(NAME).read_text("direct_url.json")  # PEP 610
    except PackageNotFoundError:
        return None
    if recorded is None:
        return None
    found = json.loads(recorded)
    url = str(found["url"])
    if "vcs_info" in found:
        return f"{found['vcs_info']['vcs']}+{url}"
    folder = Path(unquote(url.removeprefix("file://")))
    return str(folder) if url.startswith("file://") and folder.is_dir() else url


def _read_stub(stub: Path) -> dict[str, tuple[str, str]]:
    """Every imported name with its module and its name there."""
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
