"""The house's rules that a machine can check: imports go down, the bottom floors need no torch, nobody imports the command line."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import mgm

SOURCE = Path(mgm.__file__).parent

# Floors from the ground up; a floor may import those on lines above its own. Floors on one line do not know each other.
FLOORS = [
    {"errors", "lazy", "notebook", "spans", "version"},
    {"files", "workers"},
    {"video", "masks"},
    {"data", "models", "flow"},
    {"training"},
    {"evaluation"},
    {"show"},
    {"demo"},
    {"commands"},
]
LEVEL = {name: level for level, floor in enumerate(FLOORS) for name in floor}
HEAVY = {"torch", "lightning_fabric", "pydantic", "PIL", "transformers", "tensorboard"}


def floor_of(module: str) -> str:
    """ "mgm.video.scan.scan" -> "video"; "mgm" itself is the public face."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "face"


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import; write the whole name"
            yield node.module or ""


FILES = sorted(p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py")


def test_every_folder_is_a_floor():
    here = {
        p.name if p.is_dir() else p.stem for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert here - {"__init__"} == set(LEVEL), "a new folder belongs into FLOORS and docs/architecture.md"


@pytest.mark.parametrize("file", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_down(file):
    relative = file.relative_to(SOURCE)
    own = relative.parts[0].removesuffix(".py")
    for module in imports(file):
        if module.split(".")[0] != "mgm":
            continue
        other = floor_of(module)
        if other == "face":
            assert own == "commands", f"{relative} imports the public face; import from the floor itself"
            continue
        assert own == other or LEVEL[other] < LEVEL[own], f"{relative} imports {module}, which is not below it"


@pytest.mark.parametrize("file", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_video_and_masks_need_no_torch(file):
    own = file.relative_to(SOURCE).parts[0]
    if own in ("video", "masks"):
        assert not {module.split(".")[0] for module in imports(file)} & HEAVY


def test_the_public_face_is_light():
    """`import mgm`, and `mgm --help`, start without torch: it takes seconds to import."""
    code = (
        "import sys, mgm, mgm.commands.main\n"
        "mgm.read_clip, mgm.make_mask, mgm.scan\n"
        "loaded = {'torch', 'PIL', 'pydantic', 'lightning_fabric'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("package", ["mgm", "mgm.video", "mgm.masks", "mgm.data", "mgm.models"])
def test_every_public_name_resolves(package):
    face = importlib.import_module(package)
    folder = Path(face.__file__).parent
    modules = {path.name.removesuffix(".py") for path in folder.iterdir()}
    for name in face.__all__:
        value = getattr(face, name)
        assert value is not None
        assert isinstance(value, ModuleType) or name not in modules, f"{package}.{name} is a module as well"
    assert set(dir(face)) == set(face.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        face.no_such_name  # noqa: B018


def test_without_torch_training_says_what_to_install():
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import mgm\n"
        "try:\n"
        "    mgm.pretrain\n"
        "except ModuleNotFoundError as error:\n"
        "    assert 'motion-guided-masking[train]' in str(error), error\n"
        "else:\n"
        "    raise AssertionError('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_torchvision_is_absent():
    """Beside a torch of another build it breaks lightning_fabric on import; see constraints.txt."""
    import importlib.util

    assert importlib.util.find_spec("torchvision") is None
