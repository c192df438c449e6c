"""Token banks whose features contain their labels, or only noise."""

import torch

from mgm.evaluation.views import TokenBank


def bank(*, videos: int, views: int, classes: int, signal: float, seed: int) -> TokenBank:
    """Noise around one direction of length `signal` per class, plus a common offset. Labels alternate."""
    tokens, dim = 6, 16
    directions = torch.randn(classes, dim, generator=torch.Generator().manual_seed(99))
    directions /= directions.norm(dim=1, keepdim=True)
    label = torch.arange(videos) % classes
    owner = torch.arange(videos).repeat_interleave(views)
    noise = torch.randn(len(owner), tokens, dim, generator=torch.Generator().manual_seed(seed))
    return TokenBank(10 + noise + signal * directions[label[owner]][:, None], owner, label)
