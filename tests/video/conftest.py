"""One video that many tests read."""

from pathlib import Path

import pytest

from tests.video.clips import encode_moving


@pytest.fixture(scope="session")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 frames of 64 x 96 with B-frames and three groups of pictures. Tests must not change it."""
    return encode_moving(tmp_path_factory.mktemp("video") / "ordinary.mp4", options={"g": 8})
