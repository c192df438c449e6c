"""Configuration, the engine, and the training methods."""

from mgm.training.checkpoint import load_autoencoder, load_checkpoint, load_classifier, load_encoder
from mgm.training.config import Config, load_config, recipe_names
from mgm.training.finetune import finetune
from mgm.training.pretrain import Outcome, pretrain

__all__ = [
    "Config",
    "Outcome",
    "finetune",
    "load_autoencoder",
    "load_checkpoint",
    "load_classifier",
    "load_config",
    "load_encoder",
    "pretrain",
    "recipe_names",
]
