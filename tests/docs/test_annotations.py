"""docs/data.md lists the formats, keys and columns of the package."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mgm.commands.data
from mgm.data.annotations import ANNOTATION_FORMATS
from mgm.data.annotations.annotation_file import (
    END_COLUMNS,
    LABEL_COLUMNS,
    NAME_COLUMNS,
    SPLIT_COLUMNS,
    START_COLUMNS,
)
from mgm.data.annotations.spec import ALIASES, KEYS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
SHARED = ROOT.parent / "shared" / "data"


def section(title):
    return re.split(r"^#+ ", PAGE.partition(f"# {title}\n")[2], flags=re.MULTILINE)[0]


def test_every_format_has_its_row():
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in section("Formats").splitlines()
        if line[:3] == "| `"
    ]
    assert rows == [[f"`{f.name}`", f"`{f.example}`", f.used_by] for f in ANNOTATION_FORMATS]


def test_every_key_is_explained():
    found = {
        key
        for line in section("Specification").splitlines()
        if line[:3] == "| `"
        for key in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert found == {*KEYS, "val"}
    assert set(ALIASES) == {"val", "validation"}


def test_every_column_is_named():
    for name in (*NAME_COLUMNS, *LABEL_COLUMNS, *SPLIT_COLUMNS, *START_COLUMNS, *END_COLUMNS):
        assert f"`{name}`" in section("Formats")


@pytest.mark.real
@pytest.mark.skipif(not (SHARED / "surv_fights").is_dir(), reason="the real annotations are not beside the checkout")
def test_the_shown_output_is_the_real_one(monkeypatch):
    monkeypatch.chdir(SHARED)
    done = CliRunner(env={"COLUMNS": "100"}).invoke(mgm.commands.data.data, ["show", "surv_fights/splits"])
    (shown,) = re.findall(r"<!-- output -->\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert [line.rstrip() for line in done.stdout.strip().splitlines()] == shown.strip("\n").split("\n")
