"""Weights that Caffe2's training programs pickled: a dict with `blobs`, a NumPy array under each name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from mgm.errors import ModelError
from mgm.files.inert_pickle import read_inert_pickle

# The first object, a number, of files that torch.save wrote before it wrote archives.
_TORCH_MAGIC: Final = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
_BLOBS: Final = "blobs"


def is_plain_pickle(head: bytes) -> bool:
    """Whether a file of these first bytes (32 or more) is a pickle of a dict that torch.save did not write."""
    return head[:1] in (b"\x80", b"(", b"}") and _TORCH_MAGIC not in head


def read_caffe2(file: Path) -> dict[str, Tensor] | None:
    """The blobs of a file, as data: nothing in it is run. None if the pickle contains no blobs.

    Raises:
        ModelError: the file is damaged, contains an object that only code could make, or a blob is not an array.
    """
    content = read_inert_pickle(file)
    blobs = content.get(_BLOBS) if isinstance(content, dict) else None
    if not isinstance(blobs, dict):
        return None
    state: dict[str, Tensor] = {}
    for name, value in blobs.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray | np.generic):
            raise ModelError(
                file,
                f"found the blob {name!r} of type {type(value).__name__}",
                "arrays under names",
                reason="malformed",
            )
        state[name] = torch.from_numpy(np.array(value))
    return state
