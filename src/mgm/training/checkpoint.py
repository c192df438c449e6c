"""Checkpoints: written whole or not at all, read without running code."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import torch

from mgm.errors import ModelError
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec, load_huggingface

FORMAT = "mgm-checkpoint-1"
LAST = "last.pt"
"""Name of the newest checkpoint in a run's folder."""

Kind = Literal["autoencoder", "classifier"]


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint beside its place, then move it there: a crash or a full disk leaves the previous one intact.

    Raises:
        ModelError: it could not be written.
    """
    partial = path.with_suffix(".partial")
    try:
        torch.save({"format": FORMAT, **content}, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        partial.unlink(missing_ok=True)
        raise ModelError(
            f"{path}: the checkpoint could not be written ({error}); the one before it is intact. "
            "Free some space and go on with --resume"
        ) from error


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of ours: a run's folder or the file itself.

    Raises:
        ModelError: no such file, not a checkpoint of ours, or one that would need to run code.
    """
    file = Path(path)
    if file.is_dir():
        file = file / LAST
    if not file.is_file():
        raise ModelError(f"{path}: no checkpoint, expected a run's folder with {LAST}, or a .pt file; check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a file that is no checkpoint looks like
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # what is damaged or foreign fails in any way: KeyError, struct.error, ...
        raise ModelError(
            f"{file}: cannot be read as weights ({' '.join(str(error).split())[:200]}), expected a checkpoint of mgm; "
            "it is damaged, or needs to run code to be read, which mgm refuses"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(
            f"{file}: found another program's file, expected a checkpoint of mgm ({FORMAT}); see mgm.load_encoder"
        )
    return content


def load_autoencoder(path: str | Path) -> MaskedAutoencoder:
    """The pretrained autoencoder of a run's folder or checkpoint file."""
    content = load_checkpoint(path)
    if content["kind"] != "autoencoder":
        raise ModelError(
            f"{path}: holds a {content['kind']}, expected a pretrained autoencoder; give the folder of 'mgm pretrain'"
        )
    model = MaskedAutoencoder(ModelSpec.from_dict(content["spec"]), target=content["target"])
    model.load_state_dict(content["model"])
    return model.eval()


def load_classifier(path: str | Path) -> tuple[Classifier, tuple[str, ...]]:
    """The fine-tuned classifier of a run's folder or checkpoint file, and the names of its classes."""
    content = load_checkpoint(path)
    if content["kind"] != "classifier":
        raise ModelError(
            f"{path}: holds an {content['kind']}, expected a fine-tuned classifier; give the folder of 'mgm finetune'"
        )
    classes = tuple(content["classes"])
    model = Classifier(Encoder(ModelSpec.from_dict(content["spec"])), classes=len(classes))
    model.load_state_dict(content["model"])
    return model.eval(), classes


def load_encoder(path: str | Path) -> Encoder:
    """A pretrained encoder, ready to embed video: `encoder(video) -> (B, n, dim)`.

    Args:
        path: a run's folder, a checkpoint file of mgm, or a folder of Hugging Face's VideoMAE (config.json and model.safetensors).

    Raises:
        ModelError: none of these.
    """
    folder = Path(path)
    if folder.is_dir() and (folder / "config.json").is_file():
        model = load_huggingface(folder)
        return model.encoder.eval()
    content = load_checkpoint(path)
    if content["kind"] == "classifier":
        return load_classifier(path)[0].encoder.eval()
    return load_autoencoder(path).encoder.eval()
