"""The sections of the settings: their keys, defaults and limits. `mgm.training.config` joins and compares them."""

from mgm.training.sections.data import DataConfig
from mgm.training.sections.finetune import FinetuneConfig
from mgm.training.sections.log import LogConfig
from mgm.training.sections.mask import DecoderMaskConfig, MaskConfig
from mgm.training.sections.model import DecoderConfig, ModelConfig
from mgm.training.sections.optim import OptimConfig
from mgm.training.sections.probe import FeaturePooling, LinearProtocolName, ProbeConfig
from mgm.training.sections.section import Precision, Section

__all__ = [
    "DataConfig",
    "DecoderConfig",
    "DecoderMaskConfig",
    "FeaturePooling",
    "FinetuneConfig",
    "LinearProtocolName",
    "LogConfig",
    "MaskConfig",
    "ModelConfig",
    "OptimConfig",
    "Precision",
    "ProbeConfig",
    "Section",
]
