"""Figures of class probabilities beyond top-1: per class, confusion, calibration."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Probability = npt.NDArray[np.float64]
"""float64 (videos, classes), rows sum to 1."""
Label = npt.NDArray[np.int64]
"""int64 (videos,)."""

CALIBRATION_BINS = 15
"""Of equal width (Guo et al. 2017)."""


def confusion_matrix(probability: Probability, label: Label) -> npt.NDArray[np.int64]:
    """int64 (classes, classes): number of videos of each class (row) that were taken for each class (column)."""
    classes = probability.shape[1]
    pairs = label * classes + probability.argmax(1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def mean_class_accuracy(confusion: npt.NDArray[np.int64]) -> float:
    """Mean of the accuracies of the classes that have test videos."""
    videos = confusion.sum(1)
    tested = videos > 0
    return float((np.diag(confusion)[tested] / videos[tested]).mean())


def log_loss(probability: Probability, label: Label) -> npt.NDArray[np.float64]:
    """float64 (videos,): -log of the probability of the label, in nats; a probability of 0 counts as the smallest number."""
    of_label = probability[np.arange(len(label)), label]
    losses: npt.NDArray[np.float64] = -np.log(np.maximum(of_label, np.finfo(np.float64).tiny))
    return losses


def calibration_error(probability: Probability, label: Label, *, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: the mean distance between confidence and accuracy over bins of the confidence, weighted by their
    videos (Guo et al. 2017). A confidence on the border of two bins belongs to the lower one."""
    confidence, hits = probability.max(1), probability.argmax(1) == label
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    # summed: each is accuracy minus confidence times its videos
    gaps = np.bincount(number, hits - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(label))


def label_rank(probability: Probability, label: Label) -> npt.NDArray[np.int64]:
    """int64 (videos,): 1 if the label is the most probable class, 2 if it is the second, and so on."""
    order = np.argsort(-probability, axis=1, kind="stable")
    ranks: npt.NDArray[np.int64] = (order == label[:, None]).argmax(1) + 1
    return ranks
