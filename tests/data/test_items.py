import pytest

from mgm.data.annotations import load_set, resolve_set
from mgm.data.items import common_folder, evenly_spaced
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
