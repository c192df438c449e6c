"""The counts that `mgm data show` prints."""

import json

import pytest

from mgm.data.annotations import load_set
from mgm.data.annotations.summary import summarise_set
from tests.data.annotations.files import touch, write, write_labels


def test_counts_of_listed_and_missing_items(tmp_path):
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


def test_source_videos_are_counted_within_their_class(tmp_path):
    """UCF101 restarts the numbers in each class: g01 of Archery is not g01 of Biking."""
    touch(tmp_path, "Archery/v_Archery_g01_c01.avi", "Biking/v_Biking_g01_c01.avi")
    train = write(tmp_path / "train.txt", "Archery/v_Archery_g01_c01.avi 0")
    test = write(tmp_path / "test.txt", "Biking/v_Biking_g01_c01.avi 1")
    assert summarise_set(f"train={train},test={test}").sources_in_both_splits == ()


def test_parts_pictures_and_frames_are_distinguished(tmp_path):
    touch(tmp_path, "a.mp4", "b/img_1.jpg", "c.jpg")
    spans = write(tmp_path / "train.txt", "a.mp4 0 -1", "a.mp4 10 20", "b 1 4")
    found = summarise_set(f"train={spans}")
    assert (found.train.videos, found.train.frames, found.train.spans, found.train.repeated) == (2, 1, 2, 0)
    mixed = summarise_set(f"train={spans},images={tmp_path}/b,ratio=.5")
    assert (mixed.pictures, mixed.picture_samples, mixed.samples) == (1, 3, 6)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv", ".json", ".jsonl", ".npy", ".parquet"])
def test_a_file_with_two_labels_is_reported_in_every_format(tmp_path, suffix):
    touch(tmp_path, "a/1.mp4", "a/2.mp4", "b/1.mp4")
    rows = [("a/1.mp4", 0), ("a/2.mp4", 0), ("a/1.mp4", 1), ("b/1.mp4", 1)]
    path = write_labels(tmp_path / f"train{suffix}", rows)
    assert summarise_set(path).conflicting == (f"{tmp_path}/a/1.mp4",)
    (note,) = load_set(path).notes
    assert note.startswith(f"1 file is listed with more than one label, such as {tmp_path}/a/1.mp4 as 0 and 1")


@pytest.mark.parametrize("other", ["./a/1.mp4", "a//1.mp4", "b/../a/1.mp4", "{}/a/1.mp4", "link/1.mp4", "link.mp4"])
def test_a_file_is_the_same_in_other_spellings_and_through_links(tmp_path, other):
    touch(tmp_path, "a/1.mp4", "a/2.mp4", "b/1.mp4")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "link.mp4").symlink_to("a/1.mp4")
    train = write(tmp_path / "train.txt", "a/1.mp4 0", "a/2.mp4 0", "b/1.mp4 1", f"{other.format(tmp_path)} 1")
    found = summarise_set(train)
    assert (found.conflicting, found.train.repeated) == ((f"{tmp_path}/a/1.mp4",), 1)
    write(train, "a/1.mp4 0", "b/1.mp4 1")
    test = write(tmp_path / "test.txt", f"{other.format(tmp_path)} 0")
    found = summarise_set(f"train={train},test={test}")
    assert (found.conflicting, found.in_both_splits) == ((), (f"{tmp_path}/a/1.mp4",))


def test_parts_of_one_file_may_have_different_labels(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    table = write(
        tmp_path / "train.csv", "path,label,start,end", "a.mp4,0,0,9", "a.mp4,1,9,20", "a.mp4,1,0,9", "b.mp4,1,0,9"
    )
    assert summarise_set(table).conflicting == (f"{tmp_path}/a.mp4",)
    write(table, "path,label,start,end", "a.mp4,0,0,9", "a.mp4,1,9,20", "b.mp4,1,0,9")
    assert summarise_set(table).conflicting == ()
