"""One checkpoint: a folder that appears complete, with weights that any program reads and the state that continues the run.

    weights.safetensors   the model; its metadata describes it, so that mgm loads this file alone
    ema.safetensors       the exponential moving average of the model, if the run keeps one
    state.pt              optimiser, schedule, random states, place in the data, configuration, version
    about.json            step, epoch and loss, for people and for the rule which checkpoints are kept

state.pt ends with a checksum and contains those of the weights: a changed bit of any of the three is found, and so are weights
of another checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from mgm.errors import ModelError
from mgm.files.atomic import atomic_folder
from mgm.files.checksum import add_checksum, has_checksum, is_intact
from mgm.files.json_text import json_document, read_json
from mgm.files.safetensors_file import read_safetensors, write_safetensors
from mgm.files.torch_file import read_torch, write_torch
from mgm.models.convert import METADATA_KEY
from mgm.training.folder import ABOUT_FILE, STATE_FILE
from mgm.version import VERSION

CHECKPOINT_FORMAT: Final = "mgm-checkpoint-2"
WEIGHTS_FILE: Final = "weights.safetensors"
AVERAGE_FILE: Final = "ema.safetensors"
FULL_DISK: Final = "earlier checkpoints are intact: free some space and continue with --resume auto"

# Key of a checkpoint's content -> file of its tensors.
_TENSORS: Final = {"model": WEIGHTS_FILE, "ema": AVERAGE_FILE}
_OTHER_COPY: Final = "use another copy, or an earlier checkpoint of its run"


def write_checkpoint(folder: Path, content: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write a new checkpoint: a crash or a full disk leaves no part of it under its name.

    Args:
        content: the state of a run; "model", and "ema" if there is one, are state dicts of tensors on the CPU.
        about: JSON for `ABOUT_FILE`.

    Raises:
        FileError: it cannot be written.
    """
    with atomic_folder(folder, advice=FULL_DISK) as part:
        digests = {}
        for key, name in _TENSORS.items():
            if key in content:
                write_safetensors(content[key], part / name, {METADATA_KEY: json.dumps(_described(content))})
                digests[name] = _digest(part / name)
        rest = {key: value for key, value in content.items() if key not in _TENSORS}
        write_torch({"format": CHECKPOINT_FORMAT, "version": VERSION, "weights": digests, **rest}, part / STATE_FILE)
        add_checksum(part / STATE_FILE)
        (part / ABOUT_FILE).write_bytes(json_document(about))


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """The content of a checkpoint.

    Raises:
        ModelError: a file is missing, damaged, or would need to run code.
    """
    if not (folder / STATE_FILE).is_file():
        raise ModelError(folder, f"has no {STATE_FILE}", advice=_OTHER_COPY, reason="malformed")
    content = read_torch(folder / STATE_FILE)
    if not isinstance(content, dict) or content.get("format") != CHECKPOINT_FORMAT:
        raise foreign_file(folder / STATE_FILE, CHECKPOINT_FORMAT)
    digests = content.pop("weights", None)
    if not isinstance(digests, dict):
        raise ModelError(folder / STATE_FILE, "names no weights", advice=_OTHER_COPY, reason="malformed")
    for key, name in _TENSORS.items():
        if name in digests:
            content[key] = _read_weights(folder / name, digests[name])
    return content


def foreign_file(file: Path, expected: str) -> ModelError:
    """The error of a file of torch.save that does not have an expected format of mgm."""
    wanted = f"a checkpoint of mgm ({expected})"
    return ModelError(file, "found another program's file", wanted, "see mgm.load_encoder", reason="malformed")


def is_whole(folder: Path) -> bool:
    """Whether the bytes of a checkpoint are those that were written, even if they cannot be loaded now.

    Raises:
        OSError: a file cannot be read.
    """
    state = folder / STATE_FILE
    if not (state.is_file() and has_checksum(state) and is_intact(state)):
        return False
    digests: dict[str, str] = read_torch(state, mapped=True)["weights"]
    return all((folder / name).is_file() and _digest(folder / name) == digest for name, digest in digests.items())


def read_about(folder: Path) -> dict[str, Any]:
    """The content of `ABOUT_FILE`; empty if it is missing or damaged: no run depends on it."""
    try:
        about = read_json((folder / ABOUT_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _read_weights(file: Path, digest: str) -> dict[str, Tensor]:
    try:
        intact = file.is_file() and _digest(file) == digest
    except OSError as error:
        raise ModelError.cannot_read(file, error) from error
    if not intact:
        found = "is missing, was cut short or changed since it was written: its checksum differs"
        raise ModelError(file, found, advice=_OTHER_COPY, reason="malformed")
    return read_safetensors(file)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _described(content: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a model with which an export of mgm carries its weights (`mgm.models.convert`)."""
    about = {"kind": content.get("kind"), "spec": content.get("spec"), "format": "safetensors", "mgm": VERSION}
    if content.get("kind") == "network":
        return about | {name: content.get(name) for name in ("network", "frames", "size", "classes")}
    if "classes" in content:
        classes = content["classes"]
        return about | {"classes": len(classes), "labels": classes, "pooling": content.get("pooling", "mean")}
    return about | {name: content.get(name) for name in ("target", "visible_target", "teacher", "codes")}
