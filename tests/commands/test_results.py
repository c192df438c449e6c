import json

import pytest
import typer
from typer.testing import CliRunner

from mgm.commands.results import results
from mgm.data.annotations import load_set
from mgm.training.results import Result, keep_result
from tests.results import result_of


@pytest.fixture
def run(tiny_set, tmp_path):
    keep_result(tmp_path / "a" / "evaluation.json", result_of(load_set(tiny_set), 0.5, low=0.25, high=0.75))
    return tmp_path


def show(*arguments):
    app = typer.Typer()
    app.command()(results)
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_a_table_for_the_terminal_and_one_for_a_page(run):
    shown = show(run)
    assert "50.0%" in shown
    assert "theirs" not in shown, "no set of the paper's"
    assert "| top-1 | 50.0% | 25.0% to 75.0% | 16 |" in show(run, "--format", "markdown")
    assert show(run, "--format", "csv").splitlines()[1].startswith("a,set,top-1,50.0%,")
    assert show(run, "--format", "latex").startswith(r"\begin{tabular}")


def test_the_records_for_programs(run):
    (row,) = json.loads(show(run, "--json"))
    assert Result.model_validate_json(json.dumps(row["result"])).metric("top-1").value == 0.5
    assert row["paper"] is None


def test_a_table_of_the_paper_needs_no_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shown = show("--paper", "Table 4e", "--format", "csv").splitlines()
    assert shown[0] == "table,method,set,top-1,the paper,small scale,difference to tube"
    assert any(line.startswith('4e,"random tube, 200 epochs",ssv2,fine-tuned,65.0%,') for line in shown)
    assert "tiny ViT" in show("--paper", "Table 4")
    first, *_ = json.loads(show("--paper", "Table 1", "--json"))
    assert (first["paper"]["method"], first["paper"]["value"], first["here"]) == ("MGM, 400 epochs", 0.696, None)
