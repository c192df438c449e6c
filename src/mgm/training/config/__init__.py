"""One typed tree of settings, read from a recipe, overridden by dotted keys, saved whole beside every result."""

from mgm.training.config.data import DataConfig
from mgm.training.config.explain import parse_config
from mgm.training.config.mask import DecoderMaskConfig, MaskConfig
from mgm.training.config.model import ModelConfig
from mgm.training.config.optim import FinetuneConfig, OptimConfig
from mgm.training.config.probe import ProbeConfig
from mgm.training.config.recipe import list_recipes, load_config, override
from mgm.training.config.tree import Config

__all__ = [
    "Config",
    "DataConfig",
    "DecoderMaskConfig",
    "FinetuneConfig",
    "MaskConfig",
    "ModelConfig",
    "OptimConfig",
    "ProbeConfig",
    "list_recipes",
    "load_config",
    "override",
    "parse_config",
]
