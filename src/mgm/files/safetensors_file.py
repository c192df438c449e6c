"""Files of safetensors: tensors by name, and text about them. Reading one runs no code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from mgm.errors import ModelError


def write_safetensors(state: Mapping[str, Tensor], file: Path, metadata: Mapping[str, str]) -> None:
    """Write a new file with tensors and text about them.

    Raises:
        OSError: it cannot be written; safetensors' own writer hides the system's reason, and its files have the permissions of
            temporary ones. The bytes are therefore made in memory.
    """
    # Imported here, because models that are neither trained nor exported need no safetensors.
    from safetensors.torch import save

    content = save({key: value.contiguous() for key, value in state.items()}, {"format": "pt", **metadata})
    with file.open("xb") as opened:
        opened.write(content)


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU. Raises ModelError if it is damaged or cannot be read."""
    return read_safetensors_and_text(file)[0]


def read_safetensors_and_text(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, and the text about them (`metadata`). Raises as `read_safetensors`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in list(opened.keys())}, opened.metadata() or {}
    except (SafetensorError, ValueError, AttributeError) as error:  # AttributeError: a dtype that this torch lacks
        found = f"cannot be read as safetensors ({error})"
        raise ModelError(file, found, advice="use another copy", reason="malformed") from error
    except OSError as error:
        raise ModelError.cannot_read(file, error) from error
