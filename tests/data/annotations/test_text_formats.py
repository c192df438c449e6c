"""Text formats: one video per line."""

from pathlib import Path

import pytest

from mgm.data.annotations import load_set
from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.formats import read_annotation
from mgm.errors import DataError
from tests.data.annotations.files import pairs, shown, touch, write
from tests.errors import raises


def format_of(path):
    return read_annotation(AnnotationFile(path)).format


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";"])
def test_path_label(tmp_path, separator):
    """VideoMAE, MAE-ST, SlowFast, V-JEPA, mmaction2 (space), TATS (tab), a comma, and Excel's semicolon in half of Europe."""
    touch(tmp_path, "videos/run/a b.mp4", "videos/hop/c.mp4", "videos/run/d.mp4")
    lines = [f"videos/run/a b.mp4{separator}1", f"videos/hop/c.mp4{separator}0", f"videos/run/d.mp4{separator}1"]
    found = load_set(write(tmp_path / "train.csv", *lines))
    assert pairs(found, found.train) == [("a b.mp4", "run"), ("c.mp4", "hop"), ("d.mp4", "run")]
    assert found.classes == ("hop", "run")
    assert found.test == ()
    assert found.split_rule == "train.csv for training"


def test_quoted_names_of_csv(tmp_path):
    touch(tmp_path, 'x/a, "b".mp4', "y/c.mp4")
    found = load_set(write(tmp_path / "train.csv", '"x/a, ""b"".mp4",0', "y/c.mp4,1"))
    assert [Path(i.path).name for i in found.train] == ['a, "b".mp4', "c.mp4"]


def test_quotes_around_every_cell(tmp_path):
    touch(tmp_path, "x/a.mp4", "y/b;c.mp4")
    found = load_set(write(tmp_path / "train.csv", '"x/a.mp4";"0"', '"y/b;c.mp4";"1"'))
    assert pairs(found, found.train) == [("a.mp4", "x"), ("b;c.mp4", "y")]
    spans = load_set(write(tmp_path / "spans.csv", '"x/a.mp4","0","-1"', '"y/b;c.mp4","3","9"'))
    assert shown(spans, spans.train) == [("a.mp4", None, 0, None), ("b;c.mp4", None, 3, 12)]


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";"])
def test_path_class(tmp_path, separator):
    touch(tmp_path, "videos/a b.mp4", "videos/c.avi", 'videos/d, "e";.mp4')
    lines = [f"videos/a b.mp4{separator}run", f"videos/c.avi{separator}hop", f'"videos/d, ""e"";.mp4"{separator}run']
    found = load_set(write(tmp_path / "train.csv", *lines))
    assert pairs(found, found.train) == [("a b.mp4", "run"), ("c.avi", "hop"), ('d, "e";.mp4', "run")]
    assert found.classes == ("hop", "run")


def test_names_of_classes_with_separators_are_in_quotes(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    found = load_set(write(tmp_path / "train.csv", 'a.mp4,"hop, skip ""and"" jump"', "b.mp4,left turn"))
    assert found.classes == ('hop, skip "and" jump', "left turn")
    with raises(DataError, "malformed"):  # three columns, and nobody says which is which
        load_set(write(tmp_path / "train.csv", "a.mp4,run,train", "b.mp4,hop,test"))


def test_path_start_total(tmp_path):
    """VideoMAE V2's pretraining list: a whole video, and a part of one."""
    touch(tmp_path, "a.mp4", "b c.mp4")
    path = write(tmp_path / "list.csv", "a.mp4 0 -1", "b c.mp4 30 64")
    found = load_set(path)
    assert format_of(path) == "path-start-total"
    assert shown(found, found.train) == [("a.mp4", None, 0, None), ("b c.mp4", None, 30, 94)]
    assert found.classes == ()


def test_path_total_label(tmp_path):
    """mmaction2's rawframes and VideoMAE V2's fine-tuning on frames: folders of pictures."""
    touch(tmp_path, *(f"run/x 1/img_{i:05d}.jpg" for i in range(3)), *(f"hop/y/img_{i:05d}.jpg" for i in range(5)))
    path = write(tmp_path / "train.txt", "run/x 1 3 0", "hop/y 5 1")
    found = load_set(path)
    assert format_of(path) == "path-total-label"
    assert shown(found, found.train) == [("x 1", "run", 0, 3), ("y", "hop", 0, 5)]


def test_index_label_path(tmp_path):
    """PATAN's tab triples; folders of one list name the numbers of the other."""
    touch(tmp_path / "ucf", "Diving/v_Diving_g01_c01.avi", "Fencing/v_Fencing_g02_c01.avi")
    touch(tmp_path / "hmdb", "dive/x y.avi")
    write(tmp_path / "ucf" / "train.txt", "0\t1\tDiving/v_Diving_g01_c01.avi", "1\t2\tFencing/v_Fencing_g02_c01.avi")
    write(tmp_path / "hmdb" / "test.txt", "0\t1\tdive/x y.avi")
    found = load_set(f"train={tmp_path}/ucf/train.txt,test={tmp_path}/hmdb/test.txt")
    assert found.classes == ("Diving", "Fencing")
    assert pairs(found, found.test) == [("x y.avi", "Diving")]


def test_a_list_without_labels(tmp_path):
    touch(tmp_path, "a b.mp4", "c.webm")
    found = load_set(write(tmp_path / "list.txt", "a b.mp4", "c.webm"))
    assert (len(found.train), found.test, found.classes) == (2, (), ())


def test_dummy_labels_are_none(tmp_path):
    """Pretraining lists contain 0 or -1 in every line."""
    touch(tmp_path, "a.mp4", "b.mp4")
    for label in ("0", "-1"):
        found = load_set(write(tmp_path / "list.txt", f"a.mp4 {label}", f"b.mp4 {label}"))
        assert (len(found.train), found.test, found.classes) == (2, (), ())


def test_blank_lines_are_counted(tmp_path):
    """Line numbers in errors are those of an editor."""
    path = write(tmp_path / "list.txt", "", "a.mp4 0", "", "b.mp4 0", "  ", "c.mp4 x")
    with raises(DataError, "malformed", message="annotations-line-after-blank-lines"):
        load_set(path)
