"""Where fine-tuning and judging start: a run of ours with its settings, or weights from elsewhere with a recipe's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mgm.errors import ConfigError
from mgm.models import Encoder
from mgm.training.checkpoint import holds_settings, load_checkpoint, load_encoder
from mgm.training.config import Config, load_config, override, parse_config

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
        recipe: instead of a run's own settings; of weights from elsewhere None is `RECIPE`.

    Raises:
        MgmError: of the kind that fits.
    """
    if holds_settings(path):
        config = run_config(path, overrides) if recipe is None else load_config(recipe, overrides)
        return load_encoder(path), config
    base = load_config(recipe or RECIPE, overrides)
    asked = {text.partition("=")[0] for text in overrides}
    encoder = load_encoder(
        path,
        frames=base.data.frames if "data.frames" in asked else None,
        resolution=base.data.size if "data.size" in asked else None,
    )
    return encoder, settings_for(encoder, recipe or RECIPE, overrides)
