"""Sets with missing files, and with still pictures beside the videos."""

from collections import Counter

import pytest

from mgm.data.annotations import VideoItem, load_items, load_set
from mgm.data.annotations.resolve import mix_pictures
from mgm.errors import DataError
from tests.data.annotations.files import touch, write
from tests.errors import check_message, raises

VIDEOS = tuple(VideoItem(f"{i}.mp4", i % 2) for i in range(30))
PICTURES = tuple(VideoItem(f"{i}.jpg") for i in range(50))


@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.5, 0.625, 0.8, 0.99])
def test_the_share_is_the_stated_one(ratio):
    mixed = mix_pictures(VIDEOS, PICTURES, ratio)
    count = Counter(item.path.endswith(".jpg") for item in mixed)
    assert count[True] / len(mixed) == pytest.approx(ratio, abs=0.5 / min(count.values()))
    times = Counter(mixed)
    assert set(times) == {*VIDEOS, *PICTURES}
    for kind in (VIDEOS, PICTURES):  # items of a kind differ by one repetition at most
        assert max(times[i] for i in kind) - min(times[i] for i in kind) <= 1
    assert min(max(times[i] for i in kind) for kind in (VIDEOS, PICTURES)) == 1


def test_without_a_ratio_every_item_occurs_once():
    assert mix_pictures(VIDEOS, PICTURES, None) == VIDEOS + PICTURES


def test_pictures_beside_a_labelled_set(tmp_path):
    """They are for pretraining: without labels, and never in the test split."""
    touch(tmp_path / "v", *(f"train/{c}/{i}.mp4" for c in "ab" for i in range(3)), "test/a/9.mp4", "test/b/9.mp4")
    touch(tmp_path / "p", "cat/1.jpg", "dog/2.PNG", "dog/notes.txt")
    found = load_set(f"data={tmp_path}/v,images={tmp_path}/p,ratio=.5")
    assert found.classes == ("a", "b")
    assert Counter(i.label is None for i in found.train) == {False: 6, True: 6}
    assert len(found.test) == 2
    write(tmp_path / "pictures.txt", "p/cat/1.jpg 3", "p/dog/2.PNG 3", "p/gone.jpg 3")
    listed = load_set(f"data={tmp_path}/v,images={tmp_path}/pictures.txt")
    assert [i.label for i in listed.train[6:]] == [None, None]
    check_message("annotations-note-of-missing-pictures", listed.notes[-1])


def test_missing_files(tmp_path):
    """Up to half may be missing and are reported; above that, the root is more likely wrong."""
    touch(tmp_path, "x/a.mp4", "y/b.mp4")
    few = write(tmp_path / "train.txt", "x/a.mp4 0", "y/b.mp4 1", "y/c.mp4 1")
    found = load_set(few)
    assert len(found.train) == 2
    (note,) = found.notes
    check_message("annotations-note-of-missing-files", note)
    with raises(DataError, "not_found", subject=few):
        load_set(f"train={few},missing=error")
    many = write(tmp_path / "train.txt", "x/a.mp4 0", "y/b.mp4 1", "y/c.mp4 1", "y/d.mp4 1", "y/e.mp4 1")
    with raises(DataError, "not_found", message="annotations-most-files-missing"):
        load_set(many)
    assert len(load_set(f"train={many},missing=skip").train) == 2
    none = write(tmp_path / "train.txt", "x/z.mp4 0", "y/z.mp4 1")
    with raises(DataError, "not_found", message="annotations-all-files-missing"):
        load_set(f"train={none},missing=skip")


def test_the_items_of_sets_and_of_single_files(tmp_path):
    touch(tmp_path, "x/b.mp4", "x/a.mp4")
    path = write(tmp_path / "list.txt", "x/b.mp4", "x/a.mp4")
    both = [VideoItem(f"{tmp_path}/x/a.mp4"), VideoItem(f"{tmp_path}/x/b.mp4")]
    assert load_items(str(path)) == load_items(str(tmp_path / "x")) == load_items(f"train={path}") == both
    assert load_items("absent.mp4") == [VideoItem("absent.mp4")]
    assert load_items("https://example.org/a.mp4?x=y") == [VideoItem("https://example.org/a.mp4?x=y")]
    with pytest.raises(DataError):
        load_items(f"trian={path}")
