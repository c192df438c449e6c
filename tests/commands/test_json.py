"""`--json` of every command that prints a table, and readers that leave."""

import inspect
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from mgm.commands.main import COMMANDS, app
from mgm.terminal import print_json, print_result

FIGURES = {"evaluate", "compare", "predict"}
"""Commands that print figures in lines, not as a table."""


def run(*words):
    done = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_every_command_with_a_table_has_it():
    root = typer.main.get_command(app)
    table = re.compile(r"(Table|plain_table)\(")
    tables = {c.__name__ for c in COMMANDS if table.search(inspect.getsource(sys.modules[c.__module__]))}
    assert {"scan", "preview", "probe", "results"} <= tables
    for name in tables | FIGURES:
        assert "--json" in {option for p in root.commands[name].params for option in p.opts}, name
    for group in ("bench", "data", "recipes"):
        below = root.commands[group]
        assert isinstance(below, TyperGroup)
        shown = [c for name, c in below.commands.items() if name != "formats"]
        assert all("--json" in {option for p in c.params for option in p.opts} for c in shown), group


def test_scan_data_and_recipes(tiny_set):
    found = run("scan", tiny_set, "--processes", 1, "--json")
    assert (found["files"], found["readable"], found["problems"]) == (32, 32, [])
    (group,) = found["groups"]
    assert (group["codec"], group["size"], group["files"], group["sources"]) == ("h264", "64x64", 32, ["codec"])
    assert run("data", "show", tiny_set, "--json")["test"]["items"] == 16
    assert "debug" in [recipe["name"] for recipe in run("recipes", "--json")]
    assert run("recipes", "show", "debug", "--json")["seed"]["value"] == 0
    pairs = run("recipes", "diff", "mgm-vitb-k400", "videomae-vitb-k400", "--json")
    assert pairs["mask.name"] == ["mgm", "tube"]


def test_preview_and_bench(tiny_set, tmp_path):
    small = ["--frames", 4, "--stride", 1, "--size", 32, "--clips", 1, "--draws", 2, "--no-video", "--patch", 8]
    found = run("preview", tiny_set, "--out", tmp_path, *small, "--json")
    assert set(found["masks"]) == {"mgm", "tube"}
    assert found["masks"]["tube"]["draws"] == 2
    settings = ["--recipe", "debug", "--clips", 2, "data.memory=false"]
    found = run("bench", "data", tiny_set, *settings, "--json")
    assert found["clips"] == 2
    assert found["clips_per_second"] > 0


def test_values_that_json_lacks(capsys):
    print_json({"a": float("nan"), "b": np.array([1.5, np.inf]), "c": {3, 1}, "d": "\udce9\x1b"})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"a": None, "b": [1.5, None], "c": [1, 3], "d": "\udce9\x1b"}
    assert "\x1b" not in shown


MANY_LINES = "from mgm.commands.main import run; run()"


@pytest.mark.parametrize("words", [["recipes", "show", "mgm-vitb-k400"], ["recipes", "--json"], ["--help"]])
def test_a_reader_that_leaves_ends_the_printing_alone(words):
    """As `mgm ... | head -1`: the writer's exit status is 0, and there is no complaint."""
    done = subprocess.Popen(
        [sys.executable, "-c", MANY_LINES, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert done.stdout.read(1)
    done.stdout.close()
    complaint = done.stderr.read().decode()
    done.stderr.close()
    assert done.wait() == 0, complaint
    assert "Broken" not in complaint
    assert "Traceback" not in complaint


def test_the_work_continues_after_its_reader_left(tmp_path):
    code = (
        "import sys; from mgm.terminal import print_result\n"
        "sys.stdin.readline()\n"  # until the reader has left
        "for n in range(3): print_result(str(n))\n"
        f"open({str(tmp_path / 'result')!r}, 'w').write('done')"
    )
    done = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    done.stdout.close()
    done.stdin.write(b"\n")
    done.stdin.close()
    assert done.wait() == 0
    assert (tmp_path / "result").read_text() == "done"


def test_a_line_is_still_a_line(capsys):
    print_result("a\nb")
    assert capsys.readouterr().out == "a\\x0ab\n"
