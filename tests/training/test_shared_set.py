"""Processes that run together have one set: one of each machine reads it, and its errors reach all."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from mgm.data.annotations import load_set
from mgm.errors import DataError
from mgm.training.shared_set import SetOffer, check_offers, shared_set
from tests.data.annotations.files import touch, write
from tests.errors import raises
from tests.training.test_ranks import TOGETHER

SCRIPT = Path(__file__).with_name("two_ranks_set.py")


def together(folder, *sets, place=None, **environment):
    """What each of two ranks found, and what was printed; `place` is their temporary folder, in which they leave nothing."""
    folder.mkdir()
    place = place or folder / "temporary"
    place.mkdir(exist_ok=True)
    done = subprocess.run(
        [*TOGETHER, str(SCRIPT), str(folder), str(place), *map(str, sets)],
        check=True, timeout=120, stderr=subprocess.PIPE, text=True, env=os.environ | environment,
    )  # fmt: skip
    assert list(place.iterdir()) == []
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)], done.stderr


def content(given):
    """A set as the ranks report it."""
    found = load_set(given)
    items = [[item.path, item.label, item.start, item.end] for item in found.items]
    about = [found.root, len(found.train), found.classes, found.split_rule, found.notes, found.missing]
    return json.loads(json.dumps({"items": items, "about": about}))


@pytest.fixture
def sets(tmp_path):
    """A list with a missing file and parts of files, a folder with a name that is not text, and one without labels."""
    touch(tmp_path / "listed", "x/1.mp4", "x/2.mp4", "y/3.mp4")
    parts = ["path,label,start,end", "x/1.mp4,a,0,5", "x/1.mp4,b,5,9", "x/2.mp4,a,0,9", "y/3.mp4,b,2,9"]
    rows = write(tmp_path / "parts.csv", *parts)
    test = write(tmp_path / "test.csv", parts[0], "y/3.mp4,a,0,2", "y/lost.mp4,b,0,2")
    touch(tmp_path / "folders", "train/a/1.mp4", "train/b/2\udce9.mp4", "test/a/3.mp4", "test/b/4.mp4")
    touch(tmp_path / "flat", "1.mp4", "2.mp4")
    return f"train={rows},test={test},root={tmp_path / 'listed'}", str(tmp_path / "folders"), str(tmp_path / "flat")


def test_a_process_alone_loads_the_set_and_writes_nothing(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    for given in sets:
        assert shared_set(given) == load_set(given)
    found = load_set(sets[0])
    assert shared_set(found) is found


@pytest.mark.slow
def test_two_ranks_have_the_set_that_the_first_one_reads(sets, tmp_path):
    """A set that cannot be loaded is the same error on both, and the next one is loaded all the same."""
    missing = str(tmp_path / "missing")
    (first, second), printed = together(tmp_path / "report", sets[0], missing, *sets[1:])
    assert first["read"] == [sets[0], missing, *sets[1:]]
    assert second["read"] == []
    for rank in (first, second):
        error = rank["result"].pop(1)
        assert error == {"error": "DataError", "reason": "not_found", "subject": missing}
        assert rank["result"] == [content(given) for given in sets]
    assert "mgm:" not in printed


@pytest.mark.slow
def test_without_a_place_for_the_file_every_rank_reads(sets, tmp_path):
    blind, printed = together(tmp_path / "blind", sets[0], BLIND="1")
    assert [rank["read"] for rank in blind] == [[sets[0]]] * 2
    assert [rank["result"] for rank in blind] == [[content(sets[0])]] * 2
    assert printed.count("mgm: every process reads the set itself") == 1
    full, printed = together(tmp_path / "full", sets[0], FULL="1")
    assert [rank["read"] for rank in full] == [[sets[0]]] * 2
    assert "No space left on device" in printed


def test_the_words_about_two_machines():
    with raises(DataError, "mismatch", subject="videos", message="shared-set-machines-differ"):
        check_offers([SetOffer(0, "videos", "ab"), SetOffer(1, "videos", "ab"), SetOffer(2, "videos", "cd")])


@pytest.mark.slow
def test_two_machines_read_the_same_set_or_stop(sets, tmp_path):
    """The common folder of the videos may differ between them."""
    for name in "01":
        touch(tmp_path / name, "a/1.mp4", "b/2.mp4", "c/3.mp4")
        write(tmp_path / f"{name}.txt", "a/1.mp4 0", f"{'bc'[int(name)]}/2.mp4 1".replace("c/2", "c/3"))
    alike, apart = f"{tmp_path}/{{0-1}}", f"train={tmp_path}/{{0-1}}.txt,root={tmp_path}/0"
    (first, second), _ = together(tmp_path / "report", "machines", alike, apart)
    for rank, found in enumerate((first, second)):
        own, other = found["result"]
        assert own == content(f"{tmp_path}/{rank}")
        assert len(found["read"]) == 2
        assert other["error"] == "DataError"
        assert other["reason"] == "mismatch"
