"""Muon for the matrices of the transformer blocks and AdamW for everything else, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from mgm.errors import ConfigError

KIND: Final = "optimiser"
"""Key of a parameter group: whose it is, `muon` or `adamw`."""


def is_hidden_matrix(name: str, parameter: torch.Tensor) -> bool:
    """Whether Muon takes a parameter: a matrix of a block.

    Embeddings and heads are AdamW's (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"); so are
    convolutions, for torch's Muon takes matrices alone.
    """
    return parameter.ndim == 2 and ".blocks." in f".{name}"


class MuonAdamW(torch.optim.Optimizer):
    """Two optimisers of torch with one list of groups and one state, so that checkpoints and schedules need not know.

    A step of Muon is as long as one of AdamW (Liu et al. 2025, "Muon is scalable for LLM training"), so that both have one learning
    rate and one weight decay.

    Args:
        groups: parameter groups, each with `optimiser`, `muon` or `adamw`.
        adamw: options of AdamW.

    Raises:
        ConfigError: torch has no Muon, no group is Muon's, or the weights are distributed.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, **adamw: Any) -> None:
        if not hasattr(torch.optim, "Muon"):
            found = f"torch is {torch.__version__}"
            raise ConfigError("optimiser", found, "torch 2.9 or newer for muon, or adamw", reason="missing_package")
        own = {kind: [group for group in groups if group[KIND] == kind] for kind in ("muon", "adamw")}
        if not own["muon"]:
            raise ConfigError("optimiser", "the model has no blocks with matrices", "adamw or sgd", reason="conflict")
        if any(isinstance(p, torch.distributed.tensor.DTensor) for group in own["muon"] for p in group["params"]):
            found = "the weights are distributed, and muon needs whole matrices"
            raise ConfigError("optimiser", found, "strategy ddp, or adamw", reason="conflict")
        self.parts: dict[str, torch.optim.Optimizer] = {
            "muon": torch.optim.Muon(own["muon"], lr=lr, adjust_lr_fn="match_rms_adamw")
        }
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
