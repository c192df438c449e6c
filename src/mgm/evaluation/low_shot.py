"""Accuracy with few labels: logistic regression on the features of a few training videos of each class, drawn several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mgm.evaluation.metrics import correct
from mgm.evaluation.views import Features, average_views
from mgm.models.logistic import logistic_regression, standardised

_DECAY = 1e-2
"""Weight decay: from one label per class nothing can be held out to select it."""

_DRAW = 7
"""Last number of the seed of a draw, which keeps it apart from other draws of the same seed."""


@dataclass(frozen=True, slots=True)
class LowShot:
    """Top-1 accuracies of a linear probe from `shots` labels per class, one for each draw of the training videos."""

    shots: int
    top1: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the draws."""
        return float(np.mean(self.top1))

    @property
    def deviation(self) -> float:
        """Standard deviation over the draws; 0 of a single one."""
        return float(np.std(self.top1, ddof=1)) if len(self.top1) > 1 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For probe.json."""
        return {"labels per class": self.shots, "top1": list(self.top1)}


def low_shot_curve(
    train: Features, test: Features, *, classes: int, shots: Sequence[int], draws: int, seed: int
) -> tuple[LowShot, ...]:
    """The curve over those `shots` that every class with training videos has.

    A draw depends on the seed, the number of shots and its own number alone: two encoders see the same labels.
    """
    of_class = [torch.nonzero(train.label == label).flatten() for label in range(classes)]
    smallest = min(len(videos) for videos in of_class if len(videos))
    features, queries = standardised(train.pooled, test.pooled)  # needs no labels
    curve = []
    for count in (count for count in shots if count <= smallest):
        top1 = []
        for draw in range(draws):
            rng = np.random.default_rng([seed, count, draw, _DRAW])
            chosen = torch.cat([videos[torch.from_numpy(rng.permutation(len(videos))[:count])] for videos in of_class])
            views = torch.isin(train.owner, chosen)
            weight, bias = logistic_regression(features[views], train.label[train.owner[views]], classes, _DECAY)
            probability = average_views((queries @ weight + bias).softmax(-1), test.owner, len(test.label))
            top1.append(float(correct(probability, test.label.numpy()).mean()))
        curve.append(LowShot(count, tuple(top1)))
    return tuple(curve)
