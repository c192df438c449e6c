from collections.abc import Callable
from pathlib import Path

import pytest

from mgm.data.annotations import VideoSet, load_set
from mgm.data.clips.source import MemorySource
from mgm.training import Config, load_config
from mgm.training.pretrain import pretrain

SMALL = [
    "data.frames=4",
    "data.size=32",
    "data.crop=multiscale",
    "data.workers=0",
    "model.size=debug",
    "pretrain.steps=6",
    "pretrain.warmup=2",
    "pretrain.batch=4",
    "finetune.steps=6",
    "finetune.warmup=2",
    "finetune.batch=4",
]


@pytest.fixture(scope="session")
def small() -> Callable[..., Config]:
    """The debug recipe, smaller still: six steps of four clips; arguments are overrides."""

    def make(*overrides: str) -> Config:
        return load_config("debug", [*SMALL, *overrides])

    return make


@pytest.fixture(scope="session")
def videos(tiny_set: Path) -> VideoSet:
    return load_set(tiny_set)


@pytest.fixture(scope="session")
def memory(videos: VideoSet) -> MemorySource:
    """The tiny set in memory, with its motion."""
    source = MemorySource(32, "codec")
    assert source.load([item.path for item in videos.items]) == {}
    return source


@pytest.fixture
def run(videos, memory, tmp_path):
    """Pretrain on the tiny set without output; returns the result."""

    def go(config, out="run", *, source=memory, videos=videos, **options):
        return pretrain(videos, config, out=tmp_path / out, source=source, show_progress=False, **options)

    return go
