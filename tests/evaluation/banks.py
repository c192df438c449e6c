"""Features of views that contain their labels, or only noise."""

import torch
import torch.nn.functional as F

from mgm.evaluation.views import Features


def bank(*, videos: int, views: int, classes: int, signal: float, seed: int) -> tuple[Features, torch.Tensor]:
    """Features and tokens: noise around one direction of length `signal` per class, plus a common offset. Labels alternate."""
    tokens, dim = 6, 16
    directions = torch.randn(classes, dim, generator=torch.Generator().manual_seed(99))
    directions /= directions.norm(dim=1, keepdim=True)
    label = torch.arange(videos) % classes
    owner = torch.arange(videos).repeat_interleave(views)
    noise = torch.randn(len(owner), tokens, dim, generator=torch.Generator().manual_seed(seed))
    return bank_of(10 + noise + signal * directions[label[owner]][:, None], owner, label)


def bank_of(tokens: torch.Tensor, owner: torch.Tensor, label: torch.Tensor) -> tuple[Features, torch.Tensor]:
    """The features of tokens, and the tokens as an attentive probe reads them."""
    features = Features(tokens.mean(1), owner, label, torch.arange(len(owner)))
    return features, F.layer_norm(tokens, tokens.shape[2:])


def every_fifth(features: Features) -> torch.Tensor:
    """Held-out videos, bool (videos,), of all classes of a bank."""
    return torch.arange(len(features.label)) // 5 % 5 == 0


def accuracy(probability, bank):
    """Top-1 of class probabilities on a bank of (features, tokens)."""
    return (probability.argmax(1) == bank[0].label.numpy()).mean()
