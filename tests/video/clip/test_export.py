"""An exported field equals one that is read at once, in every format."""

import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mgm.errors import FileError, VideoError
from mgm.video.clip import whole_video
from mgm.video.clip.export import export_motion
from mgm.video.clip.reader import read_motion
from mgm.video.container.orientation import UPRIGHT
from mgm.video.motion.field import VectorField
from mgm.video.motion.streaming import FrameMotion
from tests.errors import raises
from tests.video.clips import VELOCITY

pytestmark = pytest.mark.usefixtures("short_pieces")


def test_the_field_is_the_motion_of_the_content(ordinary, tmp_path):
    export_motion(ordinary, tmp_path / "a.npz", stride=4)
    with np.load(tmp_path / "a.npz") as found:
        middle = np.median(found["vectors"][1:].reshape(-1, 2), axis=0)
    assert middle == pytest.approx(4 * np.array(VELOCITY), abs=0.5)


def test_npz(ordinary, tmp_path):
    done = export_motion(ordinary, tmp_path / "new" / "a.npz", stride=4, camera="median")
    assert done.files == (tmp_path / "new" / "a.npz",)
    expected = read_motion(ordinary, stride=4, camera="median")
    with np.load(done.files[0]) as found:
        assert set(found.files) == {"vectors", "valid", "pts", "index", "attributes"}
        assert found["vectors"].dtype == np.float32
        assert np.array_equal(found["vectors"], expected.motion.vectors)
        assert np.array_equal(found["valid"], expected.motion.valid)
        assert np.array_equal(found["pts"], expected.pts_seconds)
        assert found["index"].tolist() == [0, 4, 8, 12, 16, 20]
        attributes = json.loads(found["attributes"].item())
    assert attributes.pop("mgm")
    assert attributes == {
        "video": "ordinary.mp4",
        "source": "codec",
        "extent": [64, 96],
        "cell": 8,
        "stride": 4,
        "policy": "window_sum",
        "reading": "clean",
        "camera": "median",
    }
    assert [p.name for p in done.files[0].parent.iterdir()] == ["a.npz"]


def test_npz_of_the_same_motion_has_the_same_bytes(ordinary, tmp_path):
    for name in ("a.npz", "b.npz"):
        export_motion(ordinary, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_npy(ordinary, tmp_path):
    done = export_motion(ordinary, tmp_path / "a.npy", stride=4)
    assert [p.name for p in done.files] == ["a.npy", "a.valid.npy", "a.npy.json"]
    expected = read_motion(ordinary, stride=4)
    vectors = np.load(done.files[0], mmap_mode="r")
    assert vectors.offset == 128  # aligned
    assert np.array_equal(vectors, expected.motion.vectors)
    assert np.array_equal(np.load(done.files[1]), expected.motion.valid)
    rest = json.loads(done.files[2].read_text())
    assert rest["index"] == expected.frame_indices.tolist()
    assert rest["pts"] == expected.pts_seconds.tolist()
    assert (rest["source"], rest["stride"], rest["extent"]) == ("codec", 4, [64, 96])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npy", "a.npy.json", "a.valid.npy"]


def test_zarr(ordinary, tmp_path):
    zarr = pytest.importorskip("zarr")
    out = tmp_path / "a.zarr"
    export_motion(ordinary, out, stride=12)
    done = export_motion(ordinary, out, stride=4)  # replaces it
    expected = read_motion(ordinary, stride=4)
    group = zarr.open_group(out, mode="r")
    assert np.array_equal(group["vectors"][:], expected.motion.vectors)
    assert np.array_equal(group["valid"][:], expected.motion.valid)
    assert np.array_equal(group["pts"][:], expected.pts_seconds)
    assert np.array_equal(group["index"][:], expected.frame_indices)
    assert group.attrs["stride"] == 4
    assert group.attrs["extent"] == [64, 96]
    assert done.files == (out,)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_missing_package(ordinary, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with raises(VideoError, "missing_package", message="export-without-zarr"):
        export_motion(ordinary, tmp_path / "a.zarr")


def test_totals_are_those_of_the_field(ordinary, tmp_path):
    totals = export_motion(ordinary, tmp_path / "a.npz", stride=4).totals
    motion = read_motion(ordinary, stride=4).motion
    assert (totals.frames, totals.grid, totals.extent, totals.source) == (6, (8, 12), (64, 96), "codec")
    assert totals.mean == pytest.approx(float(motion.magnitude.mean()))
    assert totals.measured == pytest.approx(float(motion.valid.mean()))


def test_a_failed_export_leaves_the_old_file_and_nothing_else(ordinary, tmp_path):
    data = ordinary.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "a.npz").write_bytes(b"old")
    with raises(VideoError, "truncated", subject=tmp_path / "cut.mp4"):
        export_motion(tmp_path / "cut.mp4", tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "cut.mp4"]


@pytest.mark.parametrize(
    ("out", "options", "reason", "message"),
    [
        ("a.csv", {}, "unsupported", "export-suffix"),
        ("a.npz", {"stride": 0}, "invalid_value", None),
        ("a.npz", {"policy": "mean"}, "unknown_name", None),
        ("a.npz", {"reading": "x"}, "unknown_name", None),
        ("a.npz", {"camera": "x"}, "unknown_name", None),
    ],
)
def test_options_that_are_not_possible(ordinary, tmp_path, out, options, reason, message):
    (tmp_path / "file").touch()
    with raises(VideoError, reason, message=message):
        export_motion(ordinary, tmp_path / out, **options)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written(ordinary, tmp_path):
    (tmp_path / "file").touch()
    with raises(FileError, "cannot_write", subject=tmp_path / "file" / "a.npz"):
        export_motion(ordinary, tmp_path / "file" / "a.npz")


def test_memory_stays_flat(ordinary, tmp_path, monkeypatch):
    """2400 frames are 69 MB of vectors."""
    field = np.random.default_rng(0).integers(-40, 40, (45, 80, 2)).astype(np.float32) / 4
    measured = np.ones((45, 80), np.bool_)

    def many(*_, **__):
        for i in range(2400):
            yield FrameMotion(i, i / 25, "P", False, VectorField(np.roll(field, i, axis=0), measured))

    monkeypatch.setattr(whole_video, "_FRAMES", 128)
    monkeypatch.setattr(whole_video, "iter_cached_motion", many)
    monkeypatch.setattr(whole_video, "_first_picture", lambda _: (UPRIGHT, (360, 640)))
    tracemalloc.start()
    try:
        done = export_motion(ordinary, tmp_path / "a.npy")
        assert tracemalloc.get_traced_memory()[1] < 26e6
    finally:
        tracemalloc.stop()
    assert done.totals.frames == 2400
    assert np.array_equal(np.load(tmp_path / "a.npy", mmap_mode="r")[700], np.roll(field, 700, axis=0))


def test_nothing_of_the_users_is_replaced(tmp_path: Path, ordinary: Path):
    video = tmp_path / "clip.npy"
    video.write_bytes(ordinary.read_bytes())
    with raises(FileError, "exists", subject=video):
        export_motion(video, video)
    labels = tmp_path / "field.json"
    labels.write_text("[1, 2]")
    export_motion(ordinary, tmp_path / "field.npy")
    assert labels.read_text() == "[1, 2]"
    export_motion(ordinary, tmp_path / "field.npy", stride=2)  # an earlier export may be replaced

    pytest.importorskip("zarr")
    precious = tmp_path / "data.zarr" / "precious"
    precious.mkdir(parents=True)
    with raises(VideoError, "exists", subject=tmp_path / "data.zarr", message="export-exists"):
        export_motion(ordinary, tmp_path / "data.zarr")
    assert precious.is_dir()
    for _ in range(2):
        export_motion(ordinary, tmp_path / "field.zarr")


def test_long_names(tmp_path: Path, ordinary: Path):
    out = tmp_path / ("x" * 240 + ".npz")
    assert export_motion(ordinary, out).files == (out,)
