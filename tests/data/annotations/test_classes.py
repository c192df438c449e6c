"""Labels of annotations are resolved to classes."""

import json
from pathlib import Path, PurePosixPath

import pytest

from mgm.data.annotations import load_set
from mgm.data.annotations.classes import label_by_folders
from mgm.data.annotations.video_list import ListedVideos, VideoList
from mgm.errors import DataError
from mgm.files.path_column import PathColumn
from tests.data.annotations.files import touch, write, write_labels
from tests.errors import raises


def test_labels_that_are_not_valid(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    path = write(tmp_path / "list.txt", "a.mp4 0", "b.mp4 -2", "c.mp4 1")
    with raises(DataError, "invalid_value", subject=path, message="annotations-negative-label"):
        load_set(path)
    path = write(tmp_path / "list.txt", "a.mp4 0", "b.mp4 90210", "c.mp4 1")
    with raises(DataError, "malformed", subject=path, message="annotations-too-few-labels"):
        load_set(path)


def test_the_first_of_many_wrong_labels_is_named(tmp_path):
    lines = [f"v{number}.mp4 {label}" for number, label in enumerate([0, 1, *range(40, 20, -1)])]
    touch(tmp_path, *(line.split()[0] for line in lines))
    path, classes = write(tmp_path / "train.txt", *lines), write(tmp_path / "classes.txt", "hop", "run")
    with raises(DataError, "invalid_value", subject=path) as caught:
        load_set(f"train={path},classes={classes}")
    assert caught.value.found == "line 3: label 40"
    rows = [f"v{number}.mp4,{label}" for number, label in enumerate(["hop", "run", *"zyxwvutsrqpo"])]
    path = write(tmp_path / "train.csv", "path,label", *rows)
    with raises(DataError, "invalid_value", subject=path) as caught:
        load_set(f"train={path},classes={classes}")
    assert caught.value.found == "line 4: label 'z'"


def test_numbers_with_gaps_keep_their_meaning(tmp_path):
    """A subset of a numbered list: classes without a video stay, and are reported."""
    from mgm.data.annotations.summary import summarise_set

    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    path = write(tmp_path / "train.txt", "a.mp4 0", "b.mp4 3", "c.mp4 3")
    found = load_set(path)
    assert found.classes == ("0", "1", "2", "3")
    assert [i.label for i in found.train] == [0, 3, 3]
    assert summarise_set(path).empty_classes == ("1", "2")


def test_numbers_from_one(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    found = load_set(write(tmp_path / "train.txt", "a.mp4 1", "b.mp4 2"))
    assert (found.classes, [i.label for i in found.train]) == (("1", "2"), [0, 1])


def test_a_class_that_only_test_videos_have_is_named_by_their_folder(tmp_path):
    """Otherwise it would be named by its number among named ones, and no other set would have it."""
    touch(tmp_path, "hop/a.mp4", "run/b.mp4", "elsewhere/c.mp4", "sit/d.mp4")
    train = write(tmp_path / "train.txt", "hop/a.mp4 0", "run/b.mp4 1")
    test = write(tmp_path / "test.txt", "elsewhere/c.mp4 0", "sit/d.mp4 2")
    videos = load_set(f"train={train},test={test}")
    assert videos.classes == ("hop", "run", "sit")


def test_folders_named_like_the_number_of_another_class(tmp_path):
    """Class 1 has no video, and class 0 is in the folder 1: two classes of one name would be one in an evaluation."""
    touch(tmp_path, "1/a.mp4", "3/b.mp4")
    found = load_set(write(tmp_path / "train.txt", "1/a.mp4 0", "3/b.mp4 2"))
    assert (found.classes, [item.label for item in found.train]) == (("0", "1", "2"), [0, 2])


def test_numbers_mixed_with_names(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    train = write(tmp_path / "train.txt", "a.mp4 0", "b.mp4 1")
    test = write(tmp_path / "test.csv", "path,label", "c.mp4,run")
    with raises(DataError, "invalid_value", subject=test, message="annotations-numbers-and-names"):
        load_set(f"train={train},test={test}")
    names = write(tmp_path / "names.txt", "hop", "run")
    found = load_set(f"train={train},test={test},classes={names}")
    assert [i.label for i in found.test] == [1]


SPELLINGS = {
    "int": "{}",
    "float": "{}",
    "padded": "{:02d}",
    "spaced": "  {}",
    "signed": "+{}",
    "numpy": "{:.18e}",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "name", ["train.txt", "train.csv", "train.tsv", "train.npy", "train.json", "train.jsonl", "train.parquet"]
)
def test_a_number_is_the_same_class_in_every_spelling(tmp_path, name, spelling):
    """10.0 is class 10, not a name between 1.0 and 2.0."""
    touch(tmp_path, *(f"{i}.mp4" for i in range(24)))
    kind = float if spelling in ("float", "numpy") else int
    found = load_set(
        write_labels(tmp_path / name, [(f"{i}.mp4", kind(i % 12)) for i in range(24)], SPELLINGS[spelling])
    )
    assert {int(Path(item.path).stem): item.label for item in found.train} == {i: i % 12 for i in range(24)}
    assert found.classes == tuple(map(str, range(12)))


def test_class_files_number_in_every_spelling(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    train = write(tmp_path / "train.csv", "path,label", "a.mp4,0.0", "b.mp4,1.0")
    for tree in ({"hop": 0.0, "run": 1.0}, {"0.0": "hop", "1.0": "run"}, {"hop": "00", "run": "01"}):
        names = write(tmp_path / "names.json", json.dumps(tree))
        assert load_set(f"train={train},classes={names}").classes == ("hop", "run")


@pytest.mark.parametrize("label", ["1.5", "NaN", "[1]", '{"a": 1}', "null", '" "', "1e40", '"1.5"', f'"{"1" * 5000}"'])
def test_labels_that_are_neither_numbers_nor_names(tmp_path, label):
    touch(tmp_path, "a.mp4", "b.mp4")
    path = write(tmp_path / "train.jsonl", '{"path": "a.mp4", "label": 1}', f'{{"path": "b.mp4", "label": {label}}}')
    with raises(DataError, "malformed", subject=path):
        load_set(path)


def folders_of_parts(names):
    """Labels and splits by the folders of names, from the parts of each name."""
    parts = [PurePosixPath(name).parts for name in names]
    shared = 0
    while all(len(p) > shared + 2 for p in parts) and len({p[shared] for p in parts}) == 1:
        shared += 1
    below, splits = [p[shared:] for p in parts], [None] * len(parts)
    first = {p[0] for p in below if p}
    if all(below) and first in ({"train", "test"}, {"train", "val"}):
        splits, below = ["train" if p[0] == "train" else "test" for p in below], [p[1:] for p in below]
    if any(len(p) != 2 for p in below) or len({p[0] for p in below}) < 2:
        return [(None, None)] * len(names)
    return [(p[0], split) for p, split in zip(below, splits, strict=True)]


@pytest.mark.parametrize(
    "names",
    [
        ["hop/a.mp4", "run/b.mp4", "hop/c.mp4"],
        ["/v/hop/a.mp4", "/v/run/b.mp4"],
        ["v/train/hop/a.mp4", "v/test/hop/b.mp4", "v/train/run/c.mp4"],
        ["train/hop/a.mp4", "val/run/b.mp4"],
        ["train/hop/a.mp4", "val/b.mp4"],
        ["train/a.mp4", "test/b.mp4"],
        ["train/a.mp4", "test"],
        ["hop/a.mp4", "b.mp4"],
        ["hop/a.mp4", "run/b/c.mp4"],
        ["hop/a.mp4", "hop/b.mp4"],
        ["hop//a.mp4", "./run/b.mp4", "hop/./c.mp4"],
        ["hop/a", "run/", "run/."],
        ["v/hop/", "v/run/", "v/run/x/."],
        [".", "hop/a.mp4"],
        ["v#1/hop/a.mp4", "v#1/run/b.mp4"],
        ["hop#1/a.mp4", "hop#2/b.mp4", "hop/c#/d.mp4"],
        ["hop/#a/b.mp4", "hop/#b"],
    ],
)
def test_folders_give_labels_as_the_parts_of_each_name(names):
    listed = VideoList(Path("list"), "paths", "", ListedVideos(PathColumn(names)), "none")
    assert [(entry.label, entry.split) for entry in label_by_folders(listed).entries] == folders_of_parts(names)
