"""Classifiers on frozen features: an attentive probe, a linear probe and k-nearest neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.evaluation.token_file import Tokens
from mgm.evaluation.views import Features, average_views
from mgm.models.attentive import AttentivePooler
from mgm.training.sections import ProbeConfig


class AttentiveProbe(nn.Module):
    """An attentive pooler and a linear classifier, on frozen tokens."""

    def __init__(self, dim: int, heads: int, classes: int) -> None:
        super().__init__()
        self.pooler = AttentivePooler(dim, heads)
        self.head = nn.Linear(dim, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens after a layer norm without gain and shift, float32 (B, N, dim) -> logits (B, classes)."""
        logits: Tensor = self.head(self.pooler(tokens))
        return logits


def train_attentive_probe(
    train: Features, tokens: Tokens, *, dim: int, classes: int, heads: int, config: ProbeConfig, seed: int
) -> AttentiveProbe:
    """Train an attentive pooler on frozen tokens. It reads one batch of them at a time.

    AdamW, cosine to 0, no warm-up (V-JEPA's protocol), `config.steps` steps.

    Args:
        tokens: after a layer norm without gain and shift, of width `dim`, at the rows of `train`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = AttentiveProbe(dim, heads, classes)
        order = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(probe.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
        labels = train.label[train.owner]
        for _ in range(config.steps):
            chosen = torch.randint(len(labels), (config.batch,), generator=order)
            loss = F.cross_entropy(probe(tokens[train.row[chosen]]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            rate.step()
    return probe.eval()


def attentive_probe(test: Features) -> npt.NDArray[np.float64]:
    """Class probabilities of the test videos, float64 (videos, classes), from views that were encoded with a trained probe."""
    assert test.logits is not None
    return average_views(test.logits.softmax(-1), test.owner, len(test.label))


_DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)


def linear_probe(train: Features, test: Features, *, classes: int) -> npt.NDArray[np.float64]:
    """Logistic regression on standardised features. Returns class probabilities of the test videos, float64 (videos, classes).

    The weight decay is selected on a fifth of the training videos; test videos do not influence it.
    """
    features, test_features = train.pooled, test.pooled
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    features, test_features = (features - mean) / deviation, (test_features - mean) / deviation
    labels = train.label[train.owner]
    held = train.owner % 5 == 0
    scores = []
    for decay in _DECAYS:
        weight, bias = _logistic(features[~held], labels[~held], classes, decay)
        hits = (features[held] @ weight + bias).argmax(1) == labels[held]
        scores.append(float(hits.float().mean()))
    weight, bias = _logistic(features, labels, classes, _DECAYS[int(np.argmax(scores))])
    return average_views((test_features @ weight + bias).softmax(-1), test.owner, len(test.label))


def _logistic(features: Tensor, labels: Tensor, classes: int, decay: float) -> tuple[Tensor, Tensor]:
    weight = torch.zeros(features.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(features @ weight + bias, labels) + decay * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


TEMPERATURE = 0.07
"""Of the votes of nearest neighbours."""


def nearest_neighbours(train: Features, test: Features, *, classes: int, k: int) -> npt.NDArray[np.float64]:
    """Votes of the k nearest training clips, weighted by exp(cosine / .07); float64 (videos, classes), rows sum to 1.

    Features are L2-normalised after subtraction of the training mean: without it, the cosines of an encoder whose
    features share an offset are nearly equal.
    """
    centre = train.pooled.mean(0)
    bank, queries = F.normalize(train.pooled - centre, dim=1), F.normalize(test.pooled - centre, dim=1)
    # In parts: the similarities of all pairs of a large set do not fit into memory.
    nearest = [(part @ bank.T).topk(min(k, len(bank)), dim=1) for part in torch.split(queries, 1024)]
    similarity, index = (torch.cat(parts) for parts in zip(*nearest, strict=True))
    weights = (similarity / TEMPERATURE).exp()
    votes = torch.zeros(len(queries), classes).scatter_add_(1, train.label[train.owner][index], weights)
    return average_views(votes / votes.sum(1, keepdim=True), test.owner, len(test.label))
