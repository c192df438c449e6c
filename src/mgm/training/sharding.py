"""Models whose weights are distributed over the devices (FSDP2): their sharding, and whole tensors from and for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

WIDE_ENCODER: Final = 1024
"""Width of ViT-L, from which on models are sharded by default: AdamW's state of a narrower one fits on any device."""


def shard(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Shard a model in place: every transformer block is gathered for itself, when it is computed, and the rest together."""
    data = mesh["data_parallel"]
    for name, part in module.named_modules():
        if isinstance(part, nn.ModuleList) and name.rpartition(".")[2] == "blocks":
            for block in part:
                fully_shard(block, mesh=data)
    fully_shard(module, mesh=data)
    return module


def local(tensor: Tensor) -> Tensor:
    """This device's part of a distributed tensor, which shares its memory; another tensor itself."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """A distributed tensor on every device, which all of them must ask for; another tensor itself."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered(state: Any) -> Any:
    """A state dict, of a model or an optimiser, with whole tensors on the CPU. All devices must call it."""
    return _changed(state, lambda tensor: whole(tensor).cpu() if isinstance(tensor, DTensor) else tensor)


def snapshot(state: Any) -> Any:
    """A copy of a state dict on the CPU, which training does not change."""
    return _changed(state, lambda tensor: tensor.detach().to("cpu", copy=True))


def _changed(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(state, Tensor):
        return change(state)
    if isinstance(state, Mapping):
        return {key: _changed(value, change) for key, value in state.items()}
    return [_changed(value, change) for value in state] if isinstance(state, list) else state


def distributed_like(tensor: Tensor, other: Tensor) -> Tensor:
    """A tensor, the same on all devices, with the distribution of another one."""
    if not isinstance(other, DTensor) or tensor.shape != other.shape:
        return tensor
    return distribute_tensor(tensor.to(other.device), other.device_mesh, other.placements)


def distribute_model_state(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The state dict of a whole model for one that is sharded."""
    own = module.state_dict()
    return {name: distributed_like(tensor, own[name]) if name in own else tensor for name, tensor in state.items()}


def distribute_optimiser_state(state: Mapping[str, Any], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """The state dict of the optimiser of a whole model for that of a sharded one."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    states = {
        number: {key: distributed_like(value, parameters[number]) if isinstance(value, Tensor) else value
                 for key, value in entries.items()}
        for number, entries in state["state"].items()
    }  # fmt: skip
    return {**state, "state": states}
