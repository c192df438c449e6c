"""The examples and commands of docs/checkpoints.md run, on a checkpoint in the names of the reference."""

import shlex
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from typer.testing import CliRunner

import mgm
from mgm.commands.main import app
from mgm.training.export.destination import ExportFormat
from tests.markdown import blocks_in, run
from tests.models.reference import pretrained_shapes, random_state

PAGE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
EXAMPLES = blocks_in(PAGE, "python")
COMMANDS = [line for text in blocks_in(PAGE, "") for line in text.splitlines()]


@pytest.fixture
def folder(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of an example: `checkpoint.pth`, `video.mp4` and `videos/`."""
    shapes = pretrained_shapes(dim=32, depth=2, width=16, layers=1, patch=16)
    torch.save({"model": random_state(shapes, std=0.02)}, tmp_path / "checkpoint.pth")
    shutil.copytree(tiny_set, tmp_path / "videos")
    shutil.copy(next((tmp_path / "videos").rglob("*.mp4")), tmp_path / "video.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(words: str) -> dict[str, Any]:
    """Run the one example that contains `words` and return its names."""
    (code,) = (code for code in EXAMPLES if words in code)
    return run(code, "docs/checkpoints.md")


def test_loading(folder: Path) -> None:
    names = example("small = mgm.load_encoder")

    assert names["tokens"].shape == (1, 1568, 32)
    assert names["small"].spec.video_shape == (3, 8, 64, 64)
    assert type(names["model"]).__name__ == "MaskedAutoencoder"


def test_fine_tuning(folder: Path) -> None:
    example("mgm.config_for")

    assert list((folder / "runs" / "tuned-too" / "checkpoints").iterdir())


def test_exporting(folder: Path) -> None:
    names = example("mgm.export_model")

    assert torch.equal(names["model"].mask_token, mgm.load_pretrained("checkpoint.pth").mask_token)


def test_every_example_of_the_page_has_its_test() -> None:
    assert len(EXAMPLES) == 3


# tests/training/export covers ONNX within seconds; as a command of the page it is slow.
@pytest.mark.parametrize("line", [pytest.param(c, marks=[pytest.mark.slow] * ("onnx" in c)) for c in COMMANDS])
def test_commands_run_as_they_are_written(line: str, folder: Path) -> None:
    if "onnx" in line:
        pytest.importorskip("onnxscript")
    program, *arguments = shlex.split(line)

    result = CliRunner().invoke(app, arguments, catch_exceptions=False)

    assert program == "mgm"
    assert result.exit_code == 0, result.output
    written = {"exported", "official", "encoder", "graph", "onnx", "runs", "checkpoint.pth.probe.json"}
    assert len(written & {path.name for path in folder.iterdir()}) == 1


def test_the_page_has_all_formats_of_the_command() -> None:
    assert all(f"| `{name}` |" in PAGE for name in get_args(ExportFormat))
