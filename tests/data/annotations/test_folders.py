from pathlib import Path

import pytest

from mgm.data.annotations import VideoItem, load_set
from mgm.errors import DataError, VideoError
from tests.errors import raises


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def names(items):
    return [Path(item.path).name for item in items]


@pytest.mark.parametrize("train", ["train", "training"])
@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_a_split_of_class_folders(tmp_path, train, test):
    make(tmp_path, f"{train}/jump high/a b.mp4", f"{train}/run/c.avi", f"{train}/run/notes.txt", f"{test}/run/d.webm")
    found = load_set(tmp_path)
    assert found.classes == ("jump high", "run")
    assert found.train == (
        VideoItem(str(tmp_path / train / "jump high" / "a b.mp4"), 0),
        VideoItem(str(tmp_path / train / "run" / "c.avi"), 1),
    )
    assert found.test == (VideoItem(str(tmp_path / test / "run" / "d.webm"), 1),)
    assert found.split_rule == f"folders {train}/ and {test}/"
    assert found.items == found.train + found.test


def test_a_class_that_is_never_trained(tmp_path):
    make(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "test/a/2.mp4", "test/swim/2.mp4")
    with raises(DataError, "mismatch", subject=tmp_path / "test", message="annotations-test-classes"):
        load_set(tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        ("1.mp4", "2.mp4"),
        ("a/1.mp4", "2.mp4"),  # a video outside of the class folders
        ("a/deep/1.mp4", "b/deep/2.mp4"),
        ("a/1.mp4", "a/2.mp4"),  # one class says nothing
        ("train/1.mp4", "test/2.mp4"),  # a split without classes is no pair of classes
        ("train/a/1.mp4", "train/b/2.mp4", "test/3.mp4"),
        ("train/a/1.mp4", "train/b/2.mp4", "test/notes.txt"),
    ],
)
def test_trees_without_labels(tmp_path, files):
    found = load_set(make(tmp_path, *files))
    assert found.classes == () == found.test
    assert sorted(names(found.train)) == sorted(Path(f).name for f in files if f.endswith(".mp4"))
    assert all(item.label is None for item in found.train)


def sides(found):
    """File name -> whether it is held out."""
    return dict.fromkeys(names(found.train), False) | dict.fromkeys(names(found.test), True)


def test_a_quarter_is_held_out_whatever_else_is_there(tmp_path):
    files = [f"{name}/{name} {i}.mp4" for name in ("hop", "run") for i in range(200)]
    whole = sides(load_set(make(tmp_path / "whole", *files)))
    part = sides(load_set(make(tmp_path / "part", *files[::7], "run/g01_c01.mp4")))
    assert len(whole) == 400
    assert 0.18 < sum(whole.values()) / len(whole) < 0.32
    assert all(whole[name] is side for name, side in part.items() if name in whole)


def test_clips_of_one_source_stay_together(tmp_path):
    files = [f"{c}/{n}" for c in "ab" for g in range(40) for n in (f"g{g:03d}_fi{c}.mp4", f"v_X_g{g:03d}_c02{c}.mp4")]
    found = load_set(make(tmp_path, *files, "a/plain.mp4"))  # one name without a group leaves the others' groups alone
    held = {name: side for name, side in sides(found).items() if name != "plain.mp4"}
    groups = {}
    for name, side in held.items():
        groups.setdefault(name[name.index("g0") + 1 :][:3], set()).add(side)
    assert len(groups) == 40
    assert all(len(side) == 1 for side in groups.values())
    assert {True, False} == set(held.values())
    assert "source videos" in found.split_rule


def test_only(tmp_path):
    found = load_set(make(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "test/a/3.mp4", "test/b/4.mp4"))
    kept = found.only([found.train[1].path, found.test[0].path])
    assert (names(kept.train), names(kept.test), kept.classes) == (["2.mp4"], ["3.mp4"], ("a", "b"))


def test_folders_without_videos(tmp_path):
    with raises(DataError, "not_found", message="annotations-no-such-place"):
        load_set(tmp_path / "nowhere")
    with pytest.raises(VideoError):
        load_set(make(tmp_path, "a/notes.txt", "b/notes.txt"))
