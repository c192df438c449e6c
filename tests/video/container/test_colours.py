"""Every colour tag that a stream can carry is read as a player shows it."""

from pathlib import Path

import numpy as np
import pytest

from mgm.video import read_clip
from mgm.video.transcode.encode import transcode_video
from tests.video.clips import encode_moving, tag_h264
from tests.video.transcode.pictures import KEEP

BT709, UNSPECIFIED, BT601, BT2020 = 1, 2, 6, 9


def pixels(path: Path):
    return read_clip(path, frames=2, stride=1, size=None).frames.astype(int)


@pytest.mark.parametrize("field", ["matrix_coefficients", "colour_primaries", "transfer_characteristics"])
def test_every_tag_is_read(tmp_path: Path, field: str):
    source = encode_moving(tmp_path / "plain.mp4", frames=2)
    for value in (*range(24), 100, 255):
        assert len(pixels(tag_h264(source, tmp_path / "tagged.mp4", **{field: value}))) == 2, value


@pytest.mark.parametrize(
    ("matrix", "primaries", "nearest"),
    [
        (10, 9, BT2020),
        (14, 9, BT2020),
        (12, 1, BT709),
        (13, 9, BT2020),
        (13, 12, UNSPECIFIED),
        (8, 1, UNSPECIFIED),
        (11, 1, UNSPECIFIED),
        (200, 1, UNSPECIFIED),
    ],
)
def test_a_refused_matrix_is_read_as_its_nearest(
    tmp_path: Path, ordinary: Path, matrix: int, primaries: int, nearest: int
):
    tags = {"colour_primaries": primaries}
    given = tag_h264(ordinary, tmp_path / "given.mp4", matrix_coefficients=matrix, **tags)
    known = tag_h264(ordinary, tmp_path / "known.mp4", matrix_coefficients=nearest, **tags)
    np.testing.assert_array_equal(pixels(given), pixels(known))


def test_matrices_differ(tmp_path: Path, ordinary: Path):
    """Otherwise the comparison above would pass for any of them."""
    a, b, c = (
        pixels(tag_h264(ordinary, tmp_path / f"{matrix}.mp4", matrix_coefficients=matrix))
        for matrix in (BT709, BT601, BT2020)
    )
    assert min(np.abs(a - b).mean(), np.abs(a - c).mean(), np.abs(b - c).mean()) > 0.5


@pytest.mark.parametrize(
    "tags", [{"matrix_coefficients": 10}, {"matrix_coefficients": 8}, {"transfer_characteristics": 9}]
)
def test_a_transcoded_file_shows_the_same_colours(tmp_path: Path, ordinary: Path, tags: dict[str, int]):
    source = tag_h264(ordinary, tmp_path / "in.mp4", **tags)
    transcode_video(source, tmp_path / "out.mp4", KEEP)
    assert np.abs(pixels(tmp_path / "out.mp4") - pixels(source)).mean() < 3
