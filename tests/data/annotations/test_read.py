"""Places of a specification: folders, shards and pictures."""

from dataclasses import replace

from mgm.data.annotations import load_set
from mgm.data.annotations.summary import summarise_set
from mgm.data.shards.write import pack_set
from mgm.errors import DataError
from tests.data.annotations.files import touch, write
from tests.errors import raises


def test_folders_of_pictures_alone(tmp_path):
    """Still pictures are static clips with the labels of their folders; numbered without a gap, they are frames of videos."""
    touch(tmp_path / "p", "cat/tom.jpg", "cat/tim.jpg", "dog/rex.jpg", "dog/max.jpg")
    found = load_set(tmp_path / "p")
    assert (found.classes, len(found.items)) == (("cat", "dog"), 4)
    frames = [f"{c}/v{v}/img_{i:05d}.jpg" for c in ("hop", "run") for v in range(3) for i in range(9)]
    touch(tmp_path / "f", *frames)
    found = load_set(tmp_path / "f")
    assert (found.classes, len(found.items)) == (("hop", "run"), 6)
    assert len(load_set(f"data={tmp_path}/f,format=pictures").items) == 54
    touch(tmp_path / "f", "run/extra/rex.jpg")
    with raises(DataError, "conflict", subject=tmp_path / "f", message="annotations-frames-or-pictures"):
        load_set(tmp_path / "f")
    assert len(load_set(f"images={tmp_path}/p").train) == 4
    with raises(DataError, "not_found", message="annotations-no-pictures"):
        load_set(f"images={touch(tmp_path / 'e', 'x.txt')}")


def test_lists_beside_videos_are_mentioned(tmp_path):
    touch(tmp_path, "a/1.mp4", "b/2.mp4")
    write(tmp_path / "train.txt", "a/1.mp4 0")
    assert sum("train.txt" in note for note in load_set(tmp_path).notes) == 1


def test_shards_are_a_set_like_any_other(tiny_set, tmp_path):
    """A packed set keeps its classes and splits, is counted, and can be mixed with pictures."""
    files = load_set(tiny_set)
    few = replace(files, train=files.train[:3], test=files.test[:2])
    pack_set(few, tmp_path / "shards")
    found = load_set(tmp_path / "shards")
    assert found.classes == files.classes
    assert [i.label for i in found.items] == [i.label for i in few.items]
    counts = summarise_set(f"data={tmp_path}/shards")
    assert (counts.train.videos, counts.test.videos, counts.split_rule) == (3, 2, files.split_rule)
    touch(tmp_path, "p/a.jpg")
    mixed = load_set(f"data={tmp_path}/shards,images={tmp_path}/p,ratio=.25")
    assert [i.path.endswith(".jpg") for i in mixed.train] == [False] * 3 + [True]


def test_a_name_without_parts_has_no_class_folder(tmp_path):
    touch(tmp_path, "x/a.mp4", "y/b.mp4")
    path = write(tmp_path / "train.txt", "x/a", "y/b", ".")
    assert load_set(path).classes == ()
