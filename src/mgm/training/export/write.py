"""Export of a model for another program: a folder of weights and a model card that appears when it is complete."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

import torch

from mgm.errors import ModelError
from mgm.files.atomic import atomic_folder
from mgm.files.json_text import json_document
from mgm.files.safetensors_file import write_safetensors
from mgm.files.torch_file import write_torch
from mgm.models import Classifier, Encoder, MaskedAutoencoder
from mgm.models.convert import (
    METADATA_KEY,
    BiasNames,
    GraphModel,
    Model,
    VideoType,
    arguments_of,
    check_representable,
    encoder_of,
    export_graph,
    read_weights,
    to_huggingface,
    to_reference,
    write_onnx,
)
from mgm.models.description import DESCRIPTION_FILE
from mgm.models.networks.described import describe
from mgm.models.networks.network import TokensOf, VideoNetwork
from mgm.models.patches import MEAN, STD
from mgm.models.sizes import unknown_name
from mgm.models.targets import ReconstructionObjective
from mgm.training.checkpoint import contains_settings, load_checkpoint, load_encoder, load_pretrained
from mgm.training.export.destination import ExportFormat, ExportPart, check_free
from mgm.training.export.model_card import ModelOrigin, model_card, origin_of
from mgm.training.named_weights import find_weights
from mgm.training.networks import read_network
from mgm.training.recipe import default_recipe, load_config
from mgm.version import VERSION

_BILINEAR: Final = 2  # Pillow's number
_GRAPHS: Final = ("torch-export", "onnx")


@dataclass(frozen=True, slots=True)
class _Options:
    to: ExportFormat
    bias_names: BiasNames
    video: VideoType


def export_model(
    model: str | Path | MaskedAutoencoder | Classifier | Encoder | VideoNetwork,
    *,
    to: ExportFormat,
    out: str | Path,
    part: ExportPart = "whole",
    overwrite: bool = False,
    data: str | None = None,
    video: VideoType | None = None,
    bias_names: BiasNames | None = None,
    frames: int | None = None,
    resolution: int | None = None,
    heads: int | None = None,
    network: str | None = None,
) -> Path:
    """Export a model for another program. Returns the folder, which appears when it is complete.

    Args:
        model: a run, or any other input of `load_pretrained` or, for an encoder, of `load_encoder`; or a model.
        to: "hf": a folder for transformers' from_pretrained. "videomae": model.pth in the reference's names.
            "safetensors": model.safetensors in the names of mgm, with a description of the model: it can represent every model.
            "torch-export": model.pt2; "onnx": model.onnx: graphs of an encoder or a classifier with one input, the video.
        out: the folder to make.
        part: "encoder" omits the rest: to embed video, or to start fine-tuning. Of a network of the catalog, its features: a graph.
        overwrite: replace `out` if it is an earlier export.
        data: name of the training videos, for the model card; runs do not record it.
        video: dtype of the input of a graph: "uint8" (default), normalised by the graph, or "float32", normalised with
            ImageNet's statistics.
        bias_names: for "hf", "q_bias" (default) or "query.bias", see `to_huggingface`.
        frames, resolution, heads: as in `load_pretrained`.
        network: for weights of its authors, the name of a network of 'mgm models'.

    Raises:
        ModelError: the model cannot be read; the format cannot represent it, or does not have an option; `out` exists; it cannot be
            written.
    """
    options = _options(to, part, video, bias_names)
    loaded: GraphModel
    if network is not None:
        read = _read_network(model, network, frames=frames, size=resolution)
        loaded, origin = _part_of(read, part), ModelOrigin(f"weights of {network}", foreign=True)
    else:
        loaded, origin = _opened(model, part, frames=frames, resolution=resolution, heads=heads)
    if isinstance(loaded, VideoNetwork | TokensOf):
        _check_network(loaded, to)
    target = Path(out).absolute()
    check_free(target, overwrite=overwrite)
    with atomic_folder(target) as folder:
        try:
            _WRITERS[to](loaded, folder, options)
        except ModelError as error:
            raise error.within(origin.name) from error
        about = {**_about(loaded, to), "origin": replace(origin, data=data or origin.data).to_dict()}
        (folder / DESCRIPTION_FILE).write_bytes(json_document(about))
        (folder / "README.md").write_text(
            model_card(loaded, origin, to, data=data, video=options.video, bias_names=options.bias_names),
            encoding="utf-8",
            errors="backslashreplace",  # names of files need not be text
        )
    return Path(out)


def _options(to: ExportFormat, part: ExportPart, video: VideoType | None, bias_names: BiasNames | None) -> _Options:
    """The options of the format. Raises ModelError for an unknown choice or an option that the format does not have."""
    choices = (
        ("to", to, ExportFormat),
        ("part", part, ExportPart),
        ("video", video or "uint8", VideoType),
        ("bias_names", bias_names or "q_bias", BiasNames),
    )
    for name, found, expected in choices:
        if found not in get_args(expected):
            raise unknown_name(name, found, get_args(expected))
    for name, value, formats in (("video", video, _GRAPHS), ("bias_names", bias_names, ("hf",))):
        if value is not None and to not in formats:
            raise ModelError(
                name,
                f"found {value!r} for the format {to}",
                f"the format {' or '.join(formats)}",
                "leave it out",
                reason="conflict",
            )
    return _Options(to, bias_names or "q_bias", video or "uint8")


def _read_network(model: object, name: str, *, frames: int | None, size: int | None) -> VideoNetwork:
    """Weights of a network's authors. Raises ModelError for a model in place of a path, and for weights that do not fit."""
    if not isinstance(model, str | Path):
        raise ModelError(
            "network", f"found {name!r} for a model", "it for a path only", "leave it out", reason="conflict"
        )
    chosen = [f"model.network={name}"]
    clips = (("data.frames", frames), ("data.size", size))
    changed = [f"{key}={value}" for key, value in clips if value is not None]
    return read_network(find_weights(model), load_config(default_recipe(chosen), [*chosen, *changed]))


def _part_of(network: VideoNetwork, part: ExportPart) -> VideoNetwork | TokensOf:
    return TokensOf(network).eval() if part == "encoder" else network


def _check_network(model: VideoNetwork | TokensOf, to: str) -> None:
    """Raises ModelError for a format that cannot hold a network of the catalog, or its features alone."""
    name = describe(model.network if isinstance(model, TokensOf) else model)["network"]
    formats = _GRAPHS if isinstance(model, TokensOf) else ("safetensors", *_GRAPHS)
    if to not in formats:
        what = "the encoder of the network " if isinstance(model, TokensOf) else "the network "
        raise ModelError(
            "to",
            f"found {to} for {what}{name}",
            f"one of {', '.join(formats)}",
            "the other formats are for mgm's ViTs",
            reason="unsupported",
        )


def _opened(
    model: str | Path | Model | VideoNetwork,
    part: ExportPart,
    *,
    frames: int | None,
    resolution: int | None,
    heads: int | None,
) -> tuple[GraphModel, ModelOrigin]:
    if isinstance(model, str | Path):
        clips = {"frames": frames, "resolution": resolution, "heads": heads}
        if part == "encoder" and not _is_network(model):
            return load_encoder(model, **clips), origin_of(model)
        loaded = load_pretrained(model, **clips)
        return _part_of(loaded, part) if isinstance(loaded, VideoNetwork) else loaded, origin_of(model)
    if any(value is not None for value in (frames, resolution, heads)):
        raise ModelError(
            "frames, resolution and heads",
            "found one for a model",
            "them for a path only",
            "leave them out",
            reason="conflict",
        )
    if isinstance(model, VideoNetwork):
        return _part_of(model, part), ModelOrigin(describe(model)["network"])
    if part == "encoder" and not isinstance(model, Encoder):
        return model.encoder, ModelOrigin("encoder")
    return model, ModelOrigin(_kind(model))


def _is_network(path: str | Path) -> bool:
    """Whether a path is a run of a network of the catalog, or an export of one."""
    if contains_settings(path):
        return bool(load_checkpoint(path).get("kind") == "network")
    about = json.loads(read_weights(find_weights(path)).metadata.get(METADATA_KEY, "{}"))
    return isinstance(about, dict) and about.get("kind") == "network"


def _about(model: GraphModel, to: str) -> dict[str, Any]:
    """The description of a model, also stored as `METADATA_KEY` of a safetensors file."""
    if isinstance(model, VideoNetwork | TokensOf):
        found = describe(model.network if isinstance(model, TokensOf) else model)
        return found | {"format": to, "mgm": VERSION}
    spec = encoder_of(model).spec
    about: dict[str, Any] = {"kind": _kind(model), "spec": spec.to_dict(), "format": to, "mgm": VERSION}
    if isinstance(model, Classifier):
        about |= {"classes": model.head.out_features, "labels": model.labels, "block": model.block}
        about["pooling"] = model.pooling
    elif isinstance(model, MaskedAutoencoder):
        about |= {"target": _target(model.objective), "teacher": None, **model.objective.describe_networks()}
        if model.visible_objective is not None:
            about["visible_target"] = _target(model.visible_objective)
    return about


def _kind(model: Model) -> str:
    if isinstance(model, Encoder):
        return "encoder"
    return "classifier" if isinstance(model, Classifier) else "autoencoder"


def _target(objective: ReconstructionObjective) -> str | dict[str, float]:
    """The argument of `build_objective`."""
    weights = {target.name: weight for target, weight in objective.targets}
    return next(iter(weights)) if list(weights.values()) == [1.0] else weights


def _write_huggingface(model: GraphModel, folder: Path, options: _Options) -> None:
    assert not isinstance(model, VideoNetwork | TokensOf)  # `_check_network` refuses it
    config, state = to_huggingface(model, bias_names=options.bias_names)
    height, width = encoder_of(model).spec.frame_size
    processor = {
        "image_processor_type": "VideoMAEImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": min(height, width)},
        "resample": _BILINEAR,
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
    }
    (folder / "config.json").write_bytes(json_document(config))
    (folder / "preprocessor_config.json").write_bytes(json_document(processor))
    write_safetensors(state, folder / "model.safetensors", {})


def _write_videomae(model: GraphModel, folder: Path, options: _Options) -> None:
    assert not isinstance(model, VideoNetwork | TokensOf)  # `_check_network` refuses it
    check_representable(model, "VideoMAE's checkpoint")
    state = {key: value.cpu() for key, value in to_reference(model).items()}
    write_torch({"model": state, "args": arguments_of(model)}, folder / "model.pth")


def _write_safetensors(model: GraphModel, folder: Path, options: _Options) -> None:
    about = json.dumps(_about(model, options.to))
    write_safetensors(model.state_dict(), folder / "model.safetensors", {METADATA_KEY: about})


def _write_torch_export(model: GraphModel, folder: Path, options: _Options) -> None:
    # In memory first: on a full disk, torch's writer aborts the process instead of raising an error.
    content = io.BytesIO()
    torch.export.save(export_graph(model, video=options.video), content)
    (folder / "model.pt2").write_bytes(content.getbuffer())


def _write_onnx(model: GraphModel, folder: Path, options: _Options) -> None:
    write_onnx(model, folder / "model.onnx", video=options.video)


_WRITERS: Final = {
    "hf": _write_huggingface,
    "videomae": _write_videomae,
    "safetensors": _write_safetensors,
    "torch-export": _write_torch_export,
    "onnx": _write_onnx,
}
