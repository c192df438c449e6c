"""Weights in files of other programs, read as data: no code of a file is run."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from mgm.errors import ModelError
from mgm.files.json_text import read_json
from mgm.files.safetensors_file import read_safetensors_and_text
from mgm.files.torch_file import read_torch
from mgm.models.convert.caffe2 import is_plain_pickle, read_caffe2
from mgm.models.description import DESCRIPTION_FILE

CONFIG_FILE: Final = "config.json"
_SAFETENSORS, _TORCH, _REFERENCE = "model.safetensors", "pytorch_model.bin", "model.pth"
_IN_FOLDERS: Final = (_SAFETENSORS, f"{_SAFETENSORS}.index.json", _TORCH, f"{_TORCH}.index.json", _REFERENCE)
# Files of `mgm export` without weights to load.
_GRAPHS: Final = ("model.pt2", "model.onnx")
_SUFFIXES: Final = (".pt", ".pth", ".pyth", ".pkl", ".bin", ".safetensors", ".json")
# Keys of the weights in files of training programs: VideoMAE and MAE; DeepSpeed; mmengine and Lightning; MAE-ST and SlowFast.
_WRAPPERS: Final = ("model", "module", "state_dict", "model_state", "model_state_dict")
# Prefixes of DistributedDataParallel, of torch.compile and of a LightningModule.
_PREFIXES: Final = ("module.", "_orig_mod.", "model.")
# The first bytes of files that are often downloaded instead of weights, and (found, expected, advice) for each.
_WRONG_DOWNLOADS: Final[Mapping[bytes, tuple[str, str, str]]] = {
    b"version https://git-lfs": ("a pointer of Git LFS", "weights", "fetch them with 'git lfs pull'"),
    b"<": ("a web page", "weights", "download the file itself"),
}


@dataclass(frozen=True, slots=True)
class Weights:
    """The content of a file or folder with weights.

    Attributes:
        state: name -> tensor.
        config: config.json of a folder of Hugging Face.
        arguments: the command line of the training program, if stored with the weights.
        metadata: of a safetensors file.
        export: content of `DESCRIPTION_FILE` of a folder that `mgm export` wrote.
    """

    state: Mapping[str, Tensor]
    config: Mapping[str, Any] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    export: Mapping[str, Any] | None = None


def read_weights(path: str | Path) -> Weights:
    """The weights in a file (of safetensors, torch.save or Caffe2) or in a folder of Hugging Face, sharded or not.

    The format is recognised by bytes and keys, not by the name. Raises ModelError about the path.
    """
    location = Path(path)
    try:
        if location.is_dir():
            return _read_folder(location)
        found = location.is_file()
    except OSError as error:  # a folder without permission, or a name that is too long
        raise ModelError.cannot_read(path, error, advice="check the path and its permissions") from error
    if not found:
        raise ModelError(path, "found no file or folder", "weights", _advice_for_missing(location), reason="not_found")
    if location.name.endswith(".index.json") or location.name == CONFIG_FILE:
        return _read_folder(location.parent)
    weights = _read_file(location)
    return _described(weights, location.parent) if location.name in _IN_FOLDERS else weights


def _advice_for_missing(location: Path) -> str:
    """Advice about a missing path, which may be the name of a model of the Hugging Face Hub."""
    name = location.as_posix()
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) or location.parent.exists() or location.suffix in _SUFFIXES:
        return "check the path"
    return (
        "check the path. Models of the Hugging Face Hub are not downloaded; if this is one, download it with "
        f"'hf download {name} --local-dir {location.name}' and pass {location.name}"
    )


def _read_folder(folder: Path) -> Weights:
    here = [name for name in _IN_FOLDERS if (folder / name).is_file()]
    if not here:
        graph = next((name for name in _GRAPHS if (folder / name).is_file()), None)
        if graph is not None:
            raise ModelError(
                folder,
                f"found a graph ({graph}), which runs without mgm, as its README.md shows, and cannot be loaded",
                "weights",
                "pass the run that it was exported from, or an export to hf, videomae or safetensors",
                reason="unsupported",
            )
        raise ModelError(
            folder,
            "found no checkpoint",
            f"a run's folder with checkpoints, an export of mgm, or {CONFIG_FILE} and {_SAFETENSORS} or {_TORCH} (or their index "
            "and shards), as save_pretrained(folder) of transformers writes them",
            reason="not_found",
        )
    if not here[0].endswith(".index.json"):
        return _described(_read_file(folder / here[0]), folder)
    shards = _read_json(folder / here[0]).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(name, str) for name in shards.values()):
        raise ModelError(
            folder / here[0],
            "found no weight_map",
            "one from tensor names to files of this folder",
            reason="malformed",
        )
    state: dict[str, Tensor] = {}
    for name in sorted(set(shards.values())):
        if Path(name).name != name or not (folder / name).is_file():
            raise ModelError(
                folder / here[0],
                f"found the missing file {name!r}",
                "files of this folder",
                "download it",
                reason="not_found",
            )
        state |= _read_file(folder / name).state
    absent = sorted(set(shards) - set(state))
    if absent:
        raise ModelError(
            folder,
            f"{len(absent)} tensors of the index are missing in the files ({', '.join(absent[:3])})",
            reason="malformed",
        )
    return _described(Weights(state), folder)


def _described(weights: Weights, folder: Path) -> Weights:
    """The weights with the configuration and the description in their folder."""
    config, export = (
        _read_json(folder / n) if (folder / n).is_file() else None for n in (CONFIG_FILE, DESCRIPTION_FILE)
    )
    return replace(weights, config=config, export=export)


def _read_file(file: Path) -> Weights:
    try:
        with file.open("rb") as stream:
            head = stream.read(32)
    except OSError as error:
        raise ModelError.cannot_read(file, error) from error
    if not head:
        raise ModelError(file, "found an empty file", "weights", "download it again", reason="empty")
    # Only safetensors files start with the length of a JSON header; pickles and zip archives do not.
    if head[8:9] == b"{":
        state, metadata = read_safetensors_and_text(file)
        return Weights(_bare(state), metadata=metadata)
    for start, (found, expected, advice) in _WRONG_DOWNLOADS.items():
        if head.startswith(start):
            raise ModelError(file, f"found {found}", expected, advice, reason="malformed")
    if is_plain_pickle(head) and (blobs := read_caffe2(file)) is not None:
        return Weights(blobs)
    return _unwrapped(read_torch(file, mapped=True), file)


def _unwrapped(content: Any, file: Path) -> Weights:
    """The state dict in the content of a file of a training program."""
    candidates = (
        [content, *(content[name] for name in _WRAPPERS if name in content)] if isinstance(content, dict) else []
    )
    for candidate in reversed(candidates):
        state = {k: v for k, v in candidate.items() if isinstance(v, Tensor)} if isinstance(candidate, Mapping) else {}
        if state and all(isinstance(key, str) for key in state):
            _check_plain(state, file)
            return Weights(_bare(state), arguments=_arguments(content))
    keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, dict) else type(content).__name__
    raise ModelError(
        file,
        f"found {keys or 'nothing'}",
        f"a state dict, at the top or under one of {', '.join(_WRAPPERS)}",
        reason="malformed",
    )


def _check_plain(state: Mapping[str, Tensor], file: Path) -> None:
    odd = [key for key, value in state.items() if value.layout != torch.strided or value.is_quantized or value.is_meta]
    if odd:
        raise ModelError(
            file,
            f"found {len(odd)} tensors that are sparse, quantised or without values ({', '.join(odd[:3])})",
            "plain ones",
            "convert them with the program that wrote the file",
            reason="unsupported",
        )


def _arguments(content: Mapping[Any, Any]) -> dict[str, Any]:
    stored = content.get("args")
    if isinstance(stored, argparse.Namespace):
        stored = vars(stored)
    return dict(stored) if isinstance(stored, dict) else {}


def _bare(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    bare = dict(state)
    for prefix in _PREFIXES * len(_PREFIXES):  # in any order
        if all(key.startswith(prefix) for key in bare):
            bare = {key.removeprefix(prefix): value for key, value in bare.items()}
    return bare


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError.cannot_read(file, error) from error
    except ValueError as error:
        raise ModelError(
            file, f"cannot be read as JSON ({error})", advice="download it again", reason="malformed"
        ) from error
    if not isinstance(content, dict):
        raise ModelError(file, f"found {type(content).__name__}", "an object of settings", reason="malformed")
    return content
