"""Configuration, the engine, and the training methods."""

from mgm.training.checkpoint import (
    load_autoencoder,
    load_checkpoint,
    load_classifier,
    load_encoder,
    load_pretrained,
)
from mgm.training.config import Config, list_recipes, load_config
from mgm.training.export.export import export_model
from mgm.training.finetune import finetune
from mgm.training.pretrain import pretrain
from mgm.training.start import open_classifier, open_start, run_config, settings_for
from mgm.training.train import Outcome

__all__ = [
    "Config",
    "Outcome",
    "export_model",
    "finetune",
    "list_recipes",
    "load_autoencoder",
    "load_checkpoint",
    "load_classifier",
    "load_config",
    "load_encoder",
    "load_pretrained",
    "open_classifier",
    "open_start",
    "pretrain",
    "run_config",
    "settings_for",
]
