"""Folders of annotation files: Something-Something, UCF101, HMDB51 and real lists."""

import json
from pathlib import Path

import pytest

from mgm.data.annotations import load_set, resolve_set
from mgm.errors import DataError
from tests.data.annotations.files import pairs, touch, write
from tests.errors import raises

SHARED = Path(__file__).parents[4] / "shared" / "data"


PATAN = SHARED / "annotations" / "patan"


FIGHTS = SHARED / "surv_fights"


def test_something_something(tmp_path):
    """The JSON files of the data set, in a folder: class names, training, validation, and test without labels."""
    labels = {"Holding something": "0", "Moving something up": "1"}
    train = [
        {"id": "78687", "label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]},
        {"id": "42326", "label": "moving tea up", "template": "Moving [something] up", "placeholders": ["tea"]},
    ]
    validation = [{"id": "7", "label": "moving a up", "template": "Moving [something] up", "placeholders": ["a"]}]
    folder = tmp_path / "labels"
    for name, tree in (("labels", labels), ("train", train), ("validation", validation), ("test", [{"id": "9"}])):
        write(folder / f"something-something-v2-{name}.json", json.dumps(tree))
    touch(tmp_path / "webm", "78687.webm", "42326.mp4", "7.webm", "9.webm")
    with raises(DataError, "not_found") as caught:
        load_set(folder / "something-something-v2-train.json")
    assert f"root={tmp_path}/webm" in caught.value.advice
    found = load_set({"data": folder, "root": tmp_path / "webm"})
    assert found.classes == ("Holding something", "Moving something up")
    assert pairs(found, found.train) == [("78687.webm", "Holding something"), ("42326.mp4", "Moving something up")]
    assert pairs(found, found.test) == [("7.webm", "Moving something up")]
    assert any("1 videos of the test split are not used" in note for note in found.notes)
    write(tmp_path / "answers.csv", "9;Holding something")
    found = load_set(
        {
            "train": folder / "something-something-v2-train.json",
            "test": folder / "something-something-v2-test.json",
            "labels": tmp_path / "answers.csv",
            "root": tmp_path,
        }
    )
    assert pairs(found, found.test) == [("9.webm", "Holding something")]


def test_ucf101(tmp_path):
    """Lists with labels from 1 and class names beside them; the test lists have labels in their folders only."""
    touch(
        tmp_path / "ucf", "Archery/v_Archery_g08_c01.avi", "Biking/v_Biking_g08_c01.avi", "Biking/v_Biking_g01_c01.avi"
    )
    lists = tmp_path / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1 Archery", "2 Biking")
    write(lists / "trainlist01.txt", "Archery/v_Archery_g08_c01.avi 1", "Biking/v_Biking_g08_c01.avi 2")
    write(lists / "testlist01.txt", "Biking/v_Biking_g01_c01.avi")
    write(lists / "trainlist02.txt", "Biking/v_Biking_g01_c01.avi 2")
    write(lists / "testlist02.txt", "Archery/v_Archery_g08_c01.avi", "Biking/v_Biking_g08_c01.avi")
    found = load_set(f"data={lists},root={tmp_path}/ucf")
    assert found.classes == ("Archery", "Biking")
    assert pairs(found, found.train) == [("v_Archery_g08_c01.avi", "Archery"), ("v_Biking_g08_c01.avi", "Biking")]
    assert pairs(found, found.test) == [("v_Biking_g01_c01.avi", "Biking")]
    other = load_set(f"data={lists},root={tmp_path}/ucf,split=2")
    assert (len(other.train), len(other.test)) == (1, 2)
    alone = load_set(f"train={lists}/trainlist01.txt,test={lists}/testlist01.txt,root={tmp_path}/ucf")
    assert (alone.classes, alone.train, alone.test) == (found.classes, found.train, found.test)
    with raises(DataError, "unknown_name", subject=lists, message="annotations-unknown-split"):
        load_set(f"data={lists},split=4")


def test_hmdb51(tmp_path):
    """A file per class and split: 1 is for training, 2 for testing, 0 for neither."""
    splits = tmp_path / "testTrainMulti_7030_splits"
    write(splits / "brush_hair_test_split1.txt", "April_09_brush_hair.avi 1 ", "atheism (1).avi 2 ", "x.avi 0 ")
    write(splits / "catch_test_split1.txt", "a.avi 2 ", "x.avi 1 ")
    write(splits / "catch_test_split2.txt", "a.avi 1 ", "x.avi 1 ")
    touch(tmp_path / "v", "brush_hair/April_09_brush_hair.avi", "brush_hair/atheism (1).avi", "brush_hair/x.avi")
    touch(tmp_path / "v", "catch/a.avi", "catch/x.avi")
    found = load_set(f"data={splits},root={tmp_path}/v")
    assert found.classes == ("brush_hair", "catch")
    assert pairs(found, found.train) == [("April_09_brush_hair.avi", "brush_hair"), ("x.avi", "catch")]
    assert pairs(found, found.test) == [("atheism (1).avi", "brush_hair"), ("a.avi", "catch")]
    assert found.notes == ("1 videos are in neither part of split 1",)


real = pytest.mark.skipif(not PATAN.is_dir(), reason="the real annotations are not beside the checkout")


@pytest.mark.real
@real
def test_the_real_lists_of_patan():
    """The counts in its repository: UCF14 1324 / 530, HMDB7 490 / 210."""
    found = resolve_set(f"train={PATAN}/ucf101_train_uh.txt,test={PATAN}/hmdb51_test_uh.txt").listed
    assert (len(found.train), len(found.test)) == (1324, 210)
    assert found.classes[:2] == ("RockClimbingIndoor", "Diving")
    assert len(found.classes) == 14
    assert {i.label for i in found.test} == set(range(7))
    back = resolve_set(f"train={PATAN}/hmdb51_train_hu.txt,test={PATAN}/ucf101_test_hu.txt").listed
    assert (len(back.train), len(back.test), len(back.classes)) == (980, 266, 14)
    with raises(DataError, "conflict", subject=PATAN):
        resolve_set(PATAN)


@pytest.mark.real
@real
@pytest.mark.parametrize("train", ["splits/split_group01_train.txt", "splits"])
def test_the_real_splits_of_surveillance_fights(train):
    """229 / 71 clips, no source video in both splits; names start two folders above the list."""
    spec = (
        f"{FIGHTS}/{train}"
        if train == "splits"
        else f"train={FIGHTS}/{train},test={FIGHTS}/splits/split_group01_test.txt"
    )
    found = load_set(spec)
    assert (len(found.train), len(found.test)) == (229, 71)
    assert found.classes == ("fight", "noFight")
    assert all(Path(i.path).parent.name == found.classes[i.label] and Path(i.path).is_file() for i in found.items)
    assert found.notes == ()
