"""Figures of class probabilities, beside scikit-learn's and torchmetrics' of the same ones."""

import numpy as np
import pytest

from mgm.evaluation.classification import (
    calibration_error,
    confusion_matrix,
    label_rank,
    log_loss,
    mean_class_accuracy,
)
from mgm.evaluation.metrics import top_k_hits


@pytest.fixture
def answers():
    """Probabilities of 300 videos of 7 classes, one of which has no video."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 6, 300)
    logits = rng.normal(size=(300, 7)) + 1.5 * np.eye(7)[label] * rng.random((300, 1))
    probability = np.exp(logits)
    return probability / probability.sum(1, keepdims=True), label


def test_by_hand():
    probability, label = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]]), np.array([0, 1, 1, 1])
    assert confusion_matrix(probability, label).tolist() == [[1, 0], [1, 2]]
    assert mean_class_accuracy(confusion_matrix(probability, label)) == pytest.approx((1 + 2 / 3) / 2)
    np.testing.assert_allclose(log_loss(probability, label), -np.log([0.9, 0.4, 0.8, 0.7]))
    assert label_rank(probability, label).tolist() == [1, 2, 1, 1]
    # Bins of a tenth, each with one video: |1 - .9|, |0 - .6|, |1 - .8|, |1 - .7|
    assert calibration_error(probability, label, bins=10) == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4)
    # One bin: accuracy .75, confidence .75
    assert calibration_error(probability, label, bins=1) == pytest.approx(0)


def test_a_probability_of_zero_has_a_finite_loss():
    (loss,) = log_loss(np.array([[1.0, 0.0]]), np.array([1]))
    assert 700 < loss < 710


def test_scikit_learn_agrees(answers):
    peer = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    probability, label = answers
    predicted, classes = probability.argmax(1), list(range(7))
    confusion = confusion_matrix(probability, label)
    np.testing.assert_array_equal(confusion, peer.confusion_matrix(label, predicted, labels=classes))
    assert mean_class_accuracy(confusion) == pytest.approx(
        peer.recall_score(label, predicted, labels=range(6), average="macro")
    )
    assert log_loss(probability, label).mean() == pytest.approx(peer.log_loss(label, probability, labels=classes))
    for k in (1, 3, 5):
        expected = peer.top_k_accuracy_score(label, probability, k=k, labels=classes)
        assert top_k_hits(probability, label, k).mean() == pytest.approx(expected)


def test_torchmetrics_agrees(answers):
    peer = pytest.importorskip("torchmetrics.functional.classification", reason="torchmetrics is not installed")
    import torch

    probability, label = (torch.from_numpy(array) for array in answers)
    own = calibration_error(*answers, bins=15)
    expected = peer.multiclass_calibration_error(probability, label, num_classes=7, n_bins=15, norm="l1")
    assert own == pytest.approx(float(expected), rel=1e-5)
    expected = peer.multiclass_accuracy(probability, label, num_classes=7, top_k=5, average="micro")
    assert top_k_hits(*answers, 5).mean() == pytest.approx(float(expected))
    np.testing.assert_array_equal(
        confusion_matrix(*answers), peer.multiclass_confusion_matrix(probability, label, num_classes=7)
    )
