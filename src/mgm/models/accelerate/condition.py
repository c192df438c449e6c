"""The condition under which an accelerated module uses its own operation."""

import torch
from torch import Tensor


def applies(x: Tensor) -> bool:
    """Whether `x` is a non-empty float32 tensor on a CPU, and gradients are on and autocast is off."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and x.dim() > 1
        and x.shape[-2] > 0
    )
