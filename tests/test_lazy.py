"""Public packages import their names on first use, and name the packages to install."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mgm.errors import VideoError
from mgm.version import VERSION


@pytest.mark.parametrize("package", ["mgm", "mgm.video", "mgm.masks", "mgm.data", "mgm.models", "mgm.training"])
def test_every_public_name_resolves(package):
    face = importlib.import_module(package)
    modules = {path.name.removesuffix(".py") for path in Path(face.__file__).parent.iterdir()}
    for name in face.__all__:
        value = getattr(face, name)
        assert value is not None
        assert isinstance(value, ModuleType) or name not in modules, f"{package}.{name} is a module as well"
    assert set(dir(face)) == set(face.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        face.no_such_name  # noqa: B018


def test_the_version_is_public():
    assert importlib.import_module("mgm").__version__ == VERSION


def test_a_bare_import_reaches_the_packages():
    code = "import mgm; assert mgm.errors.VideoError and mgm.video.Clip and mgm.masks.TokenMask and mgm.data.VideoSet"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert VideoError is importlib.import_module("mgm").errors.VideoError


def test_the_public_face_is_light():
    """`import mgm`, and `mgm --help`, start without torch, which takes seconds to import."""
    code = (
        "import sys, mgm, mgm.commands.main\n"
        "mgm.read_clip, mgm.make_mask, mgm.scan_videos\n"
        "loaded = {'torch', 'PIL', 'pydantic', 'lightning_fabric'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("package", ["mgm", "mgm.data", "mgm.models"])
def test_help_works_without_the_packages_for_training(package):
    code = (
        "import importlib, pydoc, sys\n"
        "from mgm.lazy import TRAINING_PACKAGES\n"
        "sys.modules |= dict.fromkeys(TRAINING_PACKAGES)\n"
        f"face = importlib.import_module({package!r})\n"
        "text = pydoc.plain(pydoc.render_doc(face))\n"
        "assert 'read_clip' in text or face.__name__ != 'mgm', text\n"
        "assert 'pretrain' not in dir(face)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_torch_the_error_names_the_packages_to_install():
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import mgm\n"
        "try:\n"
        "    mgm.pretrain\n"
        "except ModuleNotFoundError as error:\n"
        "    assert '[train]' in str(error), error\n"
        "else:\n"
        "    raise AssertionError('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
