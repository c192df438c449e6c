"""Checkpoints: written whole or not at all, read without running code."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from mgm.errors import ModelError
from mgm.files.atomic import atomic_path, cannot_write
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.models.convert import Model, Overrides, Weights, apply_overrides, fill, from_weights, read_torch, read_weights

FORMAT = "mgm-checkpoint-1"
LAST = "last.pt"
"""Name of the newest checkpoint in a run's folder."""

_NO_OVERRIDES = Overrides()
Kind = Literal["autoencoder", "classifier"]


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint. A crash or a full disk leaves the previous one intact.

    Raises:
        FileError: the checkpoint cannot be written.
    """
    advice = "the previous checkpoint is intact: free some space and continue with --resume"
    try:
        with atomic_path(path, advice=advice) as part:
            torch.save({"format": FORMAT, **content}, part)
    except RuntimeError as error:  # torch reports a full disk as a RuntimeError
        raise cannot_write(path, OSError(str(error)), advice) from error


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
    content = read_torch(file)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(
            f"{file}: found another program's file, expected a checkpoint of mgm ({FORMAT}); see mgm.load_encoder"
        )
    return content


def load_autoencoder(path: str | Path) -> MaskedAutoencoder:
    """The pretrained autoencoder of a run's folder or checkpoint file."""
    content = load_checkpoint(path)
    model = _named(path, content)
    if not isinstance(model, MaskedAutoencoder):
        raise ModelError(
            f"{path}: holds a {content['kind']}, expected a pretrained autoencoder; give the folder of 'mgm pretrain'"
        )
    return model


def load_classifier(path: str | Path) -> tuple[Classifier, tuple[str, ...]]:
    """The fine-tuned classifier of a run's folder or checkpoint file, and the names of its classes."""
    content = load_checkpoint(path)
    model = _named(path, content)
    if not isinstance(model, Classifier):
        raise ModelError(
            f"{path}: holds an {content['kind']}, expected a fine-tuned classifier; give the folder of 'mgm finetune'"
        )
    return model, tuple(content["classes"])


def model_of(content: dict[str, Any], overrides: Overrides = _NO_OVERRIDES) -> MaskedAutoencoder | Classifier:
    """The model, in evaluation mode, of what `load_checkpoint` read; frames, resolution and heads as in `facts`, where it has
    any. Raises ModelError where something of it is missing or damaged."""
    try:
        spec = apply_overrides(ModelSpec.from_dict(content["spec"]), overrides)
        model: MaskedAutoencoder | Classifier
        if content["kind"] == "classifier":
            classes = content["classes"]
            model = Classifier(Encoder(spec), classes=len(classes), labels=classes)
        else:
            # Old checkpoints know of no teacher. What one is must be known to build the head; its weights are not needed here.
            # Heads that a caller names are the encoder's.
            described = ModelSpec.from_dict(content["teacher"]) if "teacher" in content else None
            teacher = None if described is None else apply_overrides(described, replace(overrides, heads=None))
            model = MaskedAutoencoder(spec, target=content["target"], teacher=teacher)
        fill(model, content["model"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"found a checkpoint of mgm that does not describe its model ({error!r}); it is damaged"
        ) from error
    return model.eval()


def load_pretrained(
    path: str | Path,
    *,
    frames: int | None = None,
    resolution: int | tuple[int, int] | None = None,
    heads: int | None = None,
) -> MaskedAutoencoder | Classifier:
    """A whole pretrained model: an autoencoder (`model(video, mask)`) or a classifier (`model(video)`, `model.labels`).

    Args:
        path: a run's folder or checkpoint, an export of mgm, a folder of Hugging Face's VideoMAE, or a checkpoint of VideoMAE,
            VideoMAE V2, one of their forks, mmaction2, or MAE-ST (fine-tuned). What it is shows in its content, not in its
            name; docs/checkpoints.md has the table. Nothing in it is run.
        frames, resolution: of the clips that the model shall take, where they are not those of the checkpoint, or where it
            does not tell (then 16 and 224). A fixed code of places is computed anew.
        heads: attention heads of the encoder, where the checkpoint does not tell them or tells them wrong.

    Raises:
        ModelError: no such file; of an unknown format; an encoder alone; damaged, or one that would need to run code.
    """
    model = _load(path, Overrides(frames, resolution, heads), encoder_only=False)
    if isinstance(model, Encoder):
        raise ModelError(
            f"{path}: holds an encoder alone, expected an autoencoder or a classifier; use mgm.load_encoder"
        )
    return model


def load_encoder(
    path: str | Path,
    *,
    frames: int | None = None,
    resolution: int | tuple[int, int] | None = None,
    heads: int | None = None,
) -> Encoder:
    """A pretrained encoder, ready to embed video: `encoder(video) -> (B, n, dim)`.

    Arguments and errors as of `load_pretrained`, but an encoder is enough: of MAE-ST's autoencoders, and of files whose other
    parts belong to another method, it is taken alone.
    """
    model = _load(path, Overrides(frames, resolution, heads), encoder_only=True)
    return model if isinstance(model, Encoder) else model.encoder


def holds_settings(path: str | Path) -> bool:
    """Whether `path` is a run or a checkpoint of ours, which carries the configuration that made it."""
    place = Path(path)
    try:
        if place.is_dir():
            return (place / LAST).is_file()
        if not place.is_file() or not zipfile.is_zipfile(place):  # a pipe would be waited for
            return False
    except OSError:  # `read_weights` says why
        return False
    content = read_torch(place, mapped=True)
    return isinstance(content, dict) and content.get("format") == FORMAT


def _load(path: str | Path, overrides: Overrides, *, encoder_only: bool) -> Model:
    found = load_checkpoint(path) if holds_settings(path) else read_weights(path)
    return _named(path, found, overrides, encoder_only=encoder_only)


def _named(
    path: str | Path,
    found: dict[str, Any] | Weights,
    overrides: Overrides = _NO_OVERRIDES,
    *,
    encoder_only: bool = False,
) -> Model:
    """The model of what was read, whose errors start with the path."""
    try:
        if isinstance(found, Weights):
            return from_weights(found, overrides, encoder_only=encoder_only).eval()
        return model_of(found, overrides)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except MemoryError as error:
        raise ModelError(
            f"{path}: describes a model that does not fit into memory; check its frames and resolution"
        ) from error
