"""A small set of synthetic videos, made once, that the floors from data upwards are tested on."""

from pathlib import Path

import pytest

from mgm.data.synthetic import make_dataset


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of 16 training and 16 test clips of 8 frames at 64 px. Tests must not change it."""
    root = tmp_path_factory.mktemp("synthetic") / "set"
    make_dataset(root, train=16, test=16, frames=8, size=64, workers=2)
    return root
