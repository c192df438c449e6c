"""Short pieces of a whole video, and a video whose B-frames have no vectors."""

from pathlib import Path

import pytest

from mgm.video.clip import whole_video
from tests.video.clips import encode_moving


@pytest.fixture
def short_pieces(monkeypatch):
    """24 frames then make several pieces."""
    monkeypatch.setattr(whole_video, "_FRAMES", 5)


@pytest.fixture(scope="module")
def xvid(tmp_path_factory) -> Path:
    """Its B-frames have no vectors."""
    path = tmp_path_factory.mktemp("xvid") / "a.avi"
    return encode_moving(path, codec="mpeg4", options={"bf": 2, "g": 9})
