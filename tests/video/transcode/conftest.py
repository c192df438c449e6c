"""Videos to prepare, and what a run that nothing interrupts makes of them."""

import os
import shutil
from pathlib import Path

import pytest

from mgm.video.transcode.folder import prepare_videos
from tests.video.clips import encode_moving, remux
from tests.video.transcode.results import SMALL, contents


@pytest.fixture(scope="package")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight videos in folders, two of them with one name, and two broken ones. Tests must not change it."""
    root = tmp_path_factory.mktemp("prepare") / "videos"
    for name in ("a/x.mp4", "a/y.mkv", "a-b/x.mp4", "b/c/x.avi", "b/c/x.mp4", "b/z.MOV"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        encode_moving(root / name.lower(), frames=12, options={"preset": "ultrafast"})
    (root / "b" / "z.mov").rename(root / "b" / "z.MOV")
    remux(root / "a" / "x.mp4", root / "turned.mp4", rotation=90)
    encode_moving(root / "vp9.webm", frames=5, codec="libvpx-vp9", options={"cpu-used": 8, "b": "1M"})
    (root / "b" / "text.mp4").write_text("no video")
    shutil.copy(root / "a" / "x.mp4", root / "cut.mp4")
    os.truncate(root / "cut.mp4", (root / "cut.mp4").stat().st_size // 2)
    (root / "notes.txt").write_text("not looked at")
    return root


@pytest.fixture(scope="package")
def undisturbed(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run that nothing interrupts leaves."""
    dst = tmp_path_factory.mktemp("undisturbed")
    prepare_videos(videos, dst, **SMALL)
    return contents(dst)
