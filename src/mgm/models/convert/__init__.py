"""Checkpoints of other programs to models of this package, and back. docs/checkpoints.md has the table of formats."""

from mgm.models.convert.formats import METADATA, from_weights
from mgm.models.convert.graph import VideoType, export_graph, write_onnx
from mgm.models.convert.holds import check_videomae
from mgm.models.convert.huggingface import HEAD_NORM_EPS, BiasNames, from_huggingface, load_huggingface, to_huggingface
from mgm.models.convert.reference import arguments_of, to_reference
from mgm.models.convert.shapes import Facts, Model, at_facts, fill
from mgm.models.convert.weights import CONFIG, MARK, Weights, read_torch, read_weights

__all__ = [
    "CONFIG",
    "HEAD_NORM_EPS",
    "MARK",
    "METADATA",
    "BiasNames",
    "Facts",
    "Model",
    "VideoType",
    "Weights",
    "arguments_of",
    "at_facts",
    "check_videomae",
    "export_graph",
    "fill",
    "from_huggingface",
    "from_weights",
    "load_huggingface",
    "read_torch",
    "read_weights",
    "to_huggingface",
    "to_reference",
    "write_onnx",
]
