"""Tokens on disk: their rows and precision, and what a disk without room gives."""

import shutil
from pathlib import Path

import pytest
import torch

from mgm.errors import FileError
from mgm.evaluation import token_file as module
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.token_file import TokenFile, token_file
from tests.errors import check_message, raises

SHAPE = (6, 4, 8)


@pytest.fixture(scope="module")
def ranks():
    return Ranks()


@pytest.mark.parametrize(("limit", "tolerance"), [(module.EXACT_BYTES, 0), (0, 2**-11)])
def test_rows_are_read_as_written(tmp_path, ranks, monkeypatch, limit, tolerance):
    monkeypatch.setattr(module, "EXACT_BYTES", limit)
    values = torch.randn(3, *SHAPE[1:])
    with token_file(tmp_path, SHAPE, ranks) as tokens:
        tokens.write(torch.tensor([4, 0, 2]), values)
        found = tokens[torch.tensor([0, 2, 4, 0])]
        (part,) = tmp_path.iterdir()
        assert part.name.endswith(".part")  # a killed process leaves a name that the next one removes
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, values[[1, 2, 0, 1]], rtol=tolerance, atol=0)
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_an_error_before_anything_is_written(tmp_path, ranks, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with raises(FileError, "cannot_write", subject=tmp_path) as caught, token_file(tmp_path, (9537, 1568, 768), ranks):
        pass
    check_message("token-file-no-room", caught.value.about("runs/a"))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_is_an_error():
    full = TokenFile(Path("/dev/full"), SHAPE, module.np.dtype("float32"))
    with raises(FileError, "cannot_write", message="token-file-full"):
        full.write(torch.tensor([0]), torch.zeros(1, *SHAPE[1:]))
