"""Runs `answer` of a file of this folder; arguments: that file, the file of its inputs, the file for its outputs.

torchvision's compiled part belongs to the torch of its own index and does not load beside another one; its models need
none of it, but its import looks for two of its operators. They are defined here before that. Nothing calls them.
"""

import importlib.util
import sys
import warnings
from typing import Any

import torch

PACKAGES = ("torchvision", "pytorchvideo", "fvcore", "iopath", "dall_e", "transformers")


def define_operators() -> torch.library.Library:
    """The operators that torchvision's import looks for. They exist as long as the result does."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def main(file: str, asked: str, answered: str) -> None:
    operators = define_operators()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    spec = importlib.util.spec_from_file_location("peer", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    outputs: dict[str, Any]
    try:
        with torch.no_grad():
            outputs = module.answer(torch.load(asked, weights_only=True))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in PACKAGES:
            raise
        outputs = {"absent": error.name}
    torch.save(outputs, answered)
    del operators


if __name__ == "__main__":
    main(*sys.argv[1:])
