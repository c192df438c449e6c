"""Where the real clips are, and one video that many tests read."""

import os
from pathlib import Path

import pytest

from .clips import encode_moving


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips: MGM_SHARED_DATA, else ../shared/data beside the repository."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("MGM_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not a folder; set MGM_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 frames of 64 x 96 with B-frames and three groups of pictures. Tests must not change it."""
    return encode_moving(tmp_path_factory.mktemp("video") / "ordinary.mp4", options={"g": 8})
