"""Muon for the matrices of the transformer blocks and AdamW for everything else, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from mgm.errors import ConfigError

KIND: Final = "optimiser"
"""Key of a parameter group: whose it is, `muon` or `adamw`."""

MOMENTUM: Final = 0.95
_QUINTIC: Final = (3.4445, -4.7750, 2.0315)
_ITERATIONS: Final = 5
_RMS_OF_ADAMW: Final = 0.2


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon takes a parameter: a matrix of a block.

    Embeddings and heads are AdamW's (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"); so are
    convolutions.
    """
    return parameter.ndim == 2 and ".blocks." in f".{name}"


def orthogonalise(matrix: Tensor) -> Tensor:
    """About the nearest orthogonal matrix: the singular vectors of `matrix` (m, n) with singular values between .7 and 1.2.

    Five iterations of Jordan's polynomial of Newton and Schulz, in bfloat16 on a GPU. On a CPU in float32, where torch's own Muon
    (from 2.9 on) uses bfloat16, too, whose products take many times as long on CPUs without them.
    """
    a, b, c = _QUINTIC
    x = matrix.float() if matrix.device.type == "cpu" else matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


class _Muon(torch.optim.Optimizer):
    """A step is as long as one of AdamW, .2 on average (Liu et al. 2025, "Muon is scalable for LLM training")."""

    def __init__(self, groups: list[dict[str, Any]], *, lr: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0, "momentum": MOMENTUM})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Move against the orthogonalised momentum, in Nesterov's form."""
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(gradient)
                average = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
                direction = orthogonalise(gradient.lerp(average, momentum))
                parameter.mul_(1 - rate * group["weight_decay"])
                parameter.add_(direction, alpha=-rate * _RMS_OF_ADAMW * max(parameter.shape) ** 0.5)


class MuonAdamW(torch.optim.Optimizer):
    """Two optimisers with one list of groups and one state, so that checkpoints and schedules need not know.

    Both have one learning rate and one weight decay.

    Args:
        groups: parameter groups, each with `optimiser`, `muon` or `adamw`.
        adamw: options of AdamW.

    Raises:
        ConfigError: no group is Muon's, or the weights are distributed.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, **adamw: Any) -> None:
        own = {kind: [group for group in groups if group[KIND] == kind] for kind in ("muon", "adamw")}
        if not own["muon"]:
            raise ConfigError(
                "optimiser",
                "found muon, for a model without blocks, whose matrices it updates",
                "adamw or sgd",
                reason="conflict",
            )
        if any(isinstance(p, DTensor) for group in own["muon"] for p in group["params"]):
            found = "the weights are distributed, and muon needs whole matrices"
            raise ConfigError("optimiser", found, "strategy ddp, or adamw", reason="conflict")
        self.parts: dict[str, torch.optim.Optimizer] = {"muon": _Muon(own["muon"], lr=lr)}
        if own["adamw"]:
            self.parts["adamw"] = torch.optim.AdamW(own["adamw"], lr=lr, **adamw)
        super().__init__([group for part in self.parts.values() for group in part.param_groups], {"lr": lr})
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a loaded state, and let both parts see it."""
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        for kind, part in self.parts.items():
            part.param_groups = [group for group in self.param_groups if group[KIND] == kind]
            part.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts.values():
            part.step()
        return loss
