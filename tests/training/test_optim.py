import math
from itertools import pairwise

import pytest
import torch

from mgm.errors import ConfigError
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.entry import NetworkOptions
from mgm.training import load_config
from mgm.training.finetune import layer_rates
from mgm.training.optim import Schedule, build_optimiser, build_schedule
from mgm.training.sections import OptimConfig
from tests.errors import raises

SPEC = ModelSpec("debug", patch=8, frames=4, resolution=32)


def optim(**changes):
    return OptimConfig(**{"steps": 100, "batch": 64, "base_lr": 4e-4, **changes})


def test_warm_up_then_cosine_step_by_step():
    plan = Schedule(steps=14, warmup=4, peak=2.0, final=0.5)
    rates = [plan.peak * plan.factor(step) for step in range(15)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert rates[4] == 2.0
    assert rates[9] == pytest.approx((2 + 0.5) / 2)  # half way
    assert rates[14] == pytest.approx(0.5)
    assert rates[13] == pytest.approx(0.5 + 1.5 * 0.5 * (1 + math.cos(0.9 * math.pi)))
    assert all(a > b for a, b in pairwise(rates[4:]))


@pytest.mark.parametrize("warmup", [0, 5])
def test_the_schedule_is_transformers(warmup):
    """Except for its idle first step: their warm-up starts at 0, that of mgm one step later."""
    from transformers import get_cosine_schedule_with_warmup

    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_cosine_schedule_with_warmup(optimiser, warmup, 20).lr_lambdas[0]
    plan = Schedule(steps=20, warmup=warmup, peak=3.0, final=0.0)
    assert [plan.factor(step) for step in range(warmup)] == [theirs(step + 1) for step in range(warmup)]
    after = range(warmup, 21)
    assert [plan.factor(step) for step in after] == pytest.approx([theirs(step) for step in after])


def test_runs_that_only_warm_up_and_runs_that_do_not():
    assert [Schedule(2, 2, 1.0, 0.0).factor(step) for step in (0, 1)] == [0.5, 1.0]
    assert Schedule(3, 0, 1.0, 0.0).factor(0) == 1.0


def test_lengths_in_epochs_and_in_steps():
    plan = build_schedule(optim(steps=None, epochs=10, warmup=1.5, min_lr=1e-4), steps_per_epoch=7)
    assert (plan.steps, plan.warmup) == (70, 10)
    assert plan.peak == pytest.approx(4e-4 * 64 / 256)
    assert plan.final == pytest.approx(1e-4 * 64 / 256)
    plan = build_schedule(optim(warmup=300), steps_per_epoch=7)
    assert (plan.steps, plan.warmup) == (100, 100)


def test_warm_up_stable_decay():
    plan = Schedule(steps=20, warmup=4, peak=2.0, final=0.2, decay_start=12)
    rates = [plan.peak * plan.factor(step) for step in range(21)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert rates[4:13] == [2.0] * 9
    assert rates[14] == pytest.approx(0.2 + 1.8 * (1 - math.sqrt(2 / 8)))
    assert rates[20] == pytest.approx(0.2)
    assert all(a > b for a, b in pairwise(rates[12:]))


def test_the_length_changes_nothing_before_the_decay():
    short, long = (
        build_schedule(optim(steps=steps, schedule="wsd", warmup=5), steps_per_epoch=7) for steps in (50, 400)
    )
    assert (short.decay_start, long.decay_start) == (40, 320)
    assert [short.factor(step) for step in range(41)] == [long.factor(step) for step in range(41)]


def test_a_tenth_after_each_drop():
    """The rates of TimeSformer's configuration: 15 epochs, x.1 after epochs 11 and 14."""
    config = optim(steps=None, epochs=15, schedule="steps", drops=(0.73333333, 0.93333333), base_lr=0.16, batch=8)
    plan = build_schedule(config, steps_per_epoch=1000)
    assert plan.drops == (11_000, 14_000)
    rates = [plan.peak * plan.factor(step) for step in (0, 10_999, 11_000, 13_999, 14_000, 14_999)]
    assert rates == pytest.approx([5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5])
    assert "a tenth after each of 11000, 14000" in plan.summary()


def test_warm_up_from_a_rate_above_zero():
    """PySlowFast's: linear from the first rate to the peak."""
    plan = build_schedule(optim(steps=100, warmup=10, base_lr=0.4, warmup_lr=0.04, batch=256), steps_per_epoch=7)
    rates = [plan.peak * plan.factor(step) for step in range(10)]
    assert rates == pytest.approx([0.04 + 0.036 * (step + 1) for step in range(10)])


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("steps-without-drops", {"schedule": "steps"}, "conflict"),
        ("drops-without-steps", {"drops": [0.5]}, "conflict"),
        ("drops-twice", {"schedule": "steps", "drops": [0.5, 0.5]}, "invalid_value"),
        ("drops-after-the-end", {"schedule": "steps", "drops": [1.5]}, "invalid_value"),
        ("warmup_lr", {"warmup_lr": 1.0}, "invalid_value"),
    ],
)
def test_schedules_that_cannot_be(name, changes, reason):
    settings = [f"pretrain.{key}={value}" for key, value in changes.items()]
    with raises(ConfigError, reason, message=f"schedule-{name}"):
        load_config("debug", settings)


def test_momentum_of_nesterov():
    network = torch.nn.Linear(2, 2)
    for nesterov in (False, True):
        made = build_optimiser(network, optim(optimiser="sgd", nesterov=nesterov), peak=0.1)
        assert made.defaults["nesterov"] is nesterov


def test_a_length_in_clips_is_the_same_for_any_batch():
    for batch in (64, 256):
        plan = build_schedule(optim(steps=None, clips=10_000, warmup=1024, batch=batch), steps_per_epoch=7)
        assert (plan.steps, plan.warmup) == (-(-10_000 // batch), 1024 // batch)


def decays(module, **changes):
    """Name of each trained parameter -> weight decay."""
    optimiser = build_optimiser(module, optim(weight_decay=0.05, **changes), peak=1e-3)
    found = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    return {name: found[id(parameter)] for name, parameter in module.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("make", [MaskedAutoencoder, lambda spec: Classifier(Encoder(spec), 5)])
def test_weight_decay_spares_biases_norms_and_tokens(make):
    module = make(SPEC)
    for name, decay in decays(module).items():
        spared = "norm" in name or name.endswith("bias") or name == "mask_token"
        assert decay == (0 if spared else 0.05), name


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_weight_decay_spares_the_positions_of_every_network(name):
    entry = NETWORKS[name]
    with torch.device("meta"):
        network = entry.build(NetworkOptions(classes=5, labels=None, frames=entry.frames, size=entry.size))
    shapes = {key: parameter.shape for key, parameter in network.named_parameters()}
    for key, decay in decays(network).items():
        last = key.rpartition(".")[2]
        if sum(side > 1 for side in shapes[key]) < 2:
            assert decay == 0, key
        elif last.endswith("weight") or (last.startswith("relative_") and last != "relative_position_bias_table"):
            assert decay == 0.05, key  # MViTv2's authors let its relative positions decay
        else:
            assert decay == 0, key


def test_what_is_frozen_is_left_out():
    module = MaskedAutoencoder(SPEC)
    module.encoder.requires_grad_(False)
    optimiser = build_optimiser(module, optim(), peak=1e-3)
    count = sum(len(group["params"]) for group in optimiser.param_groups)
    assert count == sum(not name.startswith("encoder.") for name, _ in module.named_parameters())


def test_options_reach_the_optimiser():
    optimiser = build_optimiser(MaskedAutoencoder(SPEC), optim(betas=(0.8, 0.7)), peak=1e-3)
    assert optimiser.defaults["betas"] == (0.8, 0.7)
    assert {group["lr"] for group in optimiser.param_groups} == {1e-3}
    # The fused kernel unscales 16-bit gradients itself, and Fabric then refuses to clip them.
    assert optimiser.defaults["fused"]
    assert not build_optimiser(MaskedAutoencoder(SPEC), optim(precision="16-mixed"), peak=1e-3).defaults["fused"]


def test_sgd_steps_as_its_equation_says():
    """v = momentum v + g + decay w; w -= rate v, with the groups of AdamW."""
    module = Classifier(Encoder(SPEC), 5)
    settings = optim(optimiser="sgd", momentum=0.8, weight_decay=0.1)
    optimiser = build_optimiser(module, settings, peak=0.5, layer=layer_rates(depth=2, decay=0.5))
    weights = {name: p.detach().double().clone() for name, p in module.named_parameters()}
    velocity = {name: torch.zeros_like(w) for name, w in weights.items()}
    rate = layer_rates(depth=2, decay=0.5)
    for step in range(3):
        for number, p in enumerate(module.parameters()):
            p.grad = torch.sin(torch.arange(p.numel()) + number + step).reshape(p.shape)
        gradients = {name: p.grad.double() for name, p in module.named_parameters()}
        optimiser.step()
        for name, w in weights.items():
            decay = 0.0 if w.squeeze().ndim < 2 else 0.1
            velocity[name] = 0.8 * velocity[name] + gradients[name] + decay * w
            w -= 0.5 * rate(name) * velocity[name]
    for name, p in module.named_parameters():
        torch.testing.assert_close(p.detach().double(), weights[name], rtol=1e-5, atol=1e-6)


def test_layer_decay():
    rate = layer_rates(depth=12, decay=0.75)
    assert rate("encoder.patch_embed.weight") == pytest.approx(0.75**13)
    assert rate("encoder.blocks.0.attn.qkv.weight") == pytest.approx(0.75**12)
    assert rate("encoder.blocks.11.mlp.fc2.bias") == pytest.approx(0.75)
    assert rate("fc_norm.weight") == rate("head.bias") == 1


def test_layer_decay_reaches_the_groups():
    module = Classifier(Encoder(SPEC), 5)
    optimiser = build_optimiser(module, optim(), peak=1.0, layer=layer_rates(depth=2, decay=0.5))
    found = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    rates = {name: found[id(parameter)] for name, parameter in module.named_parameters()}
    assert len(rates) == len(found)
    assert rates["encoder.patch_embed.bias"] == 0.125
    assert rates["encoder.blocks.0.norm1.weight"] == 0.25
    assert rates["encoder.blocks.1.attn.q_bias"] == 0.5
    assert rates["head.weight"] == 1
