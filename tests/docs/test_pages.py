"""Rules of all pages: links lead somewhere, and commands, names and folders exist."""

import re
from pathlib import Path

import pytest

import mgm
from mgm.commands.main import COMMANDS, GROUPS
from mgm.data.synthetic.known_motion import make_translation
from tests.markdown import blocks_in, run
from tests.test_architecture import FLOORS, ROOMS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
EVERY = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@EVERY
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in headings(linked), target


@EVERY
def test_commands_exist(page):
    names = {command.__name__ for command in COMMANDS} | set(GROUPS)
    named = re.findall(r"(?:`|^)mgm ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= names


def test_the_readme_has_every_command():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in [command.__name__ for command in COMMANDS] + list(GROUPS):
        assert f"`mgm {name} " in page, f"{name} has no row in the table of commands"


@EVERY
def test_public_names_exist(page):
    if page.name == "CHANGELOG.md":  # it names old ones too
        return
    for name in re.findall(r"(?<![\w/.])mgm\.(\w+)\(", page.read_text(encoding="utf-8")):
        assert name in dir(mgm), name


def test_the_architecture_is_drawn_with_every_folder():
    drawing = re.findall(r"^    .*$", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.MULTILINE)
    words = set(re.findall(r"\w+", " ".join(drawing)))
    drawn = ROOMS["video"] + ROOMS["data"] + ROOMS["training"]
    assert set().union(*FLOORS, *drawn) - {"version"} <= words


def test_every_output_of_a_measurement_is_named_and_exists():
    kept = {path.name for path in (ROOT / "benchmarks" / "results").glob("*.txt")}
    measured = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(\w[\w-]*\.txt)`", measured)) <= kept
    scripts = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "experiments").rglob("*.py")]
    texts = "\n".join(file.read_text(encoding="utf-8") for file in [*PAGES, *scripts])
    assert [name for name in sorted(kept) if name not in texts] == []


def test_the_glossary_has_each_term_once():
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(terms) == len(set(terms)) >= 30


def test_the_first_example_runs(tmp_path, monkeypatch):
    make_translation(tmp_path / "video.mp4", velocity=(2, 1), frames=64, size=(64, 96))
    make_translation(tmp_path / "video.webm", velocity=(2, 1), frames=8, size=(64, 96), codec="libvpx-vp9")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks_in((ROOT / "README.md").read_text(encoding="utf-8"), "python")
    names = run(code.partition("encoder = ")[0], "README.md")
    assert names["mask"].masked.sum(axis=(1, 2)).tolist() == [147] * 8
    assert names["motion"].source == "flow"
