"""The site of docs/: every page has a place in it, and its made pages name every command and public name."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import mgm

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("mkdocs")
    sys.path.insert(0, str(ROOT / "docs"))  # as mkdocs does for a hook
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.pop(0)
    return module


def pages(part):
    if isinstance(part, str):
        return [part]
    return [page for child in (part.values() if isinstance(part, dict) else part) for page in pages(child)]


def test_every_page_has_one_place():
    listed = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    made = {"index.md", "reference/python.md", "reference/commands.md", "reference/settings.md"}
    made |= {f"notebooks/{path.stem}.md" for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    found = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert sorted(listed) == sorted(found | made)


def test_its_style_sheets_exist():
    named = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["extra_css"]
    assert named
    assert all((ROOT / "docs" / name).is_file() for name in named)


def test_the_start_is_the_readme(site):
    assert "](docs/" not in site.start()
    assert "](results.md)" in site.start()


def test_every_public_name_is_in_the_reference(site):
    text = site.public_names()
    packages = {"data", "errors", "masks", "models", "video"}
    for name in set(mgm.__all__) - packages - {"__version__"}:
        assert f".{name}\n" in text, name
    assert "::: mgm.training.finetune.finetune\n" in text  # at its home, which has the docstring


def test_every_command_and_setting_is_in_the_reference(site):
    text = site.commands()
    for command in ("mgm bench data", "mgm recipes show", "mgm pretrain"):
        assert f"\n## {command}\n" in text
    assert "`--resume`" in text
    assert "| `mask.ratio` | `0.75` | fraction of hidden tokens |" in site.settings()


def test_docstrings_are_markdown():
    for file in Path(mgm.__file__).parent.rglob("*.py"):
        marked = [line for line in file.read_text(encoding="utf-8").splitlines() if line.endswith("::")]
        assert not marked, f"{file}: {marked[0]!r} shows two colons on the site"


def test_files_beside_docs_are_named_not_linked(site):
    text = "[its output](../benchmarks/results/x.txt) and [data](data.md)"
    assert (
        site.on_page_markdown(text, page_at("results.md"))
        == "its output (`benchmarks/results/x.txt`) and [data](data.md)"
    )
    assert site.on_page_markdown("[`x.txt`](../results/x.txt)", page_at("results.md")) == "`results/x.txt`"
    assert site.on_page_markdown("[data](../data.md)", page_at("reference/settings.md")) == "[data](../data.md)"


def page_at(path):
    return SimpleNamespace(file=SimpleNamespace(src_uri=path))


@pytest.mark.slow
def test_the_search_works_from_the_disk(tmp_path):
    pytest.importorskip("websockets", reason="websockets is not installed")
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    from tests.explore.chromium import chromium, program

    if program() is None:
        pytest.skip("no Chromium: install one, or name its program in MGM_CHROMIUM")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "-q",
        "-f",
        str(ROOT / "mkdocs.yml"),
        "-d",
        str(tmp_path / "site"),
    ]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    with chromium(tmp_path / "profile") as browser:
        page = browser.page()
        page.open((tmp_path / "site" / "guide.html").as_uri())
        page.run(
            "(e => { e.focus(); e.value = 'tubelet'; e.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true, key: 't'})); })"
            "(document.querySelector('.md-search__input'))"
        )
        page.wait("document.querySelectorAll('.md-search-result__item').length > 3")
        loaded = page.run("performance.getEntriesByType('resource').map((e) => e.name)")
        assert [name for name in loaded if not name.startswith(("file:", "data:"))] == []
        assert page.errors == []
