"""The example of docs/loading.md prints the shown order, and the settings have the shown defaults."""

import re
from pathlib import Path

import pytest

from mgm.training.sections import DataConfig
from tests.markdown import blocks_in, run

PAGE = (Path(__file__).parents[2] / "docs" / "loading.md").read_text(encoding="utf-8")
(EXAMPLE,) = blocks_in(PAGE, "python")


def test_the_order_is_as_printed(capsys):
    run(EXAMPLE, "docs/loading.md")
    printed = capsys.readouterr().out.splitlines()
    promised = [line.split("# ")[1] for line in EXAMPLE.splitlines() if line.startswith("print")]
    assert len(printed) == len(promised) == 3
    for found, shown in zip(printed, promised, strict=True):
        assert shown.startswith(found)


@pytest.mark.parametrize(("key", "default"), re.findall(r"^\| `data\.(\w+)` \| (\S+) \|", PAGE, re.MULTILINE))
def test_the_settings_have_these_defaults(key, default):
    assert str(DataConfig.model_fields[key].default).lower() == default
