"""Pretrained weights that are loaded by a name, from a folder of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from mgm.errors import ModelError

NAMED_WEIGHTS: Final = ("mgm-tiny",)
"""mgm-tiny: the encoder of the recipe `laptop`, see docs/checkpoints.md."""

FOLDER_VARIABLE: Final = "MGM_WEIGHTS"


def weights_folder() -> Path:
    """Where named weights lie: the folder `MGM_WEIGHTS`, or `mgm/weights` in the user's cache. Nothing is downloaded."""
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mgm" / "weights"


def find_weights(path: str | Path) -> str | Path:
    """The export that a name of `NAMED_WEIGHTS` stands for; any other path, and an existing file of that name, unchanged.

    Raises:
        ModelError: the export is not in the folder.
    """
    if str(path) not in NAMED_WEIGHTS or Path(path).exists():
        return path
    folder = weights_folder() / str(path)
    if not folder.exists():
        raise ModelError(
            path,
            f"no folder {folder}",
            "the export with these weights",
            f"unpack it there, or make it with experiments/real/weights.py; {FOLDER_VARIABLE} names another folder",
            reason="not_found",
        )
    return folder
