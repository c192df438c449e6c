"""Reads the boxes of objects from a JSON file beside a video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mgm.errors import DataError, in_words
from mgm.files.json_text import read_json

FOLDER_BOXES = "boxes.json"
"""Boxes of all videos in a folder: one sequence, encoded any number of times."""


def read_boxes(video: str | Path, *, file: str | Path | None = None) -> list[npt.NDArray[np.float32]] | None:
    """Read the boxes beside a video: from the file of its name with the suffix .json, else from `boxes.json` in its folder.

    Args:
        file: read this file instead.

    Returns:
        For each frame up to the last one in the file, float32 (n, 4), ``x0, y0, x1, y1`` in pixels, far edges exclusive;
        n = 0 for frames that the file omits. None if the file is missing or has no "frames": many collections have other JSON
        files beside their videos.

    Raises:
        DataError: "frames" is not of the form ``{"frames": [{"frame": 0, "boxes_xyxy": [[...]]}, ...]}``; or `file` does not exist
            or contains no "frames".
    """
    beside = Path(video)
    paths = [beside.with_suffix(".json"), beside.with_name(FOLDER_BOXES)] if file is None else [Path(file)]
    for path in paths:
        content = _read_json(path)
        if isinstance(content, dict) and "frames" in content:
            return _boxes(path, content["frames"])
    if file is not None:
        raise DataError(
            file, "no boxes found", 'a JSON file with {"frames": [...]}', "give another file", reason="malformed"
        )
    return None


def _boxes(path: Path, frames: Any) -> list[npt.NDArray[np.float32]]:
    try:
        entries = {entry["frame"]: entry["boxes_xyxy"] for entry in frames}
        return [np.array(entries.get(i, []), np.float32).reshape(-1, 4) for i in range(max(entries, default=-1) + 1)]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            path,
            f"boxes are not valid ({in_words(error)})",
            '{"frames": [{"frame": 0, "boxes_xyxy": [[x0, y0, x1, y1]]}]}',
            reason="malformed",
        ) from error


def _read_json(path: Path) -> Any:
    """Parse a JSON file; None if it does not exist or is not valid."""
    try:
        return read_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
