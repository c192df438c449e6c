import pickle

import pytest

from mgm.data.annotations import load_set, resolve_set
from mgm.data.items import VideoItem, VideoItems, VideoSet, common_folder, evenly_spaced, labels_of, paths_of
from tests.data.annotations.files import file_names, touch, write


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        ([], ""),
        (["/a/b/x.mp4"], "/a/b/"),
        (["/a/b/x.mp4", "/a/c/x.mp4"], "/a/"),
        (["/a/b1/x.mp4", "/a/b2/x.mp4"], "/a/"),  # not "/a/b"
        (["x.mp4", "y.mp4"], ""),
    ],
)
def test_the_deepest_folder_of_all_paths(paths, folder):
    length = common_folder(paths)
    assert length == len(folder)
    assert all(path[:length] == folder for path in paths)


@pytest.mark.parametrize(("total", "count", "chosen"), [(10, 5, [0, 2, 4, 6, 8]), (3, 5, [0, 1, 2]), (4, 0, [])])
def test_items_at_even_distances(total, count, chosen):
    assert evenly_spaced(range(total), count) == chosen


def test_a_set_with_other_class_numbers(tmp_path):
    """A list that has some of the classes is judged by a run that has them all, by name."""
    touch(tmp_path, "b_c/1.mp4", "d/2.mp4")
    found = load_set(write(tmp_path / "test.txt", "b_c/1.mp4 0", "d/2.mp4 1"))
    moved = found.with_classes(("a", "b c", "d"))
    assert [i.label for i in moved.test] == [1, 2]
    assert resolve_set(tmp_path / "test.txt").videos == found


def test_only(tmp_path):
    found = load_set(touch(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "test/a/3.mp4", "test/b/4.mp4"))
    kept = found.only([found.train[1].path, found.test[0].path])
    assert (file_names(kept.train), file_names(kept.test), kept.classes) == (["2.mp4"], ["3.mp4"], ("a", "b"))


ITEMS = (
    VideoItem("a/x.mp4", 1),
    VideoItem("a/y.mp4"),
    VideoItem("b/z.mp4", 0, 3, 9),
    VideoItem("b/z.mp4", 2, 9),
)


@pytest.mark.parametrize("rows", [slice(None), slice(0, 2), slice(2, 4), slice(None, None, -2), [3, 3, 0], []])
def test_items_return_from_their_arrays(rows):
    items = VideoItems.of(ITEMS).take(rows)
    assert items == [ITEMS[row] for row in (range(4)[rows] if isinstance(rows, slice) else rows)]
    assert VideoItems.of_arrays(items.arrays()) == items
    assert VideoItems.of_arrays(items.arrays())[::-1] == items[::-1]


def test_columns_return_the_items_that_were_given():
    items = VideoItems.of(ITEMS)
    assert items == ITEMS
    assert (*ITEMS,).__eq__(items) is NotImplemented  # and Python asks the columns
    assert not ITEMS != items  # noqa: SIM202, SIM300
    assert items != ITEMS[:3]
    assert [items[number] for number in range(-4, 4)] == [*ITEMS, *ITEMS]
    assert items[1:3] == ITEMS[1:3]
    assert items[::-1] == ITEMS[::-1]
    assert pickle.loads(pickle.dumps(items)) == ITEMS
    assert hash(items) == hash(ITEMS)
    assert VideoItems.of(items) is items
    assert VideoItems.of(()) == ()
    assert not VideoItems.of(())


def test_columns_are_selected_and_joined():
    items = VideoItems.of(ITEMS)
    whole = VideoItems.of(ITEMS[:2])
    assert (whole.whole, items.whole) == (True, False)
    assert items.take([3, 0]) == (ITEMS[3], ITEMS[0])
    assert items.where(item.label is not None for item in ITEMS) == (ITEMS[0], *ITEMS[2:])
    assert items.labelled.tolist() == [True, False, True, True]
    for first, second in ((whole, items), (items, whole), (items, items), (items, ()), (VideoItems.of(()), items)):
        assert first + second == (*first, *second)
        assert tuple(first) + second == (*first, *second)
    assert items[:1] * 3 == ITEMS[:1] * 3
    assert items.with_labels([4, None, 2, 1])[0] == VideoItem("a/x.mp4", 4)


def test_columns_and_tuples_have_the_same_paths_and_labels():
    for items in (ITEMS, VideoItems.of(ITEMS)):
        assert list(paths_of(items)) == ["a/x.mp4", "a/y.mp4", "b/z.mp4", "b/z.mp4"]
        assert list(labels_of(items)) == [1, None, 0, 2]


def test_few_labels_are_those_of_each_class():
    items = tuple(VideoItem(f"{number}.mp4", number % 3 if number % 4 else None) for number in range(60))
    chosen = VideoSet("set", items, (), ("a", "b", "c"), "").with_few_labels(9, seed=1).train
    assert [item.label for item in chosen] == [0] * 3 + [1] * 3 + [2] * 3
    assert len(set(chosen)) == 9
    assert set(chosen) <= set(items)
