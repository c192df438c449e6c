"""What many floors are tested with: a small set of synthetic videos, made once, and one thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mgm.data.synthetic import make_dataset


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of 16 training and 16 test clips of 8 frames at 64 px. Tests must not change it."""
    root = tmp_path_factory.mktemp("synthetic") / "set"
    make_dataset(root, train=16, test=16, frames=8, size=64, workers=2)
    return root


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they save in models this small, and a sum's rounding depends on how many share it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
