"""What `mgm data show` has to tell, as data."""

import json
from dataclasses import replace

from mgm.data.annotations import load_set, resolve_set
from mgm.data.annotations.summary import summarise_set
from mgm.data.shards.write import pack_set
from tests.data.annotations.files import touch, write


def test_counts_of_what_is_listed_and_what_is_there(tmp_path):
    touch(tmp_path, "hop/g01_a.mp4", "run/g02_b.mp4", "run/g02_c.mp4")
    train = write(tmp_path / "train.txt", "hop/g01_a.mp4 0", "run/g02_b.mp4 1", "run/g02_b.mp4 1", "run/g03_d.mp4 1")
    test = write(tmp_path / "test.txt", "run/g02_c.mp4 1", "hop/g01_a.mp4 0")
    found = summarise_set(f"train={train},test={test}")
    assert (found.train.items, found.train.missing, found.train.repeated, found.train.source_videos) == (4, 1, 1, 3)
    assert (found.test.items, found.test.missing, found.test.repeated) == (2, 0, 0)
    assert [(c.name, c.train, c.test, c.missing) for c in found.classes] == [("hop", 1, 1, 0), ("run", 3, 1, 1)]
    assert found.in_both_splits == (f"{tmp_path}/hop/g01_a.mp4",)
    assert found.sources_in_both_splits == ("g01", "g02")
    assert found.missing == 1
    tree = json.loads(json.dumps(found.to_dict()))
    assert tree["train"]["missing"] == 1
    assert tree["sources"][0]["format"] == "path-label"


def test_groups_are_counted_within_their_class(tmp_path):
    """UCF101 numbers the sources of each class anew: g01 of Archery is none of Biking."""
    touch(tmp_path, "Archery/v_Archery_g01_c01.avi", "Biking/v_Biking_g01_c01.avi")
    train = write(tmp_path / "train.txt", "Archery/v_Archery_g01_c01.avi 0")
    test = write(tmp_path / "test.txt", "Biking/v_Biking_g01_c01.avi 1")
    assert summarise_set(f"train={train},test={test}").sources_in_both_splits == ()


def test_parts_pictures_and_frames_are_told_apart(tmp_path):
    touch(tmp_path, "a.mp4", "b/img_1.jpg", "c.jpg")
    spans = write(tmp_path / "train.txt", "a.mp4 0 -1", "a.mp4 10 20", "b 1 4")
    found = summarise_set(f"train={spans}")
    assert (found.train.videos, found.train.frames, found.train.spans, found.train.repeated) == (2, 1, 2, 0)
    mixed = summarise_set(f"train={spans},images={tmp_path}/b,ratio=.5")
    assert (mixed.pictures, mixed.picture_samples, mixed.samples) == (1, 3, 6)


def test_sides_that_are_not_used_are_said(tmp_path):
    touch(tmp_path, *(f"x/{i}.mp4" for i in range(4)))
    table = write(
        tmp_path / "set.csv",
        "path,label,split",
        "x/0.mp4,a,train",
        "x/1.mp4,b,train",
        "x/2.mp4,a,val",
        "x/3.mp4,b,test",
    )
    found = load_set(table)
    assert [i.path[-5:] for i in found.test] == ["3.mp4"]
    assert found.notes[0].startswith("1 videos of the val split are not used, 1 of test are for testing")
    other = load_set(f"data={table},test_split=val")
    assert [i.path[-5:] for i in other.test] == ["2.mp4"]


def test_a_folder_for_training_and_a_list_for_testing(tmp_path):
    """What the folder would hold out is for training where something else is for testing."""
    touch(tmp_path, *(f"v/{c}/{i}.mp4" for c in "ab" for i in range(20)), "w/a/x.mp4")
    test = write(tmp_path / "test.csv", "path,label", "w/a/x.mp4,a")
    for key in ("data", "train"):
        found = load_set(f"{key}={tmp_path}/v,test={test}")
        assert (len(found.train), len(found.test), found.classes) == (40, 1, ("a", "b"))
    assert len(load_set(f"train={tmp_path}/v").test) == 0 < len(load_set(tmp_path / "v").test)


def test_lists_beside_videos_are_mentioned(tmp_path):
    touch(tmp_path, "a/1.mp4", "b/2.mp4")
    write(tmp_path / "train.txt", "a/1.mp4 0")
    (note,) = load_set(tmp_path).notes
    assert "train.txt" in note


def test_a_set_with_other_class_numbers(tmp_path):
    """A list that has some of the classes is judged by a run that has them all, by name."""
    touch(tmp_path, "b_c/1.mp4", "d/2.mp4")
    found = load_set(write(tmp_path / "test.txt", "b_c/1.mp4 0", "d/2.mp4 1"))
    moved = found.with_classes(("a", "b c", "d"))
    assert [i.label for i in moved.test] == [1, 2]
    assert resolve_set(tmp_path / "test.txt").videos == found


def test_shards_are_a_set_like_any_other(tiny_set, tmp_path):
    """What was packed keeps its classes and sides, is counted, and takes pictures beside it."""
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
