"""Weights in other people's files, read as data: no code of a file is ever run."""

from __future__ import annotations

import argparse
import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from mgm.errors import ModelError

CONFIG_FILE: Final = "config.json"
DESCRIPTION_FILE: Final = "mgm.json"
"""What every export of ours has beside its weights: it describes the model and where it came from."""
_SAFETENSORS, _TORCH, _REFERENCE = "model.safetensors", "pytorch_model.bin", "model.pth"
_IN_FOLDERS: Final = (_SAFETENSORS, f"{_SAFETENSORS}.index.json", _TORCH, f"{_TORCH}.index.json", _REFERENCE)
# What `mgm export` writes that holds no weights to load.
_GRAPHS: Final = ("model.pt2", "model.onnx")
_SUFFIXES: Final = (".pt", ".pth", ".bin", ".safetensors", ".json")
# Where training programs put the weights: VideoMAE and MAE; DeepSpeed; mmengine and Lightning; MAE-ST and SlowFast.
_WRAPPERS: Final = ("model", "module", "state_dict", "model_state", "model_state_dict")
# What DistributedDataParallel, torch.compile and a module of Lightning's put before every name.
_PREFIXES: Final = ("module.", "_orig_mod.", "model.")
# How files start that are often found in the place of weights.
_IMPOSTORS: Final[Mapping[bytes, str]] = {
    b"version https://git-lfs": "a pointer of Git LFS, expected the weights it stands for; fetch them with 'git lfs pull'",
    b"<": "a page of the web, expected weights; download the file itself",
}


@dataclass(frozen=True, slots=True)
class Weights:
    """What was found in a file or folder.

    state: name -> tensor. config: config.json of a folder of Hugging Face.
    arguments: the command line of the training program, where it is stored beside the weights.
    metadata: of a safetensors file. export: `MARK` of a folder that `mgm export` wrote.
    """

    state: Mapping[str, Tensor]
    config: Mapping[str, Any] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    export: Mapping[str, Any] | None = None


def read_weights(path: str | Path) -> Weights:
    """The weights in a file (safetensors, or what torch.save wrote) or in a folder of Hugging Face, sharded or not.

    What the file is shows in its bytes and keys, not in its name. Raises ModelError, starting with the path.
    """
    place = Path(path)
    try:
        if place.is_dir():
            return _read_folder(place)
        found = place.is_file()
    except OSError as error:  # of a folder that may not be entered, or a name that is too long
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    if not found:
        raise ModelError(f"{path}: no checkpoint, expected a file or a folder with weights; {_where(place)}")
    if place.name.endswith(".index.json") or place.name == CONFIG_FILE:
        return _read_folder(place.parent)
    weights = _read_file(place)
    return _described(weights, place.parent) if place.name in _IN_FOLDERS else weights


def read_torch(file: Path, *, mapped: bool = False) -> Any:
    """What torch.save wrote, as data: containers, numbers, strings, tensors, and argparse.Namespace.

    The reference's files keep their command line as a Namespace, which weights_only alone refuses; it is a bag of
    attributes, without code that reading could run.
    mapped: leave tensors in the file until they are used; the file must then stay as it is.
    Raises ModelError where the file is damaged, or needs code to be read.
    """
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")  # of what a file that is no checkpoint looks like
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped and zipfile.is_zipfile(file))
    except Exception as error:  # what is damaged or foreign fails in any way: KeyError, struct.error, ...
        text = " ".join(str(error).split())
        needed = re.search(r"GLOBAL (\S+)", text)
        if needed:
            raise ModelError(
                f"{file}: stores an object of {needed[1]}, expected tensors and plain values; it needs to run code to be "
                "read, which mgm refuses. Where you trust it, open it with the program that wrote it and save its state dict alone"
            ) from error
        # torch's own text advises to switch the protection off.
        reason = text.partition("WeightsUnpickler error: ")[2].partition(" Check the documentation")[0]
        if not reason and not text.startswith("Weights only load failed"):
            reason = text
        reason = reason.partition(". ")[0]
        raise ModelError(
            f"{file}: cannot be read as weights ({reason[:200] or 'found no pickle'}), expected a checkpoint; "
            "it is damaged, or needs to run code to be read, which mgm refuses"
        ) from error


def _where(place: Path) -> str:
    """What to do about a path to nothing, which may be the name of a model of the Hub."""
    name = place.as_posix()
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) or place.parent.exists() or place.suffix in _SUFFIXES:
        return "check the path"
    return (
        "check the path. Names of the Hugging Face Hub are not fetched; if this is one, fetch it with "
        f"'hf download {name} --local-dir {place.name}' and give {place.name}"
    )


def _read_folder(folder: Path) -> Weights:
    here = [name for name in _IN_FOLDERS if (folder / name).is_file()]
    if not here:
        graph = next((name for name in _GRAPHS if (folder / name).is_file()), None)
        if graph is not None:
            raise ModelError(
                f"{folder}: holds a graph ({graph}), expected weights: a graph runs without mgm, as its README.md shows, and "
                "cannot be loaded back; give the run that it was exported from, or an export to hf, videomae or safetensors"
            )
        raise ModelError(
            f"{folder}: no checkpoint, expected a run's folder with last.pt, an export of mgm, or {CONFIG_FILE} and "
            f"{_SAFETENSORS} or {_TORCH} (or their index and shards), as save_pretrained(folder) of transformers writes them"
        )
    if not here[0].endswith(".index.json"):
        return _described(_read_file(folder / here[0]), folder)
    shards = _read_json(folder / here[0]).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(name, str) for name in shards.values()):
        raise ModelError(f"{folder / here[0]}: has no weight_map, expected one of tensor names to files of this folder")
    state: dict[str, Tensor] = {}
    for name in sorted(set(shards.values())):
        if Path(name).name != name or not (folder / name).is_file():
            raise ModelError(f"{folder / here[0]}: names the file {name!r}, expected one of this folder; fetch it")
        state |= _read_file(folder / name).state
    absent = sorted(set(shards) - set(state))
    if absent:
        raise ModelError(f"{folder}: {len(absent)} tensors of the index are in no file ({', '.join(absent[:3])})")
    return _described(Weights(state), folder)


def _described(weights: Weights, folder: Path) -> Weights:
    """With what stands beside them in their folder."""
    config, export = (
        _read_json(folder / n) if (folder / n).is_file() else None for n in (CONFIG_FILE, DESCRIPTION_FILE)
    )
    return replace(weights, config=config, export=export)


def _read_file(file: Path) -> Weights:
    try:
        with file.open("rb") as stream:
            head = stream.read(32)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror}); check its permissions") from error
    if not head:
        raise ModelError(f"{file}: is empty, expected weights; fetch it again")
    # A safetensors file starts with the length of a JSON header; a pickle and a zip archive start otherwise.
    if head[8:9] == b"{":
        return _read_safetensors(file)
    for start, what in _IMPOSTORS.items():
        if head.startswith(start):
            raise ModelError(f"{file}: is {what}")
    return _unwrapped(read_torch(file, mapped=True), file)


def _read_safetensors(file: Path) -> Weights:
    # Imported here, because models that are never converted need no safetensors.
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            state = {name: opened.get_tensor(name) for name in list(opened.keys())}
            return Weights(_bare(state), metadata=opened.metadata() or {})
    except (SafetensorError, ValueError, AttributeError) as error:  # the last: of a type that this torch does not have
        raise ModelError(f"{file}: cannot be read as safetensors ({error}); fetch it again") from error


def _unwrapped(content: Any, file: Path) -> Weights:
    """The state dict within what a training program saved."""
    places = [content, *(content[name] for name in _WRAPPERS if name in content)] if isinstance(content, dict) else []
    for place in reversed(places):
        state = {k: v for k, v in place.items() if isinstance(v, Tensor)} if isinstance(place, Mapping) else {}
        if state and all(isinstance(key, str) for key in state):
            _check_plain(state, file)
            return Weights(_bare(state), arguments=_arguments(content))
    keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, dict) else type(content).__name__
    raise ModelError(
        f"{file}: found {keys or 'nothing'}, expected a state dict, at the top or under one of {', '.join(_WRAPPERS)}"
    )


def _check_plain(state: Mapping[str, Tensor], file: Path) -> None:
    odd = [key for key, value in state.items() if value.layout != torch.strided or value.is_quantized or value.is_meta]
    if odd:
        raise ModelError(
            f"{file}: found {len(odd)} tensors that are sparse, quantised or without values ({', '.join(odd[:3])}), expected "
            "plain ones; convert them with the program that wrote the file"
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
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror}); check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file}: cannot be read as JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file}: found {type(content).__name__}, expected an object of settings")
    return content
