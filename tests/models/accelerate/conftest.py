import sys

import pytest
import torch

import mgm.models.accelerate.attention  # noqa: F401
from tests.models.accelerate.operations import count_calls


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def short_rows(monkeypatch):
    """Attention to few keys is accelerated too, in tiles of some rows. Returns the calls."""
    module = sys.modules["mgm.models.accelerate.attention"]
    monkeypatch.setattr(module, "_FEWEST_KEYS", 2)
    monkeypatch.setattr(module, "_TILE", 512)
    return count_calls(monkeypatch, module, "_forward")
