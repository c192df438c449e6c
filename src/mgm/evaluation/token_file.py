"""Tokens of many views on disk: those of a ViT-B on a set of 10,000 videos take 24 GB."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mgm.errors import FileError
from mgm.evaluation.ranks import Ranks
from mgm.files.atomic import cannot_write, scratch_folder
from mgm.terminal import byte_size

EXACT_BYTES = 8 * 2**30
"""Size up to which tokens keep their 32 bits; in a larger file they have 16."""

_ADVICE = "free some space, or leave out the attentive probe, which alone needs tokens: probe.heads=[linear,knn]"


class Tokens(Protocol):
    """Tokens by rows, float32 (rows, N, dim): a tensor, or a file."""

    def __getitem__(self, rows: Tensor) -> Tensor:
        """The tokens of some rows, int64 (rows,)."""


class TokenFile:
    """A file of tokens, one row per view, that several processes may write at once. Rows that are not written take no space.

    Args:
        shape: (rows, N, dim).
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[np.floating]) -> None:
        self.path = path
        self.shape = shape
        self.dtype = dtype

    def write(self, rows: Tensor, tokens: Tensor) -> None:
        """Write float32 (len(rows), N, dim). Raises FileError if it cannot be written, for example to a full disk."""
        values = tokens.numpy().astype(self.dtype, copy=False)
        try:
            with self.path.open("r+b") as file:  # on a full disk, writing to a memory map kills the process
                for row, value in zip(rows.tolist(), values, strict=True):
                    file.seek(row * value.nbytes)
                    file.write(value.data)
        except OSError as error:
            raise cannot_write(self.path, error, _ADVICE) from error

    def __getitem__(self, rows: Tensor) -> Tensor:
        """The tokens of written rows."""
        mapped = np.memmap(self.path, self.dtype, "r", shape=self.shape)
        return torch.from_numpy(mapped[rows.numpy()].astype(np.float32, copy=False))


@contextmanager
def token_file(folder: Path, shape: tuple[int, int, int], ranks: Ranks) -> Iterator[TokenFile]:
    """A temporary file in `folder` for tokens of a shape, the same file for all ranks.

    Raises:
        FileError: the disk has no room for all rows, or cannot be written.
    """
    with ExitStack() as stack:
        path = ranks.from_first(lambda: _make_file(folder, token_bytes(shape), shape[0], stack))
        yield TokenFile(path, shape, _dtype(shape))


def token_bytes(shape: tuple[int, int, int]) -> int:
    """Size of the file of tokens of a shape."""
    return math.prod(shape) * _dtype(shape).itemsize


def _dtype(shape: tuple[int, int, int]) -> np.dtype[np.floating]:
    return np.dtype(np.float32 if math.prod(shape) * 4 <= EXACT_BYTES else np.float16)


def _make_file(folder: Path, size: int, views: int, stack: ExitStack) -> Path:
    """An empty file, removed when the stack is closed; if the process is killed, by the next one that writes into the folder."""
    path = stack.enter_context(scratch_folder(folder / "tokens")) / "tokens"
    free = shutil.disk_usage(path.parent).free
    if free < size:
        found, expected = f"{byte_size(free)} are free", f"{byte_size(size)} for the tokens of {views:,} views"
        raise FileError(folder, found, expected, _ADVICE, reason="cannot_write")
    path.touch()
    os.truncate(path, size)  # whole, for the memory map; it takes no space until rows are written
    return path
