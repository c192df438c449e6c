"""A set of synthetic videos, and its clips in memory."""

import pytest

from mgm.data.annotations import load_set
from mgm.data.clips.source import MemorySource


@pytest.fixture(scope="module")
def videos(tiny_set):
    return load_set(tiny_set)


@pytest.fixture(scope="module")
def memory(videos):
    source = MemorySource(32, None)
    source.load([item.path for item in videos.items])
    return source
