import os
from pathlib import Path

import pytest

from mgm.data.annotations import VideoItem, load_set
from mgm.errors import DataError, VideoError
from tests.data.annotations.files import file_names, touch
from tests.errors import raises
from tests.files.closed import close


@pytest.mark.parametrize("train", ["train", "training"])
@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_a_split_of_class_folders(tmp_path, train, test):
    touch(tmp_path, f"{train}/jump high/a b.mp4", f"{train}/run/c.avi", f"{train}/run/notes.txt", f"{test}/run/d.webm")
    found = load_set(tmp_path)
    assert found.classes == ("jump high", "run")
    assert found.train == (
        VideoItem(str(tmp_path / train / "jump high" / "a b.mp4"), 0),
        VideoItem(str(tmp_path / train / "run" / "c.avi"), 1),
    )
    assert found.test == (VideoItem(str(tmp_path / test / "run" / "d.webm"), 1),)
    assert found.split_rule == f"folders {train}/ and {test}/"
    assert found.items == found.train + found.test


def test_a_class_without_training_videos(tmp_path):
    touch(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "test/a/2.mp4", "test/swim/2.mp4")
    with raises(DataError, "mismatch", subject=tmp_path / "test", message="annotations-test-classes"):
        load_set(tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        ("1.mp4", "2.mp4"),
        ("a/1.mp4", "2.mp4"),  # a video outside of the class folders
        ("a/deep/1.mp4", "b/deep/2.mp4"),
        ("a/1.mp4", "a/2.mp4"),  # one class only
        ("train/1.mp4", "test/2.mp4"),  # train/ and test/ are not two classes
        ("train/a/1.mp4", "train/b/2.mp4", "test/3.mp4"),
        ("train/a/1.mp4", "train/b/2.mp4", "test/notes.txt"),
    ],
)
def test_trees_without_labels(tmp_path, files):
    found = load_set(touch(tmp_path, *files))
    assert found.classes == () == found.test
    assert sorted(file_names(found.train)) == sorted(Path(f).name for f in files if f.endswith(".mp4"))
    assert all(item.label is None for item in found.train)


@pytest.mark.parametrize("layout", ["", "a/"])
def test_test_videos_that_are_trained_on_are_a_note(tmp_path, layout):
    note = f"{tmp_path / 'test'}: its videos are for training, too"
    touch(tmp_path, f"train/{layout}1.mp4", f"test/{layout}2.mp4")
    assert load_set(tmp_path).notes[0].startswith(note)
    assert file_names(load_set(f"train={tmp_path / 'train'}").train) == ["1.mp4"]
    (tmp_path / "test" / f"{layout}2.mp4").unlink()
    assert not any(found.startswith(note) for found in load_set(tmp_path).notes)


def test_folders_without_videos(tmp_path):
    with raises(DataError, "not_found", message="annotations-no-such-place"):
        load_set(tmp_path / "nowhere")
    with pytest.raises(VideoError):
        load_set(touch(tmp_path, "a/notes.txt", "b/notes.txt"))


@pytest.mark.parametrize(
    "left", ["__MACOSX/run/._1.mp4", "__MACOSX/1.mp4", ".ipynb_checkpoints/1.mp4", "run/._1.mp4", "run/@eaDir/1.mp4"]
)
@pytest.mark.parametrize("kind", ["mp4", "jpg"])
def test_what_systems_leave_in_folders_changes_nothing(tmp_path, left, kind):
    files = [f"{name}.{kind}" for name in ("jump/1", "jump/2", "run/1", "run/2")]
    expected = load_set(touch(tmp_path, *files))
    assert expected.classes == ("jump", "run")
    assert load_set(touch(tmp_path, left.replace("mp4", kind))) == expected


@pytest.mark.parametrize("kind", ["mp4", "jpg"])
def test_what_is_left_out_of_a_folder_is_a_note(tmp_path, monkeypatch, kind):
    touch(tmp_path, *(f"{name}.{kind}" for name in ("jump/1", "jump/2", "run/1", "run/2")), "run/notes.md", "README")
    (tmp_path / "closed").mkdir()
    expected = ["1 without a suffix, 1 .md"] if kind == "mp4" else []
    found = load_set(tmp_path)
    assert [note.rpartition(": ")[2] for note in found.notes] == expected
    close(tmp_path / "closed", monkeypatch)
    notes = load_set(tmp_path).notes
    assert len(notes) == len(expected) + 1
    assert str(tmp_path / "closed") in notes[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_without_permission(tmp_path):
    folder = tmp_path / "closed"
    touch(folder, "1.mp4")
    folder.chmod(0)
    for spec in (str(folder), f"images={folder},data={tmp_path}", str(folder / "set.csv")):
        with raises(DataError, "unreadable"):
            load_set(spec)
    folder.chmod(0o700)


def test_a_folder_that_the_system_refuses(tmp_path, monkeypatch):
    refused, stat = tmp_path / "shards.json", Path.stat

    def refuse(path, **options):
        if path == refused:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    with raises(DataError, "unreadable", subject=tmp_path):
        load_set(tmp_path)
