"""Modules that torch.save pickled whole, such as DALL-E's dVAE: their parameters and buffers, without their code.

`torch.load(weights_only=True)` refuses such a file, and without that it imports and calls whatever the file names.
"""

from __future__ import annotations

import math
import mmap
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch
from torch import Tensor

from mgm.errors import ModelError, in_words
from mgm.files.inert_pickle import parse_inert_pickle
from mgm.files.inert_values import GlobalName, InertObject
from mgm.files.regular import open_regular

_STORAGES: Final = {
    f"torch.{name}Storage": getattr(torch, dtype)
    for name, dtype in {
        "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64", "Int": "int32",
        "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
    }.items()
}  # fmt: skip
_TENSORS: Final = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
_PARAMETERS: Final = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_MOST_LEVELS, _MOST_NAMES = 64, 100_000


@dataclass(slots=True)
class _Storage:
    """Numbers of a file. values: flat; None until they are read."""

    dtype: torch.dtype
    key: str
    size: int
    values: Tensor | None = None


def read_pickled_module(file: Path, *, records: Sequence[str]) -> dict[str, Tensor]:
    """The state dict of a module that a file of torch.save contains whole.

    Args:
        records: packages of the module's own classes, for example "dall_e"; those of torch are known.

    Raises:
        ModelError: the file contains objects of others, is damaged, or contains no module.
    """
    try:
        with open_regular(file) as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            reader = _Reader(file, data, (*records, "torch", "functools.partial"))
            content = reader.archive(opened) if data[:4] == b"PK\x03\x04" else reader.stream()
            return _state(content, file)
    except OSError as error:
        raise ModelError.cannot_read(file, error) from error
    except ModelError:
        raise
    except Exception as error:  # zipfile, torch and the reader below raise many kinds for a damaged file
        found = f"cannot be read as a module ({in_words(error, 120)})"
        raise ModelError(file, found, advice="download it again", reason="malformed") from error


class _Reader:
    """The parts of a file: its pickle, and the numbers that it refers to."""

    def __init__(self, file: Path, data: mmap.mmap, records: tuple[str, ...]) -> None:
        self._file, self._data, self._records = file, data, records
        self._storages: dict[str, _Storage] = {}

    def archive(self, opened: BinaryIO) -> Any:
        """The object of an archive, the format since torch 1.6."""
        with zipfile.ZipFile(opened) as archive:
            (name,) = (one for one in archive.namelist() if one.endswith("/data.pkl"))
            # A compressed member could be of any size.
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("a compressed archive")
            content = self._parse(archive.read(name))
            # Members may overlap, and a few bytes be many storages.
            if sum(one.size * one.dtype.itemsize for one in self._storages.values()) > len(self._data):
                raise ValueError("more numbers than the file has bytes")
            for storage in self._storages.values():
                stored = archive.read(name.removesuffix("data.pkl") + f"data/{storage.key}")
                storage.values = _numbers(stored, storage)
        return content

    def stream(self) -> Any:
        """The object of the older format: pickles one after the other, then the numbers."""
        for _ in ("magic number", "version", "system"):
            self._parse(self._data)
        content = self._parse(self._data)
        for key in self._parse(self._data):
            storage = self._storages[key]
            size = int.from_bytes(self._data.read(8), "little")
            if size != storage.size:
                raise ValueError(f"{size} numbers where {storage.size} are announced")
            storage.values = _numbers(self._data.read(size * storage.dtype.itemsize), storage)
        return content

    def _parse(self, data: bytes | mmap.mmap) -> Any:
        return parse_inert_pickle(data, self._file, records=self._records, persistent=self._refer)

    def _refer(self, identity: Any) -> Any:
        kind, *rest = identity
        if kind == "module":  # a class with its source, which stays text
            return rest[0]
        named, key, _, size = rest[:4]
        if (
            kind != "storage"
            or not isinstance(named, GlobalName)
            or not isinstance(key, str)
            or not isinstance(size, int)
        ):
            raise ValueError("found a reference to something other than a tensor's storage")
        return self._storages.setdefault(key, _Storage(_STORAGES[named.name], key, size))


def _numbers(stored: bytes, storage: _Storage) -> Tensor:
    if len(stored) != storage.size * storage.dtype.itemsize:
        raise ValueError(f"{len(stored)} bytes for {storage.size} numbers")
    if not stored:
        return torch.empty(0, dtype=storage.dtype)
    return torch.frombuffer(bytearray(stored), dtype=storage.dtype)


def _state(content: Any, file: Path) -> dict[str, Tensor]:
    """Parameters and buffers of a module and of the modules in it, by their names."""
    if (
        not isinstance(content, InertObject)
        or not isinstance(content.state, Mapping)
        or "_modules" not in content.state
    ):
        raise ModelError(
            file,
            "found no module of torch",
            "a whole module (torch.save(model, ...))",
            "save and pass its state dict",
            reason="malformed",
        )
    state: dict[str, Tensor] = {}
    waiting: list[tuple[str, Any, int]] = [("", content, 0)]
    while waiting:
        prefix, module, level = waiting.pop()
        if level > _MOST_LEVELS or len(state) + len(waiting) > _MOST_NAMES:
            raise ValueError("too many modules, or nested too deeply")
        if not isinstance(module, InertObject) or not isinstance(module.state, Mapping):
            raise ValueError(f"found {prefix.removesuffix('.') or 'the file'}, which is not a module")
        for kind in ("_parameters", "_buffers"):
            for name, value in module.state.get(kind, {}).items():
                if value is not None:
                    state[f"{prefix}{name}"] = _tensor(value)
        children = module.state.get("_modules", {}).items()
        waiting += [(f"{prefix}{name}.", child, level + 1) for name, child in children if child is not None]
    return state


def _tensor(record: Any) -> Tensor:
    """The tensor of its record: a view of a storage."""
    if isinstance(record, InertObject) and record.kind in _PARAMETERS:
        record = record.arguments[0]
    if not isinstance(record, InertObject) or record.kind not in _TENSORS:
        raise ValueError("found a parameter that is not a tensor")
    storage, offset, shape, strides = record.arguments[:4]
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or storage.values is None or len(shape) != len(strides):
        raise ValueError("found a tensor without a storage")
    if not all(isinstance(n, int) and 0 <= n <= storage.size for n in numbers):
        raise ValueError("a tensor outside of its storage")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if math.prod(shape) and (last >= storage.size or math.prod(shape) > storage.size):
        raise ValueError("a tensor outside of its storage")
    return storage.values.as_strided(shape, strides, offset).clone()
