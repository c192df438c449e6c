"""A base installation with the extra `show`: scan, motion, preview, help and pictures run without torch and YAML."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mgm import lazy
from mgm.data.synthetic.known_motion import make_translation
from mgm.lazy import PICTURE_PACKAGES, TRAINING_PACKAGES, install_command, missing_package

ABSENT = {*TRAINING_PACKAGES, "transformers", "cv2"} - PICTURE_PACKAGES - {"pydantic"}
"""typer brings pydantic."""
BLOCK = f"import sys; sys.modules |= dict.fromkeys({sorted(ABSENT)!r}); "


def run(code, *words, cwd):
    command = [sys.executable, "-c", BLOCK + code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=os.environ, check=False)


def test_scan_motion_preview_and_help(tmp_path):
    make_translation(tmp_path / "v" / "a.mp4", velocity=(2, 1), frames=20, size=(48, 64))
    small = "'--size','32','--frames','4','--stride','1','--draws','2','--format','png,svg,mp4'"
    code = (
        "import mgm, pydoc\n"
        "from typer.testing import CliRunner\n"
        "from mgm.commands.main import app\n"
        "def call(*words):\n"
        "    done = CliRunner().invoke(app, words, catch_exceptions=False)\n"
        "    assert done.exit_code == 0, done.output\n"
        "call('scan', 'v')\n"
        "call('motion', 'v/a.mp4', '--out', 'm.npz', '--overlay', 'm.mp4')\n"
        f"call('preview', 'v', {small})\n"
        "call('preview', '--help')\n"
        "assert {'read_clip', 'make_mask', 'preview', 'scan_videos'} <= set(dir(mgm)), dir(mgm)\n"
        "assert 'read_clip' in pydoc.plain(pydoc.render_doc(mgm))\n"
        "assert mgm.read_clip('v/a.mp4', frames=4, stride=1)._repr_png_()\n"
        "assert 'torch' not in {name for name, module in sys.modules.items() if module is not None}\n"
    )
    done = run(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.suffix for path in (tmp_path / "preview").iterdir()} == {".png", ".svg", ".mp4", ".csv"}


def test_a_recipe_needs_the_packages_for_training(tmp_path):
    code = "from mgm.commands.main import run; run()"
    done = run(code, "preview", "v", "--recipe", "debug", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"mgm: {missing_package('load_config', 'pydantic')}" or (
        done.stderr.splitlines()[-1] == f"mgm: {missing_package('this command', 'pydantic')}"
    )


def test_the_explorer_names_its_extra(tmp_path):
    make_translation(tmp_path / "a.mp4", velocity=(2, 1), frames=20, size=(48, 64))
    code = "sys.modules['starlette'] = None; from mgm.commands.main import run; run()"
    done = run(code, "explore", "a.mp4", "--no-browser", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"mgm: mgm explore: the package starlette is not installed; {install_command('explore')}"
    )


def test_the_explorer_shows_clips_and_masks(tmp_path):
    pytest.importorskip("starlette", reason="the extra explore is not installed")
    make_translation(tmp_path / "v" / "a.mp4", velocity=(2, 1), frames=20, size=(48, 64))
    code = (
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from pathlib import Path\n"
        "from mgm.explore.explorer import Explorer\n"
        "from mgm.explore.library import Library, Limits, list_folder\n"
        "from mgm.explore.reading import ClipReader\n"
        "from mgm.explore.server import create_app\n"
        "from tests.explore.visitors import TOKEN, Visitor, client_of\n"
        "if __name__ == '__main__':\n"
        "    with ClipReader(processes=1, timeout_seconds=60, ahead_after_seconds=None) as reader:\n"
        "        place = Path('v')\n"
        "        library = Library(list_folder(place), inside=place, scratch=Path(), limits=Limits())\n"
        "        visitor = Visitor(client_of(create_app(Explorer(library, reader, place='v'), token=TOKEN)))\n"
        "        clip = {'start': 0, 'frames': 8, 'stride': 2, 'motion': 'codec'}\n"
        "        body = {'video': 'a.mp4', 'clip': clip, 'masks': [{'name': 'mgm', 'ratio': 0.75, 'options': {}}], 'seed': 3}\n"
        "        found = visitor.post('masks', body)\n"
        "        assert found.status_code == 200, found.text\n"
        "    assert 'torch' not in {name for name, module in sys.modules.items() if module is not None}\n"
    )
    done = run(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_package_that_is_absent_is_not_announced_as_loading(tmp_path):
    code = (
        "del sys.modules['torch']\n"
        "import importlib.machinery as machinery\n"
        "plain = machinery.PathFinder.find_spec\n"
        "absent = lambda name, *rest: None if name == 'torch' else plain(name, *rest)\n"
        "machinery.PathFinder.find_spec = staticmethod(absent)\n"
        "from mgm.commands.main import run\n"
        "run()"
    )
    done = run(code, "probe", "runs/a", "v", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"mgm: {missing_package('this command', 'torch')}"
    assert "loading" not in done.stderr


@pytest.mark.parametrize(
    ("recorded", "command"),
    [
        (None, "pip install 'motion-guided-masking[show]'"),
        ({"url": "file:///absent/a.whl"}, "pip install 'motion-guided-masking[show] @ file:///absent/a.whl'"),
        (
            {"url": "https://h.org/a.git", "vcs_info": {"vcs": "git"}},
            "pip install 'motion-guided-masking[show] @ git+https://h.org/a.git'",
        ),
        ({"url": "file://{here}"}, "pip install '{here}[show]'"),
    ],
)
def test_the_command_works_from_any_folder(recorded, command, monkeypatch, tmp_path):
    class Installed:
        def read_text(self, name):
            assert name == "direct_url.json"
            return None if recorded is None else json.dumps(recorded).replace("{here}", str(tmp_path))

    monkeypatch.setattr(lazy, "__file__", str(tmp_path / "site-packages" / "mgm" / "lazy.py"))
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Installed())
    assert install_command("show") == command.replace("{here}", str(tmp_path))


def test_in_a_checkout_it_names_the_checkout():
    place = lazy._origin()
    assert place is not None
    assert install_command("train") == f"pip install '{place}[train]'"
