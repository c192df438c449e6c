"""The catalog of masks: names, options, documentation, and masks of other packages."""

import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import numpy as np
import pytest

from mgm.errors import MaskError
from mgm.masks import TokenMask, build_mask, list_masks, make_mask
from mgm.masks.catalog import MASKS
from tests.errors import raises
from tests.markdown import blocks_in
from tests.masks.every import EVERY

DOCS = Path(__file__).parents[2] / "docs"
METHOD = (DOCS / "method.md").read_text(encoding="utf-8")


@EVERY
def test_a_mask_is_its_options(name):
    mask = build_mask(name)
    assert type(mask) is MASKS[name]
    assert mask.name == name
    assert mask == build_mask(name, **{option.name: getattr(mask, option.name) for option in fields(mask)})
    with pytest.raises(FrozenInstanceError):
        mask.anything = 1
    assert isinstance(mask.draw((2, 7, 7), 0.5, None, np.random.default_rng(0)), TokenMask)


@EVERY
def test_unknown_option(name):
    with raises(MaskError, "unknown_name", subject=name):
        build_mask(name, colour="red")


def test_unknown_name_lists_the_names_and_the_nearest():
    with raises(MaskError, "unknown_name", subject="tubes") as caught:
        build_mask("tubes")
    assert caught.value.expected == f"one of {', '.join(list_masks())}"
    assert "tube" in caught.value.advice


def test_an_unrelated_name_gets_no_suggestion():
    with raises(MaskError, "unknown_name") as caught:
        build_mask("foo")
    assert caught.value.advice == ""


def test_unknown_option_names_the_nearest():
    with raises(MaskError, "unknown_name", message="mask-unknown-option"):
        build_mask("mgm", bondary="clip")


def test_the_names_of_the_method():
    method = "random frame tube block smm smm-sparse mgm mgm-sparse motion-topk motion-prob mgmae multiblock score running-cell"
    assert set(method.split()) <= set(list_masks())
    assert all(MASKS[name].name == name for name in list_masks())


@EVERY
def test_the_docs_have_a_row_with_every_option(name):
    rows = [line for line in METHOD.splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1
    shared = (
        ["boundary", "trim", "fill", "share", "softness", "velocity", "speed", "jitter"]
        if "those of" in rows[0]
        else []
    )
    for option in fields(MASKS[name]):
        assert f"`{option.name}`" in rows[0] or option.name in shared, option.name


def test_a_mask_of_another_package(tmp_path, monkeypatch):
    page = (DOCS / "adding-a-mask.md").read_text(encoding="utf-8")
    (code,) = blocks_in(page, "python")
    (tmp_path / "my_masks.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    drawn = make_mask("my_masks:Columns", grid=(4, 6, 8), ratio=0.5, rng=np.random.default_rng(0))
    assert (drawn.masked.sum(axis=(1, 2)) == 24).all()
    assert (drawn.masked.all(axis=1) | ~drawn.masked.any(axis=1)).all()
    built = build_mask("my_masks:Columns")
    assert build_mask(built) is built
    with raises(MaskError, "conflict", message="mask-built-with-options"):
        build_mask(built, speed=1)
    with raises(MaskError, "not_found", subject="my_masks:Rows"):
        build_mask("my_masks:Rows")
    with raises(MaskError, "not_found", message="mask-not-importable"):
        build_mask("no_such_module:Rows")
    with raises(MaskError, "invalid_type", subject="my_masks:np"):
        build_mask("my_masks:np")


@EVERY
def test_every_docstring_names_its_source(name):
    text = " ".join((MASKS[name].__doc__ or "").split())
    assert text.startswith(f"`{name}`: ")
    assert re.search(r"Eq\. \d|Table \d|20\d\d|project", text), "name a paper with its year, an equation, or mgm"
    for option in fields(MASKS[name]):
        documented = text + " ".join(base.__doc__ or "" for base in MASKS[name].__mro__[1:-1])
        assert re.search(rf"\b{option.name}\b[^.]*:", documented), option.name
