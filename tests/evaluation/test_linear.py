import numpy as np
import pytest
import torch

from mgm.evaluation.linear import LINEAR_PROTOCOLS, Lars, linear_probe, trained_linear_probe
from mgm.evaluation.views import average_views
from mgm.models.logistic import logistic_regression, standardised
from tests.evaluation.banks import accuracy, bank, every_fifth

CLASSES = 4
NAMES = ["linear", *LINEAR_PROTOCOLS]


def run_probe(name, train_bank, test_bank):
    (train, _), (test, _) = train_bank, test_bank
    if name == "linear":
        return linear_probe(train, test, classes=CLASSES, held=every_fifth(train))
    return trained_linear_probe(train, test, classes=CLASSES, protocol=LINEAR_PROTOCOLS[name], seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_labels_in_the_features_are_found(name):
    train = bank(videos=80, views=1, classes=CLASSES, signal=4, seed=0)
    test = bank(videos=40, views=3, classes=CLASSES, signal=4, seed=1)
    probability = run_probe(name, train, test)
    assert probability.shape == (40, CLASSES)
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
    assert accuracy(probability, test) >= 0.95


@pytest.mark.parametrize("name", NAMES)
def test_noise_scores_at_chance(name):
    train = bank(videos=80, views=1, classes=CLASSES, signal=0, seed=0)
    test = bank(videos=400, views=1, classes=CLASSES, signal=0, seed=1)
    assert 0.17 <= accuracy(run_probe(name, train, test), test) <= 0.33  # 3.7 standard errors around 1/4


@pytest.mark.parametrize("name", NAMES)
def test_a_probe_repeats_and_leaves_the_generator_alone(name):
    train = bank(videos=24, views=2, classes=CLASSES, signal=1, seed=0)
    test = bank(videos=12, views=1, classes=CLASSES, signal=1, seed=1)
    before = torch.get_rng_state()
    first = run_probe(name, train, test)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    np.testing.assert_array_equal(first, run_probe(name, train, test))


@pytest.mark.parametrize("decay", [1e-3, 1e-1])
def test_logistic_regression_is_that_of_scikit_learn(decay):
    linear_model = pytest.importorskip("sklearn.linear_model")
    (train, _), (test, _) = (bank(videos=60, views=2, classes=CLASSES, signal=1, seed=seed) for seed in (0, 1))
    features, queries = standardised(train.pooled, test.pooled)
    labels = train.label[train.owner]
    weight, bias = logistic_regression(features, labels, CLASSES, decay)
    # Its objective is the sum of the cross-entropies + |W|^2 / 2 C.
    peer = linear_model.LogisticRegression(C=1 / (2 * decay * len(labels)), tol=1e-8, max_iter=2000)
    peer.fit(features.double().numpy(), labels.numpy())
    expected = peer.predict_proba(queries.double().numpy())
    np.testing.assert_allclose((queries @ weight + bias).softmax(-1), expected, atol=2e-3)
    of_videos = average_views(torch.from_numpy(expected), test.owner, 60)
    np.testing.assert_allclose(
        average_views((queries @ weight + bias).softmax(-1), test.owner, 60), of_videos, atol=2e-3
    )


def test_lars_by_hand():
    weight, bias = torch.nn.Parameter(torch.tensor([[3.0, 4.0]])), torch.nn.Parameter(torch.tensor([1.0]))
    optimiser = Lars([weight, bias], lr=0.5, weight_decay=0.0, momentum=0.9, trust=0.001)
    weight.grad, bias.grad = torch.tensor([[0.0, 2.0]]), torch.tensor([2.0])
    optimiser.step()
    torch.testing.assert_close(weight.data, torch.tensor([[3.0, 4 - 0.5 * 0.001 * 5]]))  # |w| = 5, |g| = 2
    torch.testing.assert_close(bias.data, torch.tensor([0.0]))
    bias.grad = torch.tensor([0.0])
    weight.grad = torch.zeros(1, 2)
    optimiser.step()  # the velocity goes on
    torch.testing.assert_close(bias.data, torch.tensor([-0.9]))


def test_without_videos_to_hold_out_the_probe_still_trains():
    train = bank(videos=8, views=1, classes=CLASSES, signal=4, seed=0)
    none = torch.zeros(8, dtype=torch.bool)
    assert accuracy(linear_probe(train[0], train[0], classes=CLASSES, held=none), train) == 1
