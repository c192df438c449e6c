"""Muon with AdamW as one optimiser: who takes which parameter, its step, its state, and a run that resumes."""

import copy

import pytest
import torch

from mgm.errors import ConfigError
from mgm.models import Classifier, Encoder, MaskedAutoencoder
from mgm.training.finetune import layer_rates
from mgm.training.muon import KIND
from mgm.training.optim import build_optimiser
from tests.errors import raises
from tests.training.helpers import same_weights
from tests.training.test_optim import SPEC, optim


def gradients(module, step):
    for number, p in enumerate(module.parameters()):
        p.grad = torch.sin(torch.arange(p.numel()) * 1.7 + number + step).reshape(p.shape)


def made(module, **changes):
    return build_optimiser(module, optim(optimiser="muon", weight_decay=0.1, **changes), peak=0.01)


def test_muon_takes_the_matrices_of_the_blocks():
    module = MaskedAutoencoder(SPEC)
    kinds = {id(p): group[KIND] for group in made(module).param_groups for p in group["params"]}
    for name, p in module.named_parameters():
        inside = ".blocks." in name and name.endswith(("qkv.weight", "proj.weight", "fc1.weight", "fc2.weight"))
        assert kinds[id(p)] == ("muon" if inside else "adamw"), name


def test_the_step_is_that_of_its_equation():
    """The direction is the nearest orthogonal matrix, found here by a singular value decomposition, about as long as AdamW's."""
    module = Classifier(Encoder(SPEC), 5)
    optimiser = build_optimiser(
        module, optim(optimiser="muon", weight_decay=0.0), peak=0.5, layer=layer_rates(depth=2, decay=0.5)
    )
    name, weight = next((n, p) for n, p in module.named_parameters() if n.endswith("blocks.0.mlp.fc1.weight"))
    before = weight.detach().clone()
    torch.manual_seed(0)
    for p in module.parameters():
        p.grad = torch.randn_like(p)
    momentum = weight.grad * (1 - 0.95)
    u, _, v = torch.linalg.svd(weight.grad.lerp(momentum, 0.95), full_matrices=False)
    optimiser.step()
    step = (before - weight.detach()) / (0.5 * layer_rates(depth=2, decay=0.5)(name))
    expected = 0.2 * max(weight.shape) ** 0.5 * (u @ v)
    cosine = torch.nn.functional.cosine_similarity(step.flatten(), expected.flatten(), dim=0)
    assert cosine > 0.95
    assert step.square().mean().sqrt() == pytest.approx(0.2, rel=0.25)


def test_vectors_step_as_those_of_adamw():
    module = MaskedAutoencoder(SPEC)
    other = copy.deepcopy(module)
    ours, theirs = made(module), build_optimiser(other, optim(weight_decay=0.1), peak=0.01)
    for step in range(3):
        for network, optimiser in ((module, ours), (other, theirs)):
            gradients(network, step)
            optimiser.step()
    twin = dict(other.named_parameters())
    same = {name for name, p in module.named_parameters() if torch.equal(p, twin[name])}
    assert same == {name for name, p in module.named_parameters() if p.ndim != 2 or ".blocks." not in name}


def test_a_loaded_state_goes_on_where_it_was():
    module = MaskedAutoencoder(SPEC)
    optimiser = made(module)
    gradients(module, 0)
    optimiser.step()
    twin = copy.deepcopy(module)
    other = made(twin)
    other.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for group in (*optimiser.param_groups, *other.param_groups):
        group["lr"] = 0.003  # as a schedule does, after loading
    for network, each in ((module, optimiser), (twin, other)):
        gradients(network, 1)
        each.step()
    assert same_weights(module, twin)


def test_a_run_resumes(run, small):
    config = small("pretrain.optimiser=muon", "pretrain.steps=6", "pretrain.checkpoint_every=2")
    whole = run(config, "whole")

    def stop(line):
        if line.startswith("step 4 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, "part", progress=stop)
    resumed = run(config, "part", resume="auto")
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)


def test_what_muon_needs(monkeypatch):
    with raises(ConfigError, "conflict", message="muon-without-blocks"):
        made(torch.nn.Linear(2, 2))
    monkeypatch.delattr(torch.optim, "Muon")
    monkeypatch.setattr(torch, "__version__", "2.6.0")
    with raises(ConfigError, "missing_package", message="muon-of-an-old-torch"):
        made(MaskedAutoencoder(SPEC))
