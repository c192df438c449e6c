"""Names of files and classes act neither on a terminal nor on a program that reads a list."""

import csv
import io
import shutil
import unicodedata
from pathlib import Path

import pytest
from rich.table import Table
from typer.testing import CliRunner

from mgm.commands.main import app
from mgm.errors import ConfigError, VideoError
from mgm.printable import from_table_cell, printable, table_cell
from mgm.terminal import Terminal, note, print_result
from mgm.training.log import RunHistory
from mgm.video.scan.manifest import read_manifest

NAMES = [
    "\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "\x9b31mred",
    "a\rb\x08c\x7f",
    "line\nmgm: all is well",
    "\u202egpj.\u2066txt\u2069",
    "\u2028zero\u200bwidth\ufeff",
    "[red]markup[/red] [/] :smile:",
]


def acts(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_character_of_a_name_acts(name: str, capsys: pytest.CaptureFixture[str]):
    assert printable(name).isprintable()
    assert printable(printable(name)) == printable(name)
    print_result(name)
    note(name)
    console = Terminal(force_terminal=False)
    console.print_line(f"{name}: found", style="red")
    table = Table("name", "figure")
    table.add_row(name, "3")
    console.print(table)
    out, err = capsys.readouterr()
    assert not acts(out + err)
    assert out.splitlines()[0] == printable(name)
    assert err == f"mgm: {printable(name)}\n"
    assert "[red]" not in name or "[red]markup[/red] [/]" in out


def test_readable_text_is_unchanged():
    for text in ("", "péché 動画 видео \u3000 😀.mp4", "C:\\videos\\x1b.mp4", "a\udcffb"):
        assert printable(text) == text


def test_an_error_is_one_line():
    error = VideoError("a\nb.mp4", "found \x1b[2J", reason="damaged")
    assert str(error) == r"a\x0ab.mp4: found \x1b[2J"
    assert error.subject == "a\nb.mp4"
    assert str(ConfigError("a\rb", "2 wrong:\n  x\n  y", reason="invalid_value")).split("\n") == [
        r"a\x0db: 2 wrong:",
        "  x",
        "  y",
    ]


def test_cells_of_tables_are_no_formulas():
    for text in ("=cmd|' /c calc'!A0", "+1", "-1", "@sum", "'=1", "''", "x=1", ""):
        assert table_cell(text)[:1] not in tuple("=+-@")
        assert from_table_cell(table_cell(text)) == text


def test_the_list_of_bad_videos_has_one_line_each(tmp_path: Path):
    history = RunHistory(bad={"a\tb\nc.mp4": "a\tb\nc.mp4: empty", "\x1b.mp4": "\x1b.mp4: empty"})
    history.write_bad_videos(tmp_path)
    lines = (tmp_path / "bad_videos.tsv").read_text().splitlines()
    assert [line.split("\t") for line in lines] == [
        [r"\x1b.mp4", "empty"],
        [r"a\x09b\x0ac.mp4", "empty"],
    ]


@pytest.fixture(scope="module")
def odd_set(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set whose classes and files have names that act, and a broken file among them."""
    root = tmp_path_factory.mktemp("odd")
    for place, video in enumerate(sorted(tiny_set.rglob("*.mp4"))[:4]):
        folder = root / f"class{place % 2} {NAMES[0].replace('/', '')}"
        folder.mkdir(exist_ok=True)
        shutil.copy(video, folder / f"{place}{NAMES[3]}{NAMES[4]}.mp4")
    (folder / f"bad{NAMES[1]}.mp4").write_text("text")
    return root


@pytest.mark.parametrize(
    "command",
    [
        "scan {set} --processes 1",
        "scan {set} --processes 1 --verbose",
        "data show {set} --all",
        "pack {set} {out}",
        "prepare {set} {out} --profile motion --processes 1",
        "preview {set} --out {out} --clips 1 --frames 4 --size 32",
        "motion {video}",
    ],
)
def test_no_command_passes_a_name_through(odd_set: Path, tmp_path: Path, command: str):
    video = next(odd_set.rglob("[0-9]*.mp4"))
    arguments = [word.format(set=odd_set, out=tmp_path / "out", video=video) for word in command.split()]
    found = CliRunner().invoke(app, arguments)
    printed = found.output + (str(found.exception) if isinstance(found.exception, VideoError) else "")
    assert found.exit_code in (0, 1), found.output
    assert not acts(printed)
    assert "mgm: all is well" not in printed.splitlines()


def test_a_manifest_is_no_program(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(next(tiny_set.rglob("*.mp4")), "=1+1.mp4")
    CliRunner().invoke(app, ["scan", "=1+1.mp4", "--out", "m.csv", "--processes", "1"])
    (row,) = csv.DictReader(io.StringIO(Path("m.csv").read_text()))
    assert row["path"] == "'=1+1.mp4"
    assert [record.path for record in read_manifest("m.csv")] == ["=1+1.mp4"]
