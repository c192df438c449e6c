"""Named tensors in a file with a checksum: a damaged or unfinished one counts as missing."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from torch import Tensor

from mgm.files.atomic import atomic_write

_DIGEST_BYTES = 16


def read_tensors(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a file; None if it does not exist or is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        content = path.read_bytes()
        digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        return load(body) if digest == _digest(body) else None
    except (OSError, SafetensorError):
        return None


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors; the folder is made if missing. Raises FileError if they cannot be written."""
    from safetensors.torch import save

    body = save({name: value.contiguous() for name, value in tensors.items()})
    with atomic_write(path) as file:
        file.write(_digest(body))
        file.write(body)


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
