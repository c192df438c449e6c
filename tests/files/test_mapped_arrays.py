import numpy as np
import pytest

from mgm.files.mapped_arrays import map_arrays, write_arrays

ARRAYS = {
    "bytes": np.arange(7, dtype=np.uint8),
    "none": np.empty(0, np.int64),
    "every other": np.arange(10)[::2],
    "real": np.array([0.5, np.nan]),
    "none at the end": np.empty(0, np.uint32),
}


def test_arrays_return_without_their_name(tmp_path):
    places = write_arrays(tmp_path / "columns", ARRAYS)
    found = map_arrays(tmp_path / "columns", places)
    (tmp_path / "columns").unlink()
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(ValueError, match="read-only"):
        found["real"][0] = 1


def test_a_file_that_was_cut_is_refused(tmp_path):
    path = tmp_path / "columns"
    places = write_arrays(path, ARRAYS)
    path.write_bytes(path.read_bytes()[:64])
    with pytest.raises(ValueError, match="buffer"):
        map_arrays(path, places)
    with pytest.raises(FileExistsError):
        write_arrays(path, ARRAYS)
