"""Faster training on a CPU in float32, opt-in: `accelerate_cpu` swaps modules of a built model.

Only the training loop imports this folder, for one call; without that call, the folder can be deleted.
`benchmarks/step.py --plain` measures the difference to plain PyTorch.
"""

from typing import Final

from torch import nn

from mgm.models.accelerate.attention import AcceleratedAttention, AcceleratedCrossAttention
from mgm.models.accelerate.linear import AcceleratedLinear
from mgm.models.accelerate.pixels import OnePassPixels
from mgm.models.attention import Attention, CrossAttention
from mgm.models.autoencoder import MaskedAutoencoder
from mgm.models.targets import NormalisedPixels, ReconstructionObjective, Target

__all__ = ["accelerate_cpu"]

_SWAPS: Final[dict[type[nn.Module], type[nn.Module]]] = {
    nn.Linear: AcceleratedLinear,
    Attention: AcceleratedAttention,
    CrossAttention: AcceleratedCrossAttention,
}


def accelerate_cpu(model: nn.Module) -> None:
    """Swap modules of `model`, in place, for versions that train faster on a CPU in float32.

    Linear layers use oneDNN's matrix product, attention to many tokens keeps its weights for the backward pass, and the
    target normalised-pixels is computed in one pass over uint8 clips. Results agree with PyTorch's to rounding.
    Parameters, their names, buffers, hooks and mode stay as they are. In evaluation mode, without gradients, under
    autocast, in other dtypes and on other devices the swapped modules run PyTorch's operations. An accelerated model in
    training mode has no second derivatives and does not support `torch.func`, forward-mode differentiation or export.
    """
    for module in model.modules():
        accelerated = _SWAPS.get(type(module))
        if accelerated is not None:
            module.__class__ = accelerated
    if isinstance(model, MaskedAutoencoder):
        targets = tuple((_accelerated(target), weight) for target, weight in model.objective.targets)
        model.objective = ReconstructionObjective(targets)


def _accelerated(target: Target) -> Target:
    return OnePassPixels(target.spec) if type(target) is NormalisedPixels else target
