"""The peers that can be imported, and the torch beside them."""

from typing import Any


def answer(inputs: dict[str, Any]) -> dict[str, Any]:
    import dall_e
    import pytorchvideo
    import torch
    import torchvision

    return {
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "pytorchvideo": pytorchvideo.__version__,
        "dall_e": dall_e.Encoder().vocab_size,
    }
