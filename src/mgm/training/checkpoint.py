"""Checkpoints: written atomically, read without running code, and loaded as models with the settings to use them."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from mgm.errors import ModelError, in_words
from mgm.files.checksum import has_checksum
from mgm.files.torch_file import read_torch
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.models.convert import (
    Model,
    Overrides,
    Weights,
    apply_overrides,
    check_described,
    from_weights,
    load_state,
    read_weights,
)
from mgm.models.networks.described import network_of
from mgm.models.networks.network import VideoNetwork
from mgm.models.replacement import MaskedPredictor
from mgm.training.checkpoint_folder import foreign_file, read_checkpoint
from mgm.training.config import Config
from mgm.training.folder import CHECKPOINTS, find_checkpoint
from mgm.training.named_weights import find_weights
from mgm.training.networks import read_network
from mgm.training.recipe import (
    EXTERNAL_RECIPE,
    config_for,
    config_for_network,
    default_recipe,
    load_config,
    override,
    parse_config,
)

FILE_FORMAT: Final = "mgm-checkpoint-1"
"""Format of a checkpoint in a single file, as earlier versions wrote all of them."""

_NO_OVERRIDES = Overrides()
Trained = MaskedAutoencoder | MaskedPredictor | Classifier | VideoNetwork
"""The models that a run trains."""


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read the content of a run's checkpoint.

    Args:
        path: a run's folder, for its newest checkpoint; one of its checkpoints; or a file of an earlier version.

    Raises:
        ModelError: no such file, not a checkpoint of a run, a damaged one, or one that would need to run code.

    Warns:
        UserWarning: an earlier version wrote it without a checksum.
    """
    found = find_checkpoint(Path(path))
    if found is None:
        expected = f"a run's folder with {CHECKPOINTS}, one of these, or a .pt file"
        raise ModelError(path, "found no checkpoint", expected, "check the path", reason="not_found")
    return read_checkpoint(found) if found.is_dir() else _read_file(found)


def _read_file(file: Path) -> dict[str, Any]:
    content = read_torch(file)
    if not isinstance(content, dict) or content.get("format") != FILE_FORMAT:
        raise foreign_file(file, FILE_FORMAT)
    if not has_checksum(file):
        warnings.warn(
            f"{file}: has no checksum (an earlier version wrote it): damage would not be noticed", stacklevel=3
        )
    return content


def load_autoencoder(path: str | Path) -> MaskedAutoencoder:
    """The pretrained autoencoder of a run's folder or checkpoint file."""
    content = load_checkpoint(path)
    model = _build_model(path, content)
    if not isinstance(model, MaskedAutoencoder):
        raise _wrong_kind(path, model, "a pretrained autoencoder", "give the folder of 'mgm pretrain'")
    return model


def load_classifier(path: str | Path) -> tuple[Classifier | VideoNetwork, tuple[str, ...]]:
    """The fine-tuned classifier of a run's folder or checkpoint file, and the names of its classes."""
    content = load_checkpoint(path)
    model = _build_model(path, content)
    if not isinstance(model, Classifier | VideoNetwork):
        raise _wrong_kind(path, model, "a fine-tuned classifier", "give the folder of 'mgm finetune'")
    return model, tuple(content["classes"])


def model_of(content: dict[str, Any], overrides: Overrides = _NO_OVERRIDES) -> Trained:
    """The model of a checkpoint's content, in evaluation mode: its moving average, if the run keeps one.

    Args:
        content: as read by `load_checkpoint`.
        overrides: frames, resolution and heads that replace the checkpoint's.

    Raises:
        ModelError: a part of it is missing or damaged.
    """
    try:
        if content["kind"] == "network":
            state = content["ema"] if "ema" in content else content["model"]
            return network_of(content, state, frames=overrides.frames, size=overrides.resolution)
        spec = apply_overrides(ModelSpec.from_dict(content["spec"]), overrides)
        state = content["ema"] if "ema" in content else content["model"]
        model: MaskedAutoencoder | MaskedPredictor | Classifier
        if content["kind"] == "classifier":
            classes = content["classes"]
            check_described(spec, state, outputs=len(classes))
            pooling = content.get("pooling", "mean")  # absent in earlier checkpoints
            model = Classifier(Encoder(spec), classes=len(classes), labels=classes, pooling=pooling)
        else:
            model = _pretraining_model(content, spec, state, overrides)
        load_state(model, state)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            "", f"the checkpoint has no valid description of its model ({in_words(error)})", reason="damaged"
        ) from error
    return model.eval()


def _pretraining_model(
    content: dict[str, Any], spec: ModelSpec, state: Mapping[str, Tensor], overrides: Overrides
) -> MaskedAutoencoder | MaskedPredictor:
    """The model that a run of pretraining trains, with random weights. Its teachers and its tokenizer are described, not loaded."""
    # Old checkpoints have no teacher. Its specification is needed to build the head; its weights are not.
    # The caller's heads are those of the encoder.
    described = ModelSpec.from_dict(content["teacher"]) if "teacher" in content else None
    teacher = None if described is None else apply_overrides(described, replace(overrides, heads=None))
    pictures = ModelSpec.from_dict(content["image_teacher"]) if "image_teacher" in content else None
    codes = content.get("codes")  # of a tokenizer, whose weights are not needed either
    outputs = sum(one.encoder.dim for one in (teacher, pictures) if one is not None) + spec.tubelet * (codes or 0)
    if content.get("trunk", "vit") == "vit":  # other networks have the sizes of their catalog
        check_described(spec, state, outputs=outputs)
    if content["kind"] == "predictor":
        return MaskedPredictor(
            spec,
            trunk=content["trunk"],
            target=content["target"],
            teacher=teacher,
            tokenizer=codes,
            pictures=content.get("pictures", False),  # absent in earlier checkpoints
        )
    return MaskedAutoencoder(
        spec,
        target=content["target"],
        teacher=teacher,
        image_teacher=pictures,
        tokenizer=codes,
        visible_target=content.get("visible_target"),  # absent in earlier checkpoints
    )


def load_pretrained(
    path: str | Path,
    *,
    frames: int | None = None,
    resolution: int | tuple[int, int] | None = None,
    heads: int | None = None,
) -> MaskedAutoencoder | Classifier | VideoNetwork:
    """A whole pretrained model: an autoencoder (`model(video, mask)`), or a classifier or a network of the catalog
    (`model(video)`, `model.labels`).

    Args:
        path: a run's folder or checkpoint, an export of mgm, a folder of Hugging Face's VideoMAE, or a checkpoint of VideoMAE,
            VideoMAE V2, one of their forks, mmaction2, or MAE-ST (fine-tuned). The format is detected from the content, not
            from the name; docs/checkpoints.md has the table. No code in it is run.
        frames, resolution: those of the model's clips; None: those of the checkpoint, or 16 and 224 if it does not contain
            them. A fixed position embedding is recomputed.
        heads: attention heads of the encoder, if the checkpoint does not contain them or contains a wrong number.

    Raises:
        ModelError: no such file, an unknown format, an encoder only, a damaged file, or one that would need to run code.
    """
    model = _load(path, Overrides(frames, resolution, heads), encoder_only=False)
    if isinstance(model, Encoder | MaskedPredictor):
        raise _wrong_kind(path, model, "an autoencoder or a classifier", "use mgm.load_encoder")
    return model


def load_predictor(path: str | Path) -> MaskedPredictor:
    """The model of a run of `mgm pretrain` with `model.replacement`, from its folder or checkpoint."""
    content = load_checkpoint(path)
    model = _build_model(path, content)
    if not isinstance(model, MaskedPredictor):
        raise _wrong_kind(path, model, "a network that replaces hidden tokens", "set model.replacement in pretraining")
    return model


def load_encoder(
    path: str | Path,
    *,
    frames: int | None = None,
    resolution: int | tuple[int, int] | None = None,
    heads: int | None = None,
) -> Encoder:
    """A pretrained encoder, ready to embed video: `encoder(video) -> (B, n, dim)`.

    Arguments and errors as in `load_pretrained`, but an encoder is sufficient: MAE-ST's autoencoders, and files whose other
    parts belong to another method, load too. The name "mgm-tiny" stands for small weights (docs/checkpoints.md).
    """
    return _encoder_of(path, _load(path, Overrides(frames, resolution, heads), encoder_only=True))


def _encoder_of(path: str | Path, model: Model | MaskedPredictor | VideoNetwork) -> Encoder:
    if isinstance(model, VideoNetwork):
        raise _wrong_kind(path, model, "an encoder", "mgm.load_pretrained loads it whole")
    encoder = model if isinstance(model, Encoder) else model.encoder
    if not isinstance(encoder, Encoder):
        found = f"contains a {type(encoder).__name__}"
        raise ModelError(
            path,
            found,
            "an encoder of mgm",
            "fine-tune it as a network: --model video-swin-b-k400 or maskfeat-mvitv2-s-16x4",
            reason="mismatch",
        )
    return encoder


def contains_settings(path: str | Path) -> bool:
    """Whether `path` is a run or a run's checkpoint, which contains its configuration."""
    file = Path(path)
    try:
        if file.is_dir():
            return find_checkpoint(file) is not None
        if not file.is_file() or not zipfile.is_zipfile(file):  # reading a pipe would block
            return False
    except OSError:  # `read_weights` reports it
        return False
    content = read_torch(file, mapped=True)
    return isinstance(content, dict) and content.get("format") == FILE_FORMAT


def _load(path: str | Path, overrides: Overrides, *, encoder_only: bool) -> Model | MaskedPredictor | VideoNetwork:
    place = find_weights(path)
    found = load_checkpoint(place) if contains_settings(place) else read_weights(place)
    return _build_model(place, found, overrides, encoder_only=encoder_only)


def _build_model(
    path: str | Path,
    found: dict[str, Any] | Weights,
    overrides: Overrides = _NO_OVERRIDES,
    *,
    encoder_only: bool = False,
) -> Model | MaskedPredictor | VideoNetwork:
    """Build a model; errors are about the path."""
    try:
        if isinstance(found, Weights):
            return from_weights(found, overrides, encoder_only=encoder_only).eval()
        return model_of(found, overrides)
    except ModelError as error:
        raise error.within(path) from error
    except MemoryError as error:
        found_model = "describes a model that does not fit into memory"
        raise ModelError(path, found_model, advice="check its frames and resolution", reason="unsupported") from error


def _wrong_kind(
    path: str | Path, model: Model | MaskedPredictor | VideoNetwork, expected: str, advice: str
) -> ModelError:
    kinds = {
        MaskedAutoencoder: "an autoencoder",
        MaskedPredictor: "a network that replaces hidden tokens",
        Classifier: "a classifier",
        Encoder: "only an encoder",
    }
    kind = kinds.get(type(model), "a network other than the ViTs of mgm")
    return ModelError(path, f"contains {kind}", expected, advice, reason="mismatch")


def run_config(run: str | Path) -> Config:
    """The configuration in a run's checkpoint."""
    return parse_config(load_checkpoint(run)["config"], str(run))


def open_encoder(
    path: str | Path, overrides: Sequence[str] = (), *, recipe: str | Path | None = None
) -> tuple[Encoder, Config]:
    """An encoder (see `load_encoder`) and the settings to continue with.

    Args:
        path: a run, or external weights.
        overrides: `key=value` settings. For external weights, data.frames and data.size set the clips of the encoder.
        recipe: replaces the run's own settings, for example for other videos than those of its pretraining; None: the run's
            own, or `EXTERNAL_RECIPE` for external weights.

    Raises:
        MgmError: ModelError as `load_encoder`, ConfigError as `load_config`.
    """
    model, config = _open(path, overrides, recipe, encoder_only=True)
    return _encoder_of(path, model), config


def open_features(
    path: str | Path, overrides: Sequence[str] = (), *, recipe: str | Path | None = None
) -> tuple[Encoder | VideoNetwork, Config]:
    """A model with features, an encoder or a network of the catalog, and the settings to continue with.

    Arguments and errors as in `open_encoder`. With the setting `model.network`, `path` may be weights of that network's authors.
    """
    model, config = _open(path, overrides, recipe, encoder_only=True)
    return model if isinstance(model, VideoNetwork) else _encoder_of(path, model), config


def open_classifier(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    recipe: str | Path | None = None,
    labels: Sequence[str] | None = None,
) -> tuple[Classifier | VideoNetwork, Config]:
    """A classifier (see `load_pretrained`) and the settings to evaluate it with.

    Arguments and errors as in `open_features`; also ModelError if the model is not a classifier.

    Args:
        labels: names of the classes in the order of the logits, in place of those of the model.
    """
    model, config = _open(path, overrides, recipe, encoder_only=False, labels=labels)
    if not isinstance(model, Classifier | VideoNetwork):
        raise _wrong_kind(path, model, "a fine-tuned classifier", "give the folder of 'mgm finetune'")
    if labels is not None:
        if len(labels) != model.head.out_features:
            raise ModelError(
                "labels",
                f"found {len(labels)} names",
                f"one for each of the {model.head.out_features} classes of {path}",
                reason="mismatch",
            )
        model.labels = tuple(labels)
    return model, config


def open_autoencoder(
    path: str | Path, overrides: Sequence[str] = (), *, recipe: str | Path | None = None
) -> tuple[MaskedAutoencoder, Config]:
    """A pretrained autoencoder (see `load_pretrained`) and the settings to use it with.

    Arguments and errors as in `open_encoder`; also ModelError if the model is not an autoencoder.
    """
    model, config = _open(path, overrides, recipe, encoder_only=False)
    if not isinstance(model, MaskedAutoencoder):
        raise _wrong_kind(path, model, "a pretrained autoencoder", "give the folder of 'mgm pretrain'")
    return model, config


def _open(
    path: str | Path,
    overrides: Sequence[str],
    recipe: str | Path | None,
    *,
    encoder_only: bool,
    labels: Sequence[str] | None = None,
) -> tuple[Model | MaskedPredictor | VideoNetwork, Config]:
    if contains_settings(path):
        content = load_checkpoint(path)
        own = parse_config(content["config"], str(path))
        if own.model.network is not None:
            config = override(own, overrides) if recipe is None else config_for_network(own, recipe, overrides)
            clips = Overrides(config.data.frames, config.data.size)
            return _build_model(path, content, clips), config
        model = _build_model(path, content, encoder_only=encoder_only)
        if recipe is None:
            return model, override(own, overrides)
        return model, config_for(_encoder_of(path, model), recipe, overrides)
    base = load_config(recipe or default_recipe(overrides), overrides)
    if base.model.network is not None:
        return read_network(find_weights(path), base, labels=labels, to_train=encoder_only), base
    overridden = {text.partition("=")[0] for text in overrides}
    clips = Overrides(
        base.data.frames if "data.frames" in overridden else None,
        base.data.size if "data.size" in overridden else None,
    )
    model = _load(path, clips, encoder_only=encoder_only)
    return model, config_for(_encoder_of(path, model), recipe or EXTERNAL_RECIPE, overrides)
