"""The report of three runs in a real browser, opened from the disk."""

import json

import pytest

pytest.importorskip("websockets", reason="websockets is not installed")

from mgm.commands.report import report
from mgm.training import load_config
from tests.explore.chromium import chromium, program
from tests.show.test_confusion import evaluated
from tests.show.test_progress import run  # noqa: F401

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="no Chromium: install one, or name its program in MGM_CHROMIUM"),
]
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_the_report_of_three_runs_opens_without_an_error(run, tmp_path):  # noqa: F811
    folders = [run(1, 40, 900)]
    for name in ("b", "c"):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        load_config("debug", [f"seed={len(folders)}"]).save(folders[-1] / "config.yaml")
        evaluated(folders[-1], [(0, 0), (0, 1), (1, 1), (2, 0)], ("a long name of a class", "<b>", "up"))
    for folder in folders:
        lines = [json.dumps({"step": step, "loss": 2 - step / 300, "lr": 0.1}) for step in range(300)]
        (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    page_file = tmp_path / "report.html"
    report(folders, out=page_file)
    assert page_file.stat().st_size < 15 * 2**20
    with chromium(tmp_path / "profile") as browser:
        page = browser.page()
        for width, dark in ((1280, False), (390, True)):
            page.size(width, 844, dark=dark)
            page.open(page_file.as_uri())
            assert page.run("document.querySelectorAll('table.matrix').length") == 2
            assert page.run("document.querySelectorAll('.strip img').length") == 5
            assert page.run("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
            assert page.run("performance.getEntriesByType('resource').every(({name}) => name.startsWith('data:'))")
            assert page.run(OVERFLOW) <= 0
        assert page.errors == []
