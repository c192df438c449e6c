"""The examples of docs/models.md run, and its tables agree with the catalogs."""

import re
from pathlib import Path
from typing import Any

from mgm.models import SIZES, TARGETS, ModelSpec
from mgm.training.sections import ModelConfig
from tests.markdown import blocks_in

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_examples_run() -> None:
    names: dict[str, Any] = {}
    for code in blocks_in(PAGE, "python"):
        exec(compile(code, "docs/models.md", "exec"), names)
    assert set(names["result"].parts) == {"normalised-pixels", "hog"}
    assert names["tokens"].shape == (2, 16, 32)
    assert names["picture"].shape == names["video"].shape
    assert names["logits"].shape == (1, 10)


def test_the_tables_name_what_exists() -> None:
    assert set(re.findall(r"^\| `([\w-]+)` \| [\dt]", PAGE, re.MULTILINE)) == set(TARGETS)
    keys = re.findall(r"`model\.(\w+)`", PAGE)
    assert set(keys) == set(ModelConfig.model_fields) - {"spec"}  # which `config_for` writes
    for name in "SBLH":
        encoder, decoder = SIZES[name].encoder, SIZES[name].decoder
        row = f"| {name} | {encoder.dim}/{encoder.depth}/{encoder.heads} | {decoder.dim}/{decoder.depth}/{decoder.heads} |"
        assert row in PAGE
    assert ModelSpec("B").grid == (8, 14, 14)
