"""pytorchvideo's SlowFast and its non-local block, with random weights."""

from typing import Any

import torch
from torch import Tensor, nn


def answer(inputs: dict[str, Any]) -> dict[str, Any]:
    """part: "network" or "nonlocal"; the other inputs are those of the functions below."""
    part = inputs.pop("part")
    return {"network": network, "nonlocal": nonlocal_block}[part](**inputs)


def network(
    *, slow: Tensor, fast: Tensor, depth: int, width: int, fusion_kernel: int, temporal_blocks: int, window: int
) -> dict[str, Any]:
    """Its state dict and its probabilities of the frames of the two pathways. temporal_blocks: of the third stage."""
    from pytorchvideo.models.slowfast import create_slowfast

    third = {50: 6, 101: 23}[depth]
    kernels = ((3, 1, 1),) * temporal_blocks + ((1, 1, 1),) * (third - temporal_blocks)
    torch.manual_seed(0)
    module = create_slowfast(
        model_depth=depth,
        model_num_class=7,
        stem_dim_outs=(width, width // 8),
        slowfast_fusion_conv_kernel_size=(fusion_kernel, 1, 1),
        stage_conv_a_kernel_sizes=(
            ((1, 1, 1), (1, 1, 1), kernels, (3, 1, 1)),
            ((3, 1, 1), (3, 1, 1), kernels, (3, 1, 1)),
        ),
        head_pool_kernel_sizes=((slow.shape[2], window, window), (fast.shape[2], window, window)),
        head_activation=nn.Softmax,
    ).eval()
    randomise_norms(module)
    return {"state": module.state_dict(), "probabilities": module([slow, fast])}


def nonlocal_block(*, x: Tensor) -> dict[str, Any]:
    """Its state dict and its output."""
    from pytorchvideo.layers.nonlocal_net import create_nonlocal

    torch.manual_seed(0)
    dim = x.shape[1]
    module = create_nonlocal(dim_in=dim, dim_inner=dim // 2, pool_size=(1, 2, 2), instantiation="dot_product").eval()
    randomise_norms(module)
    return {"state": module.state_dict(), "y": module(x)}


def randomise_norms(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm3d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
