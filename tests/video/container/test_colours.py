"""Every colour tag that a stream can carry is read as a player shows it."""

from pathlib import Path

import av
import numpy as np
import pytest

from mgm.video import read_clip
from mgm.video.transcode.encode import transcode_video
from tests.video.clips import VELOCITY, encode_moving, moving_frames, tag_h264
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


@pytest.mark.parametrize("full", [0, 1])
def test_ycgco_is_converted(tmp_path: Path, full: int):
    """Planes by its definition in ISO 23091-2."""
    frames = np.stack(moving_frames(3, (64, 96))).astype(float)
    red, green, blue = np.moveaxis(frames, -1, 0)
    planes = [(red + 2 * green + blue) / 4, (2 * green - red - blue) / 4 + 128, (red - blue) / 2 + 128]
    if not full:
        planes = [16 + planes[0] * 219 / 255, *(128 + (plane - 128) * 224 / 255 for plane in planes[1:])]
    coded = np.stack(planes, axis=1).round().clip(0, 255).astype(np.uint8)
    with av.open(str(tmp_path / "plain.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "1", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        for picture in coded:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv444p")))
        out.mux(stream.encode(None))
    tags = {"matrix_coefficients": 8, "video_full_range_flag": full}
    path = tag_h264(tmp_path / "plain.mp4", tmp_path / "tagged.mp4", **tags)
    clip = read_clip(path, frames=3, stride=1, size=None)
    assert np.abs(clip.frames - frames).mean() < 2
    assert clip.motion is not None
    np.testing.assert_allclose(np.median(clip.motion.vectors, axis=(0, 1, 2)), VELOCITY, atol=0.25)
    transcode_video(path, tmp_path / "out.mp4", KEEP)
    assert np.abs(pixels(tmp_path / "out.mp4") - frames[:2]).mean() < 12  # its chroma has half the resolution


@pytest.mark.parametrize(
    "tags", [{"matrix_coefficients": 10}, {"matrix_coefficients": 8}, {"transfer_characteristics": 9}]
)
def test_a_transcoded_file_shows_the_same_colours(tmp_path: Path, ordinary: Path, tags: dict[str, int]):
    source = tag_h264(ordinary, tmp_path / "in.mp4", **tags)
    transcode_video(source, tmp_path / "out.mp4", KEEP)
    assert np.abs(pixels(tmp_path / "out.mp4") - pixels(source)).mean() < 3
