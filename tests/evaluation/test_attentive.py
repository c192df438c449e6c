from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mgm.evaluation.attentive import (
    AttentiveProbe,
    AttentiveSetting,
    ProbeShape,
    attentive_probe,
    choose_attentive_probe,
    train_attentive_probes,
)
from mgm.training.sections import ProbeConfig
from tests.evaluation.banks import accuracy, bank, bank_of, every_fifth

CLASSES = 4
CONFIG = ProbeConfig(steps=80, batch=32, lr=3e-3, weight_decay=0.05)


def run_probe(train_bank, test_bank, classes=CLASSES, config=CONFIG, depth=1):
    """The chosen probe, and class probabilities of the test bank."""
    (train, train_tokens), (test, test_tokens) = train_bank, test_bank
    shape = ProbeShape(16, 2, classes, depth)
    chosen = choose_attentive_probe(train, train_tokens, shape=shape, config=config, seed=0, held=every_fifth(train))
    with torch.no_grad():
        return chosen, attentive_probe(replace(test, logits=chosen.probe(test_tokens)))


@pytest.mark.parametrize("depth", [1, 4])
def test_labels_in_the_tokens_are_found(depth):
    train = bank(videos=80, views=1, classes=CLASSES, signal=4, seed=0)
    test = bank(videos=40, views=3, classes=CLASSES, signal=4, seed=1)
    _, probability = run_probe(train, test, depth=depth)
    assert probability.shape == (40, CLASSES)
    assert probability.dtype == np.float64
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
    assert accuracy(probability, test) >= 0.95


def test_noise_scores_at_chance():
    train = bank(videos=80, views=1, classes=CLASSES, signal=0, seed=0)
    test = bank(videos=400, views=1, classes=CLASSES, signal=0, seed=1)
    assert 0.17 <= accuracy(run_probe(train, test)[1], test) <= 0.33  # 3.7 standard errors around 1/4


def test_a_probe_repeats_and_leaves_the_generator_alone():
    train = bank(videos=24, views=2, classes=CLASSES, signal=1, seed=0)
    test = bank(videos=12, views=1, classes=CLASSES, signal=1, seed=1)
    before = torch.get_rng_state()
    _, first = run_probe(train, test)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    np.testing.assert_array_equal(first, run_probe(train, test)[1])


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
    assert torch.allclose(train[0].pooled[:, :2], torch.zeros(64, 2), atol=0.1)
    assert accuracy(run_probe(train, test, 2)[1], test) >= 0.95


def test_the_pooler_ignores_the_order_of_tokens():
    torch.manual_seed(0)
    pooler = AttentiveProbe(16, 2, 3)
    tokens = torch.randn(5, 7, 16)
    torch.testing.assert_close(pooler(tokens), pooler(tokens[:, torch.randperm(7)]))
    assert pooler(tokens).shape == (5, 3)


@pytest.mark.parametrize("depth", [1, 3])
def test_the_folded_query_is_multi_head_attention(depth):
    """The peer: torch's own attention of one query to the keys and values of normed tokens."""
    torch.manual_seed(0)
    probe = AttentiveProbe(16, 2, 3, depth=depth)
    pooler = probe.pooler
    nn.init.normal_(pooler.gain)
    nn.init.normal_(pooler.shift)
    tokens = F.layer_norm(torch.randn(5, 7, 16), (16,))
    seen = tokens
    for block in probe.blocks:
        seen = block(seen)
    seen = F.layer_norm(seen, (16,)) * pooler.gain + pooler.shift
    weights = torch.cat([torch.eye(16), pooler.key.weight, pooler.value.weight])
    biases = torch.cat([torch.zeros(32), pooler.value.bias])
    query = pooler.query.expand(1, 5, 16)
    found, _ = F.multi_head_attention_forward(
        query, seen.transpose(0, 1), seen.transpose(0, 1), 16, 2, weights, biases, None, None, False, 0.0,
        torch.eye(16), None, need_weights=False,
    )  # fmt: skip
    summary = found[0] + pooler.mlp(pooler.mlp_norm(found[0]))
    torch.testing.assert_close(probe(tokens), probe.head(summary), rtol=1e-4, atol=1e-5)


def test_probes_side_by_side_equal_those_trained_alone():
    train, tokens = bank(videos=40, views=2, classes=CLASSES, signal=1, seed=0)
    settings = [AttentiveSetting(3e-3, 0.0), AttentiveSetting(1e-3, 0.5), AttentiveSetting(3e-3, 0.5)]
    options = {"shape": ProbeShape(16, 2, CLASSES), "config": CONFIG, "seed": 0}
    views = torch.arange(80)
    together = train_attentive_probes(train, tokens, views, settings, **options)
    for setting, probe in zip(settings, together, strict=True):
        (alone,) = train_attentive_probes(train, tokens, views, [setting], **options)
        assert all(torch.equal(a, b) for a, b in zip(probe.parameters(), alone.parameters(), strict=True))
    assert not torch.equal(together[0].pooler.query, together[2].pooler.query)


def test_the_best_setting_is_chosen_on_held_out_training_videos():
    train = bank(videos=80, views=2, classes=CLASSES, signal=3, seed=0)
    test = bank(videos=40, views=1, classes=CLASSES, signal=3, seed=1)
    grid = ProbeConfig(steps=80, batch=32, lr=[1e-7, 3e-3], weight_decay=[0.0, 0.1])
    chosen, probability = run_probe(train, test, config=grid)
    assert [(one.lr, one.weight_decay) for one in chosen.tried] == [(1e-7, 0), (1e-7, 0.1), (3e-3, 0), (3e-3, 0.1)]
    assert chosen.setting.lr == 3e-3
    assert chosen.setting.held_out == max(one.held_out for one in chosen.tried) >= 0.9
    alone = ProbeConfig(steps=80, batch=32, lr=3e-3, weight_decay=chosen.setting.weight_decay)
    np.testing.assert_array_equal(probability, run_probe(train, test, config=alone)[1])  # on all videos again
