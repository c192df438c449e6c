"""Shared fixtures: a small set of synthetic videos, made once, the real clips, and one thread."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mgm.data.synthetic.labelled import make_dataset
from tests.errors import UPDATE


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-messages", action="store_true", help="rewrite tests/messages.txt from the errors raised")
    parser.addoption("--shuffle", type=int, help="seed of an order of the tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (seed := config.getoption("--shuffle")) is not None:
        random.Random(seed).shuffle(items)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-messages"):
        os.environ[UPDATE] = "1"
    os.environ["PYTHONIOENCODING"] = "utf-8"  # tables have other lines in ASCII
    # As in a terminal: a script's `&` and nohup let their children ignore some.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in {"SIGTERM", "SIGUSR1", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of 16 training and 16 test clips of 8 frames at 64 px. Tests must not change it."""
    root = tmp_path_factory.mktemp("synthetic") / "set"
    make_dataset(root, train=16, test=16, frames=8, size=64, workers=2)
    return root


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips: MGM_SHARED_DATA, else ../shared/data beside the repository."""
    beside = Path(__file__).parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("MGM_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} is not a folder; set MGM_SHARED_DATA")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they save in models this small, and a sum's rounding depends on how many share it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
