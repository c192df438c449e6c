"""Logistic regression: a linear classifier of fixed features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def standardised(features: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Both less the mean of `features`, divided by their deviation."""
    mean, deviation = features.mean(0), features.std(0, correction=0) + 1e-6
    return (features - mean).div_(deviation), (others - mean).div_(deviation)  # in place: those of all views are large


def logistic_regression(
    features: Tensor,
    labels: Tensor,
    classes: int,
    decay: float,
    class_weight: Tensor | None = None,
    smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Weight (dim, classes) and bias (classes,) that minimise the mean cross-entropy + `decay` x the squared weights.

    Args:
        class_weight: float32 (classes,), how much a sample of each class counts; None: all alike.
        smoothing: fraction of each target that is spread over all classes.
    """
    weight = torch.zeros(features.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        """The loss with its gradients, which LBFGS evaluates several times in a step."""
        optimiser.zero_grad()
        loss = F.cross_entropy(features @ weight + bias, labels, class_weight, label_smoothing=smoothing)
        loss = loss + decay * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def balanced_weights(count: Tensor) -> Tensor:
    """Weights with which every class counts as much as another, and a sample counts 1 on average; 0 for a class without samples.

    Args:
        count: (classes,), samples of each class.

    Returns:
        float32 (classes,): all samples / (classes that occur x samples of the class).
    """
    occurs = count > 0
    weight = count.sum() / (occurs.sum() * count.clamp_min(1))
    return torch.where(occurs, weight, 0).float()
