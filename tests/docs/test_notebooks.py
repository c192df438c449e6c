"""The notebooks in docs/notebooks/ run from an empty folder, and show what their words promise."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def load_runner():
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "docs" / "notebooks.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


RUNNER = load_runner()


def run(name: str, folder: Path):
    return list(RUNNER.run_cells(RUNNER.read_cells(FOLDER / f"{name}.ipynb"), folder))


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["motion", "pretrain", "your-training"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_are_kept_without_outputs(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    for cell in content["cells"]:
        assert not cell.get("outputs"), "clear all outputs before committing: they are made anew for the site"
    assert path.stat().st_size < 20_000


def test_motion_shows_the_clip_its_motion_and_masks(tmp_path: Path) -> None:
    shown = run("motion", tmp_path)
    assert sum(one.png is not None for one in shown) == 3
    assert "measured: " in shown[2].printed
    assert "MotionField(" in shown[-1].printed


@pytest.mark.slow
def test_your_training_hides_three_quarters_and_trains(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    shown = run("your-training", tmp_path)
    assert "'bool_masked_pos': ((4, 512), torch.bool)" in shown[2].text
    assert shown[3].png is not None
    assert len(json.loads(shown[4].text)) >= 5


@pytest.mark.slow
def test_pretrain_shows_the_run_the_probe_and_the_export(tmp_path: Path) -> None:
    shown = run("pretrain", tmp_path)
    assert "128 training and 64 test videos" in shown[1].text
    assert shown[2].png is not None
    assert shown[3].png is not None
    assert "linear probe top-1" in shown[4].html
    assert "model.safetensors" in shown[5].printed
