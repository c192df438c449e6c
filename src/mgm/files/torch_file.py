"""Files of torch.save: written with the system's reason for a failure, read as data, so that no code of a file is run."""

from __future__ import annotations

import argparse
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from mgm.errors import ModelError
from mgm.files.checksum import is_intact


def write_torch(content: Any, file: Path) -> None:
    """Write a new file with torch.save.

    Raises:
        OSError: it cannot be written; torch hides a full disk behind an error about a position in its archive.
    """
    try:
        with file.open("xb") as opened:
            torch.save(content, opened)
    except RuntimeError as error:
        hidden = error.__context__
        raise hidden if isinstance(hidden, OSError) else OSError(str(error)) from error


def read_torch(file: Path, *, mapped: bool = False, inert: tuple[str, ...] = ()) -> Any:
    """The content of a file of torch.save, as data: containers, numbers, strings, tensors, and argparse.Namespace.

    The reference's files contain their command line as a Namespace, which weights_only alone refuses; a Namespace only has
    attributes, and reading it runs no code.

    Args:
        mapped: leave tensors in the file until they are used; the file must not change meanwhile.
        inert: beginnings of the names of classes, such as those of a training program's callbacks, of which the file may contain
            objects: they are read as empty records that have neither the class's code nor any other.

    Raises:
        ModelError: the file is damaged (a checkpoint of mgm has a checksum), or if reading it would run code.
    """
    try:
        intact = is_intact(file)
    except OSError as error:
        raise ModelError.cannot_read(file, error) from error
    if not intact:
        raise ModelError(
            file,
            "was cut short or changed since it was written: its checksum differs",
            advice="use another copy, or an earlier checkpoint of its run",
            reason="malformed",
        )
    try:
        records = _records(file, inert) if inert and zipfile.is_zipfile(file) else []
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace, *records]):
            warnings.simplefilter("ignore")  # about files of other formats
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped and zipfile.is_zipfile(file))
    except Exception as error:  # damaged or foreign files raise KeyError, struct.error and more
        raise _unreadable_content(file, error) from error


class _Record:
    """Stands for an object of a class that is not loaded: it keeps its attributes and does nothing."""


def _records(file: Path, inert: tuple[str, ...]) -> list[Any]:
    """An empty class of its own for each class of a file that `inert` names, as torch's list of safe globals has it."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    return [(type(name.rpartition(".")[2], (_Record,), {}), name) for name in names if name.startswith(inert)]


def _unreadable_content(file: Path, error: Exception) -> ModelError:
    """The error for a file that torch.load refuses: for an object that only code could read, or for damage."""
    text = " ".join(str(error).split())
    needed = re.search(r"GLOBAL (\S+)", text)
    if needed:
        return ModelError(
            file,
            f"found an object of {needed[1]}, which only code in the file could read",
            "tensors and plain values",
            "mgm runs no code of files: if you trust it, open it with the program that wrote it and save its state dict",
            reason="unsupported",
        )
    # Without torch's advice to switch the protection off.
    reason = text.partition("WeightsUnpickler error: ")[2].partition(" Check the documentation")[0]
    if not reason and not text.startswith("Weights only load failed"):
        reason = text
    reason = reason.partition(". ")[0]
    return ModelError(
        file,
        f"cannot be read as weights ({reason[:200] or 'not a pickle'})",
        "a checkpoint",
        "it is damaged, or only code in the file could read it, which mgm does not run",
        reason="malformed",
    )
