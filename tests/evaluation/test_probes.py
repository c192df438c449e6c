from dataclasses import replace

import numpy as np
import pytest
import torch

from mgm.evaluation.probes import (
    TEMPERATURE,
    AttentiveProbe,
    attentive_probe,
    linear_probe,
    nearest_neighbours,
    train_attentive_probe,
)
from mgm.training.sections import ProbeConfig
from tests.evaluation.banks import bank, bank_of

CONFIG = ProbeConfig(steps=80, batch=32, lr=3e-3)
CLASSES = 4


def run_probe(name, train_bank, test_bank, classes=CLASSES):
    """Class probabilities from one of the three probes; a bank is a pair of features and tokens."""
    (train, train_tokens), (test, test_tokens) = train_bank, test_bank
    if name == "attentive":
        pooler = train_attentive_probe(train, train_tokens, dim=16, classes=classes, heads=2, config=CONFIG, seed=0)
        with torch.no_grad():
            return attentive_probe(replace(test, logits=pooler(test_tokens)))
    if name == "linear":
        return linear_probe(train, test, classes=classes)
    return nearest_neighbours(train, test, classes=classes, k=5)


def accuracy(probability, bank):
    return (probability.argmax(1) == bank[0].label.numpy()).mean()


@pytest.mark.parametrize("name", ["attentive", "linear", "k-NN"])
def test_labels_in_the_features_are_found(name):
    train = bank(videos=80, views=1, classes=CLASSES, signal=4, seed=0)
    test = bank(videos=40, views=3, classes=CLASSES, signal=4, seed=1)
    probability = run_probe(name, train, test)
    assert probability.shape == (40, CLASSES)
    assert probability.dtype == np.float64
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
    assert accuracy(probability, test) >= 0.95


@pytest.mark.parametrize("name", ["attentive", "linear", "k-NN"])
def test_noise_scores_at_chance(name):
    train = bank(videos=80, views=1, classes=CLASSES, signal=0, seed=0)
    test = bank(videos=400, views=1, classes=CLASSES, signal=0, seed=1)
    assert 0.17 <= accuracy(run_probe(name, train, test), test) <= 0.33  # 3.7 standard errors around 1/4


@pytest.mark.parametrize("name", ["attentive", "linear", "k-NN"])
def test_a_probe_repeats_and_leaves_the_generator_alone(name):
    train = bank(videos=24, views=2, classes=CLASSES, signal=1, seed=0)
    test = bank(videos=12, views=1, classes=CLASSES, signal=1, seed=1)
    before = torch.get_rng_state()
    first = run_probe(name, train, test)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    np.testing.assert_array_equal(first, run_probe(name, train, test))


def marked_bank(*, videos, seed):
    """Two classes whose tokens have the same mean: the marked channels agree on the tokens of one class only."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(videos) % 2
    tokens = 0.05 * torch.randn(videos, 4, 16, generator=generator)
    tokens[:, :2, 0] += 3
    tokens[:, 2:, 0] -= 3
    agree = label[:, None] == 1
    tokens[:, :2, 1] += torch.where(agree, 3.0, torch.tensor([3.0, -3.0]))
    tokens[:, 2:, 1] -= torch.where(agree, 3.0, torch.tensor([3.0, -3.0]))
    return bank_of(tokens, torch.arange(videos), label)


def test_attention_uses_what_the_mean_loses():
    train, test = marked_bank(videos=64, seed=0), marked_bank(videos=40, seed=1)
    assert accuracy(run_probe("attentive", train, test, 2), test) >= 0.95
    assert accuracy(run_probe("linear", train, test, 2), test) <= 0.75


def test_the_pooler_ignores_the_order_of_tokens():
    torch.manual_seed(0)
    pooler = AttentiveProbe(16, 2, 3)
    tokens = torch.randn(5, 7, 16)
    torch.testing.assert_close(pooler(tokens), pooler(tokens[:, torch.randperm(7)]))
    assert pooler(tokens).shape == (5, 3)


def test_neighbours_by_brute_force():
    train, _ = bank(videos=20, views=2, classes=3, signal=1, seed=0)
    test, _ = bank(videos=7, views=3, classes=3, signal=1, seed=1)
    features, queries = train.pooled.numpy(), test.pooled.numpy()
    centre = features.mean(0)
    features, queries = features - centre, queries - centre
    expected = np.zeros((7, 3))
    for view, query in enumerate(queries):
        cosine = features @ query / np.linalg.norm(features, axis=1) / np.linalg.norm(query)
        votes = np.zeros(3)
        for neighbour in np.argsort(-cosine)[:6]:
            votes[train.label[train.owner[neighbour]]] += np.exp(cosine[neighbour] / TEMPERATURE)
        expected[test.owner[view]] += votes / votes.sum() / 3
    np.testing.assert_allclose(nearest_neighbours(train, test, classes=3, k=6), expected, atol=1e-4)
    whole = nearest_neighbours(train, test, classes=3, k=1000)  # more than the bank contains
    np.testing.assert_allclose(whole.sum(1), 1, rtol=1e-5)


def test_the_nearest_neighbour_of_a_clip_is_itself():
    train = bank(videos=20, views=1, classes=4, signal=0, seed=0)
    assert accuracy(nearest_neighbours(train[0], train[0], classes=4, k=1), train) == 1
