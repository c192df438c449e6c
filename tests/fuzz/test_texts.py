"""The fuzzer of annotation files and recipes names what it plants; and short runs of it."""

from pathlib import Path

import numpy as np
import pytest

from mgm.errors import DataError
from tests.fuzz import texts
from tests.fuzz.damage import Random
from tests.fuzz.texts import KINDS, damaged, fuzz_texts


def test_damage_is_told_by_its_seed(tmp_path: Path):
    for data in texts.annotation_files(tmp_path).values():
        made = [damaged(data, np.random.default_rng(seed)) for seed in range(6)]
        assert made[3] == damaged(data, np.random.default_rng(3))
        assert len(set(made)) > 3


@pytest.mark.parametrize("kind", KINDS)
def test_intact_files_are_read(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(texts, "damaged", lambda data, rng: data)
    report = fuzz_texts(kind, 40, seed=0, folder=tmp_path)
    assert not report.findings
    assert set(report.counts) <= {"read", "DataError"}  # files of other names are missing
    assert report.counts["read"] > 10


def _planted(path: Path, rng: Random) -> None:
    number = int(rng.integers(4))
    if number == 0:
        raise IndexError
    if number == 1:
        raise DataError(path, "as planted", reason="malformed")
    while number == 2:
        pass


def test_undocumented_exceptions_and_hangs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(texts.KINDS, "recipes", (texts.recipe_files, _planted))
    monkeypatch.setattr(texts, "SECONDS", 0.05)
    report = fuzz_texts("recipes", 20, seed=0, folder=tmp_path / "made", keep=tmp_path)
    assert set(report.counts) == {"read", "DataError", "undocumented IndexError", "undocumented _HangError"}
    assert len(report.findings) == len([path for path in tmp_path.iterdir() if path.is_file()]) > 2


@pytest.mark.parametrize(("kind", "count"), [("annotations", 200), ("recipes", 60)])
def test_a_short_run(tmp_path: Path, kind: str, count: int):
    report = fuzz_texts(kind, count, seed=11, folder=tmp_path)
    assert not report.findings, "\n".join(report.findings)
    assert report.counts["read"] > count / 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_longer_run(tmp_path: Path, kind: str):
    report = fuzz_texts(kind, 3000, seed=12, folder=tmp_path)
    assert not report.findings, "\n".join(report.findings)
