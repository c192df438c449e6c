"""A pipe in the place of a file does not block its reader."""

import os
from pathlib import Path

import pytest

from mgm.files.regular import open_regular


def test_only_files_are_opened(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"content")
    with open_regular(tmp_path / "file") as file:
        assert file.read() == b"content"
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path / "pipe", tmp_path / "missing", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match=other.name):
            open_regular(other)
