"""Encoding frames to a file."""

from pathlib import Path
from typing import Any

import numpy as np

from mgm.errors import DataError, Reason
from mgm.video.transcode.write import write_video
from tests.errors import raises


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_refused_video_leaves_nothing(tmp_path: Path) -> None:
    grey = [np.full((32, 48, 3), 128, np.uint8)] * 3
    path = tmp_path / "deep" / "clip.mp4"
    assert write_video(path, iter(grey), fps=29.97) == 3
    before = contents(tmp_path)
    failures: tuple[tuple[list[np.ndarray], dict[str, Any], Reason], ...] = (
        ([], {}, "missing_value"),
        (grey, {"options": {"nonsense": 1}}, "unknown_name"),
        (grey, {"codec": "nocodec"}, "unsupported"),
        (grey, {"codec": "aac"}, "unknown_name"),
        ([grey[0][:31, :47]], {}, "unsupported"),
        ([grey[0], grey[0][:16]], {}, "invalid_shape"),
        ([grey[0].astype(np.float32)], {}, "invalid_shape"),
    )
    for frames, keywords, reason in failures:
        with raises(DataError, reason, subject=path):
            write_video(path, frames, fps=10, **keywords)
    with raises(DataError, "unsupported", message="write-unknown-container"):
        write_video(tmp_path / "clip.doc", grey, fps=10)
    assert contents(tmp_path) == before
