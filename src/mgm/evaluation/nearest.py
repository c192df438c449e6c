"""k-nearest neighbours on frozen features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mgm.evaluation.views import Features, average_views

TEMPERATURE = 0.07
"""Of the votes."""

_QUERIES_AT_ONCE, _BANK_AT_ONCE = 1024, 65536
"""The similarities of all pairs of a large set do not fit into memory; those of a block take 256 MiB."""


def usable_neighbours(wanted: Sequence[int], clips: int) -> tuple[int, ...]:
    """The values of k in `wanted` that do not exceed the number of training clips; the smallest one if all do."""
    return tuple(k for k in wanted if k <= clips) or (min(wanted),)


def block_bytes(clips: int) -> int:
    """Memory for the similarities of a block of queries and training clips."""
    return 12 * _QUERIES_AT_ONCE * min(clips, _BANK_AT_ONCE)


def nearest_neighbours(
    train: Features, test: Features, *, classes: int, neighbours: Sequence[int]
) -> dict[int, npt.NDArray[np.float64]]:
    """Votes of the k nearest training clips, weighted by exp(cosine / .07), for every k at once.

    Features are L2-normalised after subtraction of the training mean: without it, the cosines of an encoder whose features share an
    offset are nearly equal. The bank holds training clips only (the released code of SIGMA builds its from the test set).

    Returns:
        k -> float64 (videos, classes), the mean over the views of a test video; rows sum to 1.
    """
    centre = train.pooled.mean(0)
    label = train.label[train.owner]
    votes: dict[int, list[Tensor]] = {k: [] for k in neighbours}
    for part in torch.split(test.pooled, _QUERIES_AT_ONCE):
        similarity, index = _nearest(F.normalize(part - centre, dim=1), train.pooled, centre, max(neighbours))
        weights, voted = (similarity / TEMPERATURE).exp(), label[index]
        for k, found in votes.items():
            cast = torch.zeros(len(part), classes).scatter_add_(1, voted[:, :k], weights[:, :k])
            found.append(cast / cast.sum(1, keepdim=True))
    return {k: average_views(torch.cat(found), test.owner, len(test.label)) for k, found in votes.items()}


def _nearest(queries: Tensor, bank: Tensor, centre: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest cosines of each query and the rows of the bank that have them, both (len(queries), k) with k up to `count`."""
    similarity = torch.empty(len(queries), 0)
    index = torch.empty(len(queries), 0, dtype=torch.int64)
    for first in range(0, len(bank), _BANK_AT_ONCE):
        # A normalised copy of the whole bank would be as large as the bank.
        block = F.normalize(bank[first : first + _BANK_AT_ONCE] - centre, dim=1)
        found, row = (queries @ block.T).topk(min(count, len(block)), dim=1)
        similarity, index = torch.cat([similarity, found], dim=1), torch.cat([index, row + first], dim=1)
        similarity, order = similarity.topk(min(count, similarity.shape[1]), dim=1)
        index = index.gather(1, order)
    return similarity, index
