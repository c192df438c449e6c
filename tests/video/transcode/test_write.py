"""Encoding frames to a file."""

from pathlib import Path

import numpy as np
import pytest

from mgm.errors import DataError
from mgm.video.transcode.write import encode


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_encode_names_what_it_refuses_and_leaves_nothing(tmp_path: Path) -> None:
    grey = [np.full((32, 48, 3), 128, np.uint8)] * 3
    path = tmp_path / "deep" / "clip.mp4"
    assert encode(path, iter(grey), fps=29.97) == 3
    before = contents(tmp_path)
    for frames, keywords, words in (
        ([], {}, "no frames"),
        (grey, {"options": {"nonsense": 1}}, "no option nonsense"),
        (grey, {"codec": "nocodec"}, "nocodec"),
        (grey, {"codec": "aac"}, "no video encoder"),
        ([grey[0][:31, :47]], {}, "sides are even"),
        ([grey[0], grey[0][:16]], {}, "frame 1 is uint8"),
        ([grey[0].astype(np.float32)], {}, "frame 0 is float32"),
    ):
        with pytest.raises(DataError, match=words):
            encode(path, frames, fps=10, **keywords)
    with pytest.raises(DataError, match="no container"):
        encode(tmp_path / "clip.doc", grey, fps=10)
    assert contents(tmp_path) == before
