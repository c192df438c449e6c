"""`mgm export` on the command line."""

import subprocess
import sys
from pathlib import Path

import torch
import typer
from typer.testing import CliRunner

from mgm.commands.export import export
from mgm.errors import ModelError
from mgm.models import MaskedAutoencoder, ModelSpec
from mgm.training import export_model, load_encoder, load_pretrained


def run(*arguments: str | Path):
    app = typer.Typer()
    app.command()(export)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_an_export_becomes_another_format(tmp_path: Path) -> None:
    model = MaskedAutoencoder(ModelSpec("debug", patch=8, frames=4, resolution=32)).eval()
    first = export_model(model, to="safetensors", out=tmp_path / "first")
    result = run(first, "--to", "videomae", "--out", tmp_path / "second", "--data", "moving shapes")
    assert result.exit_code == 0
    assert "README.md, mgm.json, model.pth" in result.output
    again = load_pretrained(tmp_path / "second")
    assert all(torch.equal(again.state_dict()[key], value) for key, value in model.state_dict().items())
    assert "Data: moving shapes." in (tmp_path / "second" / "README.md").read_text()


def test_options_reach_the_export(tmp_path: Path) -> None:
    model = MaskedAutoencoder(ModelSpec("debug", patch=8, frames=4, resolution=32))
    first = export_model(model, to="safetensors", out=tmp_path / "first")
    options = ("--part", "encoder", "--frames", "8", "--resolution", "16", "--heads", "4")
    result = run(first, "--to", "hf", "--out", tmp_path / "second", "--bias-names", "query.bias", *options)
    assert result.exit_code == 0
    spec = load_encoder(tmp_path / "second").spec
    assert (spec.frames, spec.resolution, spec.encoder.heads) == (8, 16, 4)
    refused = run(first, "--to", "hf", "--out", tmp_path / "second")
    assert isinstance(refused.exception, ModelError)
    assert refused.exception.reason == "exists"
    assert run(first, "--to", "hf", "--out", tmp_path / "second", "--overwrite").exit_code == 0
    assert run(first, "--to", "keras", "--out", tmp_path / "third").exit_code == 2


def test_a_folder_in_use_is_refused_before_torch_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    code = "import sys; sys.modules['torch'] = None; from mgm.commands.main import run; run()"
    command = [sys.executable, "-c", code, "export", "run", "--to", "hf", "--out", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"mgm: {tmp_path}: ")
