"""Where fine-tuning and judging start: a run of ours with its settings, or weights from elsewhere with a recipe's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mgm.errors import ConfigError, ModelError
from mgm.models import Classifier, Encoder, MaskedAutoencoder
from mgm.training.checkpoint import holds_settings, load_checkpoint, load_encoder, load_pretrained
from mgm.training.config import Config, load_config, override, parse_config

_Loaded = TypeVar("_Loaded", Encoder, MaskedAutoencoder | Classifier)

RECIPE = "mgm-vitb-k400"
"""The recipe for weights that bring no settings, where none is named: the paper's, with the reference's fine-tuning."""


def run_config(run: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration that a run's checkpoint carries, with overrides."""
    return override(parse_config(load_checkpoint(run)["config"], str(run)), overrides)


def settings_for(encoder: Encoder, recipe: str | Path = RECIPE, overrides: Sequence[str] = ()) -> Config:
    """A recipe's settings with the encoder's own description in the place of the recipe's.

    For an encoder that did not come from a run of ours: `mgm.finetune(encoder, videos, mgm.settings_for(encoder), out=...)`.
    Frames and size of the clips are the encoder's.

    Raises:
        ConfigError: as `load_config`, and where the encoder's frames are not square.
    """
    spec = encoder.spec
    if not isinstance(spec.resolution, int):
        raise ConfigError(
            f"the encoder takes frames of {' x '.join(map(str, spec.resolution))} px, expected square ones, as all clips are cut; "
            "load it with resolution= of one number"
        )
    clips = [f"data.frames={spec.frames}", f"data.size={spec.resolution}"]
    return override(load_config(recipe, overrides), [*clips, f"model.spec={json.dumps(spec.to_dict())}"])


def open_start(
    path: str | Path, overrides: Sequence[str] = (), *, recipe: str | Path | None = None
) -> tuple[Encoder, Config]:
    """The encoder of a run or of weights from elsewhere (see `load_encoder`), and the settings to go on with.

    Args:
        overrides: `key=value` settings. Of weights from elsewhere, data.frames and data.size say for which clips the encoder
            is built.
        recipe: instead of the run's own settings, as for other videos than it was pretrained on; None: those, or `RECIPE` for
            weights from elsewhere.

    Raises:
        MgmError: of the kind that fits.
    """
    return _open(load_encoder, path, overrides, recipe)


def open_classifier(
    path: str | Path, overrides: Sequence[str] = (), *, recipe: str | Path | None = None
) -> tuple[Classifier, Config]:
    """The classifier of a run or of weights from elsewhere (see `load_pretrained`), and the settings to judge it with.

    Arguments and errors as of `open_start`; ModelError too where there is no classifier.
    """
    model, config = _open(load_pretrained, path, overrides, recipe)
    if not isinstance(model, Classifier):
        raise ModelError(
            f"{path}: holds an autoencoder, expected a fine-tuned classifier; give the folder of 'mgm finetune'"
        )
    return model, config


def _open(
    load: Callable[..., _Loaded], path: str | Path, overrides: Sequence[str], recipe: str | Path | None
) -> tuple[_Loaded, Config]:
    if holds_settings(path):
        model = load(path)
        if recipe is None:
            return model, run_config(path, overrides)
        return model, settings_for(_encoder(model), recipe, overrides)
    base = load_config(recipe or RECIPE, overrides)
    asked = {text.partition("=")[0] for text in overrides}
    model = load(
        path,
        frames=base.data.frames if "data.frames" in asked else None,
        resolution=base.data.size if "data.size" in asked else None,
    )
    return model, settings_for(_encoder(model), recipe or RECIPE, overrides)


def _encoder(model: Encoder | MaskedAutoencoder | Classifier) -> Encoder:
    return model if isinstance(model, Encoder) else model.encoder
