"""k-nearest-neighbour classification of frozen features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from mgm.evaluation.views import TokenBank, average_views

TEMPERATURE = 0.07


def nearest_neighbours(train: TokenBank, test: TokenBank, *, classes: int, k: int) -> npt.NDArray[np.float64]:
    """Votes of the k nearest training clips, weighted by exp(cosine / .07); float64 (videos, classes), rows sum to 1.

    The bank is the training set. Features are mean tokens, L2-normalised after the training mean is taken off, without which the
    cosines of an encoder with a common offset are all alike.
    """
    centre = train.mean.mean(0)
    bank, queries = F.normalize(train.mean - centre, dim=1), F.normalize(test.mean - centre, dim=1)
    similarity, index = (queries @ bank.T).topk(min(k, len(bank)), dim=1)
    weights = (similarity / TEMPERATURE).exp()
    votes = torch.zeros(len(queries), classes).scatter_add_(1, train.label[train.owner][index], weights)
    return average_views(votes / votes.sum(1, keepdim=True), test.owner, len(test.label))
