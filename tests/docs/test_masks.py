"""The example of docs/masks.md runs, its table is the measured one, its pictures exist."""

import re
from pathlib import Path

import pytest
from PIL import Image

from mgm.data.synthetic.known_motion import make_translation
from mgm.masks import list_masks
from tests.markdown import blocks_in, run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "masks.md").read_text(encoding="utf-8")
RESULT = (ROOT / "benchmarks" / "results" / "mask_table.txt").read_text(encoding="utf-8")


def table_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| `") and line.count("|") > 10]


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_translation(tmp_path / "video.mp4", velocity=(2, 1), frames=32, size=(64, 96))
    monkeypatch.chdir(tmp_path)
    (code,) = blocks_in(PAGE, "python")
    names = run(code, "docs/masks.md")
    assert len(names["draws"]) == 100
    assert names["found"].draws == 100


def test_the_table_is_what_the_experiment_printed() -> None:
    printed = table_rows(RESULT.partition("\nsummary\n")[2])
    assert printed
    assert table_rows(PAGE) == printed


def test_the_table_names_masks_that_exist() -> None:
    """The table is a measurement, which a new mask gets when someone runs it on the real clips."""
    labels = {row.split("`")[1].partition(",")[0] for row in table_rows(PAGE)}
    assert labels <= set(list_masks())


def test_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\((images/[^)]+)\)", PAGE)
    assert {Path(p).name for p in pictures} == {p.name for p in (ROOT / "docs" / "images").glob("masks-*.png")}
    assert len(pictures) == 3
    for target in pictures:
        path = ROOT / "docs" / target
        assert path.stat().st_size < 400_000, target
        with Image.open(path) as image:
            assert image.width >= 700, target
