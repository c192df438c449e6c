"""Modules that were pickled whole: their weights arrive, their code does not."""

import os
import pickle
import sys
import types
import zipfile

import pytest
import torch
from torch import nn

from mgm.errors import ModelError
from mgm.files.inert_torch import read_pickled_module
from tests.errors import raises


class Foreign(nn.Module):
    """A module of a package that readers do not have: `foreign_package`."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, 4).T)
        self.blocks = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Identity())
        self.tied = self.blocks[0]
        self.register_buffer("table", torch.randn(5).half()[1:4])
        self.register_buffer("absent", None)
        self.device = torch.device("cpu")


@pytest.fixture(params=["archive", "stream"])
def saved(tmp_path, request, monkeypatch):
    """(module, file): written while its package exists."""
    package = types.ModuleType("foreign_package")
    package.__file__ = __file__  # the older format stores the source of a class
    monkeypatch.setitem(sys.modules, "foreign_package", package)
    monkeypatch.setattr(Foreign, "__module__", "foreign_package")
    package.Foreign = Foreign
    torch.manual_seed(0)
    module = Foreign()
    file = tmp_path / "encoder.pkl"
    torch.save(module, file, _use_new_zipfile_serialization=request.param == "archive")
    monkeypatch.delitem(sys.modules, "foreign_package")
    return module, file


def test_reads_every_tensor(saved):
    module, file = saved
    found = read_pickled_module(file, records=["foreign_package"])
    expected = module.state_dict()
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value)
    assert "foreign_package" not in sys.modules


def test_refuses_a_class_that_was_not_allowed(saved):
    with raises(ModelError, "unsupported", subject=saved[1]) as caught:
        read_pickled_module(saved[1], records=["another"])
    assert "foreign_package.Foreign" in caught.value.found


def test_a_state_dict_is_no_module(tmp_path):
    torch.save({"w": torch.zeros(2)}, tmp_path / "w.pt")
    with raises(ModelError, "malformed"):
        read_pickled_module(tmp_path / "w.pt", records=[])


class Calls:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("archive", [True, False])
def test_runs_nothing(tmp_path, archive):
    trap = tmp_path / "ran"
    module = nn.Linear(2, 2)
    module.extra = Calls(f"touch {trap}")
    torch.save(module, tmp_path / "w.pt", _use_new_zipfile_serialization=archive)
    with raises(ModelError, "unsupported"):
        read_pickled_module(tmp_path / "w.pt", records=[])
    assert not trap.exists()


def test_a_tensor_stays_in_its_storage(tmp_path):
    """Strides of a file are not trusted: they could read the memory behind it."""
    outside = (((7,), (1,), 0), ((6,), (1,), 1), ((2,), (6,), 0), ((3,), (-1,), 3), ((1000,), (0,), 0))
    file = tmp_path / "w.pt"
    for shape, strides, offset in outside:
        write_linear(file, shape, strides, offset)
        with raises(ModelError, "malformed"):
            read_pickled_module(file, records=[])


def write_linear(file, shape, strides, offset):
    """A file of a module with a buffer of six numbers and another description of its shape."""

    class Described:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (Numbers(), offset, shape, strides, False, {})

    class Numbers:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, "0", "cpu", 6) if isinstance(value, Numbers) else None

    module = nn.Identity()
    module.__dict__["_buffers"] = {"w": Described()}
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open("archive/data.pkl", "w") as stream:
            Pickler(stream, 2).dump(module)
        archive.writestr("archive/data/0", torch.arange(6.0).numpy().tobytes())


def test_the_described_tensor_is_read_where_it_fits(tmp_path):
    write_linear(tmp_path / "w.pt", (2, 2), (3, 1), 1)
    assert read_pickled_module(tmp_path / "w.pt", records=[])["w"].tolist() == [[1, 2], [4, 5]]


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 and nothing"])
def test_damaged_files(tmp_path, content):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_pickled_module(tmp_path / "w.pt", records=[])
    assert caught.value.reason in ("malformed", "empty")


def test_a_compressed_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1000))
    with raises(ModelError, "malformed"):
        read_pickled_module(tmp_path / "w.pt", records=[])
