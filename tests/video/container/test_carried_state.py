"""State that comes with the first packet, or with one in the middle, holds for clips after a seek, too."""

from pathlib import Path

import av
import numpy as np
import pytest

from mgm.video import VideoReader, read_clip
from tests.video.clips import decode_whole


def write_indexed(path: Path, *, codec: str, palettes: int, frames: int = 24) -> Path:
    """Pictures of numbers whose colours are in a palette; `palettes` follow each other."""
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (palettes, 256, 4), np.uint8)
    colours[..., 3] = 255
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "pal8"
        for number in range(frames):
            numbers = random.integers(0, 256, (24, 32), np.uint8)
            picture = av.VideoFrame.from_ndarray((numbers, colours[number * palettes // frames]), format="pal8")
            picture.pts = number
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "palettes"),
    [("a.avi", "rawvideo", 1), ("a.mov", "rawvideo", 1), ("a.mov", "png", 1), ("a.avi", "rawvideo", 3)],
)
def test_a_palette_holds_for_every_clip(tmp_path: Path, name: str, codec: str, palettes: int):
    path = write_indexed(tmp_path / name, codec=codec, palettes=palettes)
    whole = decode_whole(path)
    assert len(np.unique(whole[0])) > 50
    with VideoReader(path) as reader:
        for start in (0, 1, 12, 23, 5, 17, 0):
            for clip in (reader.read_clip, lambda **query: read_clip(path, **query)):
                frames = clip(start=start, frames=1, size=None, motion=None).frames
                np.testing.assert_array_equal(frames[0], whole[start], err_msg=str(start))
