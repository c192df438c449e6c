"""Checkpoints of other programs to models of this package, and back. docs/checkpoints.md has the table of formats."""

from mgm.models.convert.formats import METADATA_KEY, from_weights
from mgm.models.convert.graph import GraphModel, VideoType, export_graph, video_shape, write_onnx
from mgm.models.convert.huggingface import HEAD_NORM_EPS, BiasNames, from_huggingface, load_huggingface, to_huggingface
from mgm.models.convert.reference import arguments_of, to_reference
from mgm.models.convert.representable import check_representable
from mgm.models.convert.shapes import Model, Overrides, apply_overrides, check_described, encoder_of
from mgm.models.convert.weights import CONFIG_FILE, Weights, read_weights
from mgm.models.state_dict import load_state

__all__ = [
    "CONFIG_FILE",
    "HEAD_NORM_EPS",
    "METADATA_KEY",
    "BiasNames",
    "GraphModel",
    "Model",
    "Overrides",
    "VideoType",
    "Weights",
    "apply_overrides",
    "arguments_of",
    "check_described",
    "check_representable",
    "encoder_of",
    "export_graph",
    "from_huggingface",
    "from_weights",
    "load_huggingface",
    "load_state",
    "read_weights",
    "to_huggingface",
    "to_reference",
    "video_shape",
    "write_onnx",
]
