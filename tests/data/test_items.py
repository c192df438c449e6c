import pytest

from mgm.data.items import common_folder, evenly_spaced


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
