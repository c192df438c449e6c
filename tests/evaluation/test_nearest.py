import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mgm.evaluation import nearest
from mgm.evaluation.nearest import TEMPERATURE, nearest_neighbours, usable_neighbours
from mgm.evaluation.views import average_views
from tests.evaluation.banks import accuracy, bank


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
    found = nearest_neighbours(train, test, classes=3, neighbours=[6, 1000])
    np.testing.assert_allclose(found[6], expected, atol=1e-4)
    np.testing.assert_allclose(found[1000].sum(1), 1, rtol=1e-5)  # more than the bank contains


@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_neighbours_are_those_of_scikit_learn(k):
    neighbors = pytest.importorskip("sklearn.neighbors")
    train, _ = bank(videos=40, views=2, classes=4, signal=1, seed=0)
    test, _ = bank(videos=30, views=3, classes=4, signal=1, seed=1)
    centre = train.pooled.mean(0)
    peer = neighbors.KNeighborsClassifier(
        k, metric="cosine", algorithm="brute", weights=lambda distance: np.exp((1 - distance) / TEMPERATURE)
    )
    peer.fit((train.pooled - centre).numpy(), train.label[train.owner].numpy())
    expected = average_views(torch.from_numpy(peer.predict_proba((test.pooled - centre).numpy())), test.owner, 30)
    found = nearest_neighbours(train, test, classes=4, neighbours=[1, 5, 10, 20])[k]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_every_k_is_the_one_found_alone():
    train, _ = bank(videos=40, views=1, classes=4, signal=1, seed=0)
    test, _ = bank(videos=30, views=1, classes=4, signal=1, seed=1)
    together = nearest_neighbours(train, test, classes=4, neighbours=[1, 7, 30])
    for k, found in together.items():
        np.testing.assert_allclose(found, nearest_neighbours(train, test, classes=4, neighbours=[k])[k], rtol=1e-6)


def test_labels_are_found_and_noise_is_not():
    for signal, low, high in ((4, 0.95, 1.0), (0, 0.17, 0.33)):
        train = bank(videos=80, views=1, classes=4, signal=signal, seed=0)
        test = bank(videos=400, views=1, classes=4, signal=signal, seed=1)
        assert low <= accuracy(nearest_neighbours(train[0], test[0], classes=4, neighbours=[5])[5], test) <= high


def test_the_nearest_neighbour_of_a_clip_is_itself():
    train = bank(videos=20, views=1, classes=4, signal=0, seed=0)
    assert accuracy(nearest_neighbours(train[0], train[0], classes=4, neighbours=[1])[1], train) == 1
    assert F.normalize(train[0].pooled - train[0].pooled.mean(0), dim=1).shape == (20, 16)


def test_no_more_neighbours_than_clips():
    assert usable_neighbours((1, 5, 20, 200), 60) == (1, 5, 20)
    assert usable_neighbours((20, 200), 8) == (20,)


def test_blocks_of_the_bank_find_the_same_neighbours(monkeypatch):
    train, _ = bank(videos=40, views=2, classes=4, signal=1, seed=0)
    test, _ = bank(videos=30, views=2, classes=4, signal=1, seed=1)
    whole = nearest_neighbours(train, test, classes=4, neighbours=[1, 9, 200])
    for size in (1, 7, 80):
        monkeypatch.setattr(nearest, "_BANK_AT_ONCE", size)
        for k, found in nearest_neighbours(train, test, classes=4, neighbours=[1, 9, 200]).items():
            np.testing.assert_allclose(found, whole[k], rtol=1e-5, atol=1e-7)
