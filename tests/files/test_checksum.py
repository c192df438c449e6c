"""The checksum inside an archive: every changed bit is found, and other programs still read the file."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mgm.files.checksum import add_checksum, has_checksum, is_intact


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "file.pt"
    torch.save({"weight": torch.arange(300), "name": "x"}, path)
    add_checksum(path)
    return path


def test_any_flipped_bit_is_found(archive: Path):
    content = np.fromfile(archive, np.uint8)
    assert is_intact(archive)
    for bit in range(0, 8 * len(content), 13):
        flipped = content.copy()
        flipped[bit // 8] ^= 1 << bit % 8
        flipped.tofile(archive)
        # A file whose first bytes are not those of an archive is not taken for one by its readers either.
        assert not is_intact(archive) or bit < 32


@pytest.mark.parametrize("size", [4, 5, 40, -1])
def test_a_cut_file_is_found(archive: Path, size: int):
    archive.write_bytes(archive.read_bytes()[:size])
    assert not is_intact(archive)


def test_other_programs_read_the_file(archive: Path):
    for mapped in (False, True):
        assert torch.equal(torch.load(archive, weights_only=True, mmap=mapped)["weight"], torch.arange(300))
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None


def test_files_without_a_checksum(tmp_path: Path):
    torch.save([1], tmp_path / "old.pt")
    (tmp_path / "text").write_text("text")
    (tmp_path / "empty").touch()
    for path in tmp_path.iterdir():
        assert not has_checksum(path)
        assert is_intact(path)
