"""Figures about a run: a file for each command that measures them, in which the results on every set of videos are kept.

    {"set": {"name": "ucf101", "train": 9537, "test": 3783, "checksum": "3c5a..."}, "top1": ..., "other sets": [{"set": ...}]}

The newest result is at the top. It replaces an earlier one on the same videos and labels, and no other.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from mgm.data.items import VideoSet
from mgm.errors import ModelError
from mgm.files.atomic import atomic_write
from mgm.files.json_text import read_json
from mgm.training.checkpoint import contains_settings
from mgm.training.resume import fingerprint

PROBE_FILE: Final = "probe.json"
EVALUATION_FILE: Final = "evaluation.json"

_OTHERS = "other sets"


def result_file(run: str | Path, name: str) -> Path:
    """Path of a result about `run`: in its folder, or beside a file of external weights, under the name of that file."""
    path = Path(run)
    if path.is_dir():
        return path / name
    return path.with_name(name if contains_settings(path) else f"{path.name}.{name}")


def describe_set(videos: VideoSet) -> dict[str, Any]:
    """The entry `set` of a result: name, numbers of videos, and a checksum of their relative paths, labels, parts and split."""
    digest = blake2b(fingerprint(videos.items).numpy().tobytes(), digest_size=8)
    digest.update(json.dumps([len(videos.train), videos.classes]).encode())
    name = ", ".join(Path(part).name or Path(part).resolve().name for part in videos.root.split(","))
    return {"name": name, "train": len(videos.train), "test": len(videos.test), "checksum": digest.hexdigest()}


def read_results(file: Path) -> list[dict[str, Any]]:
    """The results in a file, the newest first; none if there is no file. Those of earlier releases have no entry `set`.

    Raises:
        ModelError: the file is damaged.
    """
    try:
        if not file.exists():
            return []
        newest = read_json(file.read_bytes())
        others = newest.pop(_OTHERS, [])
        return [newest, *(dict(other) for other in others)]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise damaged_results(file, error) from error


def keep_result(file: Path, videos: VideoSet, figures: dict[str, Any]) -> None:
    """Write the result on a set beside those on other sets.

    Raises:
        ModelError: the file is damaged. FileError: it cannot be written.
    """
    about = describe_set(videos)
    others = [result for result in read_results(file) if result.get("set", {}).get("checksum") != about["checksum"]]
    content = {"set": about, **figures, **({_OTHERS: others} if others else {})}
    with atomic_write(file) as opened:
        opened.write(f"{json.dumps(content, indent=2)}\n".encode())


def damaged_results(file: Path, error: Exception) -> ModelError:
    """The error of a file that does not contain results."""
    found = f"cannot be read as results of mgm ({error!r})"
    return ModelError(file, found, advice="delete it, and measure again", reason="malformed")
