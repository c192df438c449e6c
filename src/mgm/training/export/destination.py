"""The formats of exports, and the folder of one. It needs no torch: an export that is refused does not wait for it."""

from pathlib import Path
from typing import Literal

from mgm.errors import ModelError
from mgm.files.atomic import cannot_write
from mgm.models.description import DESCRIPTION_FILE

ExportFormat = Literal["hf", "videomae", "safetensors", "torch-export", "onnx"]
ExportPart = Literal["whole", "encoder"]


def check_free(target: Path, *, overwrite: bool) -> None:
    """Raises ModelError unless the folder is missing, empty or, with `overwrite`, an earlier export."""
    try:
        if not target.exists() and not target.is_symlink():
            return
        is_empty = target.is_dir() and not any(target.iterdir())
        is_export = target.is_dir() and (target / DESCRIPTION_FILE).is_file()
    except OSError as error:
        raise cannot_write(target, error) from error
    if is_empty or (overwrite and is_export):
        return
    found = "found an earlier export" if is_export else "found other content, which is never replaced"
    advice = "choose another folder, or replace it with --overwrite" if is_export else "choose another folder"
    raise ModelError(target, found, "a new folder", advice, reason="exists")
