"""Configuration and recipes, the training loop and its methods, checkpoints."""

from mgm.training.checkpoint import (
    load_autoencoder,
    load_checkpoint,
    load_classifier,
    load_encoder,
    load_pretrained,
    open_classifier,
    open_encoder,
    run_config,
)
from mgm.training.config import Config
from mgm.training.export.write import export_model
from mgm.training.loop import TrainingResult
from mgm.training.recipe import config_for, list_recipes, load_config

__all__ = [
    "Config",
    "TrainingResult",
    "config_for",
    "export_model",
    "list_recipes",
    "load_autoencoder",
    "load_checkpoint",
    "load_classifier",
    "load_config",
    "load_encoder",
    "load_pretrained",
    "open_classifier",
    "open_encoder",
    "run_config",
]
