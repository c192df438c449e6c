"""Muon with AdamW as one optimiser: who takes which parameter, its step, its state, and a run that resumes."""

import copy

import pytest
import torch

from mgm.errors import ConfigError
from mgm.models import Classifier, Encoder, MaskedAutoencoder
from mgm.training.finetune import layer_rates
from mgm.training.muon import KIND, is_hidden_matrix, orthogonalise
from mgm.training.optim import build_optimiser
from tests.errors import raises
from tests.training.helpers import same_weights
from tests.training.test_optim import SPEC, optim


def gradients(module, step):
    random = torch.Generator().manual_seed(step)
    for p in module.parameters():
        p.grad = torch.randn(p.shape, generator=random)


def made(module, **changes):
    return build_optimiser(module, optim(optimiser="muon", weight_decay=0.1, **changes), peak=0.01)


def test_muon_takes_the_matrices_of_the_blocks():
    module = MaskedAutoencoder(SPEC)
    kinds = {id(p): group[KIND] for group in made(module).param_groups for p in group["params"]}
    for name, p in module.named_parameters():
        inside = ".blocks." in name and name.endswith(("qkv.weight", "proj.weight", "fc1.weight", "fc2.weight"))
        assert kinds[id(p)] == ("muon" if inside else "adamw"), name


@pytest.mark.parametrize("shape", [(24, 24), (8, 40), (40, 8)])
def test_the_direction_is_nearly_the_nearest_orthogonal_matrix(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalise(matrix)
    assert torch.linalg.svdvals(found).sub(1).abs().max() < 0.5
    assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), dim=0) > 0.95


def test_steps_are_those_of_torch():
    """Whose Muon, from 2.9 on, computes in bfloat16."""
    if not hasattr(torch.optim, "Muon"):
        pytest.skip(f"torch {torch.__version__} has no Muon")
    module = Classifier(Encoder(SPEC), 5)
    other = copy.deepcopy(module)
    ours = build_optimiser(
        module, optim(optimiser="muon", weight_decay=0.1), peak=0.01, layer=layer_rates(depth=2, decay=0.5)
    )
    matrices = {n: p for n, p in other.named_parameters() if is_hidden_matrix(n, p)}
    rates = layer_rates(depth=2, decay=0.5)
    groups = [{"params": [p], "lr": 0.01 * rates(n)} for n, p in matrices.items()]
    theirs = torch.optim.Muon(groups, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    before = {name: value.detach().clone() for name, value in matrices.items()}
    for step in range(3):
        for network, optimiser in ((module, ours), (other, theirs)):
            gradients(network, step)
            optimiser.step()
    found = dict(module.named_parameters())
    for name, value in matrices.items():
        moved = value.detach() - before[name]
        assert (found[name].detach() - value.detach()).norm() < 0.03 * moved.norm(), name


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


def test_what_muon_needs():
    with raises(ConfigError, "conflict", message="muon-without-blocks"):
        made(torch.nn.Linear(2, 2))
