"""What a frozen encoder knows: an attentive probe, a linear probe."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.evaluation.views import TokenBank, average_views
from mgm.training.config import ProbeConfig


class AttentivePooler(nn.Module):
    """One learned query that attends to all tokens of a clip, an MLP and a linear classifier (V-JEPA, v1).

    Tokens carry where and when; their mean loses it. A probe that can pick tokens sees motion that a linear one on mean features
    misses.
    """

    def __init__(self, dim: int, heads: int, classes: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.norm = nn.LayerNorm(dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.head = nn.Linear(dim, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """float32 (B, N, dim) -> logits (B, classes)."""
        B, N, dim = tokens.shape
        key, value = self.key_value(self.norm(tokens)).view(B, N, 2, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        query = self.query.expand(B, 1, dim).view(B, 1, self.heads, -1).transpose(1, 2)
        pooled = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(B, dim)
        pooled = pooled + self.mlp(self.mlp_norm(pooled))
        logits: Tensor = self.head(pooled)
        return logits


def attentive_probe(
    train: TokenBank, test: TokenBank, *, classes: int, heads: int, config: ProbeConfig, seed: int
) -> npt.NDArray[np.float64]:
    """Train an attentive pooler on frozen tokens; class probabilities of the test videos, float64 (videos, classes).

    AdamW, cosine to 0, no warm-up (V-JEPA's protocol), `config.steps` steps.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = AttentivePooler(train.tokens.shape[2], heads, classes)
        order = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(probe.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
        labels = train.label[train.owner]
        for _ in range(config.steps):
            chosen = torch.randint(len(labels), (config.batch,), generator=order)
            loss = F.cross_entropy(probe(train.tokens[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            rate.step()
        with torch.no_grad():
            logits = torch.cat([probe.eval()(part) for part in torch.split(test.tokens, 256)])
    return average_views(logits.softmax(-1), test.owner, len(test.label))


DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)


def linear_probe(train: TokenBank, test: TokenBank, *, classes: int) -> npt.NDArray[np.float64]:
    """Logistic regression on standardised mean features; probabilities of the test videos, float64 (videos, classes).

    The strength of its weight decay is chosen on a fifth of the training videos; test videos have no say in it.
    """
    features, test_features = train.mean, test.mean
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    features, test_features = (features - mean) / deviation, (test_features - mean) / deviation
    labels = train.label[train.owner]
    held = train.owner % 5 == 0
    scores = []
    for decay in DECAYS:
        weight, bias = _logistic(features[~held], labels[~held], classes, decay)
        hits = (features[held] @ weight + bias).argmax(1) == labels[held]
        scores.append(float(hits.float().mean()))
    weight, bias = _logistic(features, labels, classes, DECAYS[int(np.argmax(scores))])
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
