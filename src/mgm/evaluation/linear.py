"""Linear probes on frozen features: logistic regression, and the protocols of VideoMAE's and MAE's papers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.evaluation.views import Features, average_views
from mgm.models.logistic import logistic_regression, standardised
from mgm.training.sections import LinearProtocolName

_FEWEST_STEPS = 1000
"""The protocols are made for sets of thousands of steps: in 90 steps at LARS's rate, a matrix stays as it was initialised."""

_DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, slots=True)
class LinearProtocol:
    """How a linear layer is trained: on features that batch norm without gain and shift has standardised, with a cosine.

    A set of fewer clips than `batch` is one batch, at the same learning rate, for as many epochs as give `_FEWEST_STEPS`.

    Attributes:
        base_lr: learning rate per 256 clips of a batch.
        warmup: epochs of linear warm-up, of all `epochs`.
        batch: clips per step.
    """

    optimiser: Literal["sgd", "lars", "adamw"]
    base_lr: float
    weight_decay: float
    epochs: int
    warmup: int
    batch: int


LINEAR_PROTOCOLS: dict[LinearProtocolName, LinearProtocol] = {
    "linear-sgd": LinearProtocol("sgd", 0.1, 0.0, epochs=100, warmup=10, batch=1024),  # VideoMAE's paper
    "linear-lars": LinearProtocol("lars", 0.1, 0.0, epochs=90, warmup=10, batch=16384),  # MAE's paper, appendix A.1
    # SIGMA, TrackMAE: fine-tuning of a head
    "linear-adamw": LinearProtocol("adamw", 1e-3, 0.05, epochs=30, warmup=5, batch=256),
}


def linear_probe(train: Features, test: Features, *, classes: int, held: Tensor) -> npt.NDArray[np.float64]:
    """Logistic regression on standardised features. Returns class probabilities of the test videos, float64 (videos, classes).

    Args:
        held: bool (training videos,), those on which the weight decay is selected; it is then trained on all of them.
    """
    features, test_features = standardised(train.pooled, test.pooled)
    labels, out = train.label[train.owner], held[train.owner]
    decay = _DECAYS[0]
    if out.any() and not out.all():
        scores = []
        for one in _DECAYS:
            weight, bias = logistic_regression(features[~out], labels[~out], classes, one)
            hits = (features[out] @ weight + bias).argmax(1) == labels[out]
            scores.append(float(hits.float().mean()))
        decay = _DECAYS[int(np.argmax(scores))]
    weight, bias = logistic_regression(features, labels, classes, decay)
    return average_views((test_features @ weight + bias).softmax(-1), test.owner, len(test.label))


def trained_linear_probe(
    train: Features, test: Features, *, classes: int, protocol: LinearProtocol, seed: int
) -> npt.NDArray[np.float64]:
    """A linear layer trained by a protocol of the field, on stored features: without the crops and mirroring that the papers draw
    anew in every epoch. Returns class probabilities of the test videos, float64 (videos, classes).
    """
    features, labels = train.pooled, train.label[train.owner]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = nn.Sequential(
            nn.BatchNorm1d(features.shape[1], affine=False, eps=1e-6), nn.Linear(features.shape[1], classes)
        )
        layer = probe[1]
        assert isinstance(layer, nn.Linear)
        nn.init.trunc_normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
        _train(probe, features, labels, protocol)
    probe.eval()
    with torch.no_grad():
        logits = torch.cat([probe(part) for part in torch.split(test.pooled, 65536)])
    return average_views(logits.softmax(-1), test.owner, len(test.label))


def _train(probe: nn.Module, features: Tensor, labels: Tensor, protocol: LinearProtocol) -> None:
    batch = min(protocol.batch, len(features))
    steps = max(len(features) // batch, 1)
    epochs = max(protocol.epochs, math.ceil(_FEWEST_STEPS / steps))
    warmup = epochs * steps * protocol.warmup // protocol.epochs
    optimiser = _optimiser(probe.parameters(), protocol, protocol.base_lr * protocol.batch / 256)

    def factor(step: int) -> float:
        """Fraction of the learning rate: a linear warm-up, then half a cosine to 0."""
        if step < warmup:
            return step / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (epochs * steps - warmup)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    for _ in range(epochs):
        order = torch.randperm(len(features))
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            loss = F.cross_entropy(probe(features[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()


def _optimiser(parameters: Iterable[nn.Parameter], protocol: LinearProtocol, lr: float) -> torch.optim.Optimizer:
    if protocol.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=protocol.weight_decay)
    if protocol.optimiser == "lars":
        return Lars(parameters, lr=lr, weight_decay=protocol.weight_decay)
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=protocol.weight_decay)


class Lars(torch.optim.Optimizer):
    """LARS (You et al. 2017, algorithm 1), as MAE's linear probe uses it; torch has no such optimiser.

    The gradient of a matrix is scaled to `trust` x the norm of the matrix / its own norm, then SGD with momentum follows. Biases
    are updated by SGD alone.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        trust: float = 0.001,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "trust": trust})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                update = parameter.grad
                if parameter.ndim > 1:
                    update = update + group["weight_decay"] * parameter
                    size, slope = parameter.norm(), update.norm()
                    scale = group["trust"] * size / slope
                    update = update * torch.where((size > 0) & (slope > 0), scale, torch.ones_like(scale))
                state = self.state[parameter]
                state["velocity"] = group["momentum"] * state.get("velocity", torch.zeros_like(update)) + update
                parameter -= group["lr"] * state["velocity"]
