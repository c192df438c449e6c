"""The model on its devices: moving average, compiled, in 16 bits; parameter groups as the reference's."""

import re
import shutil

import pytest
import torch
from lightning_fabric.plugins import MixedPrecision

from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.training import load_checkpoint, load_config, load_encoder
from mgm.training.engine import MovingAverage
from mgm.training.fabric import Fabric
from mgm.training.finetune import Finetuning
from mgm.training.pretrain import Pretraining
from mgm.training.sections import FinetuneConfig, OptimConfig
from tests.training.helpers import newest, raising, same_weights


def test_a_moving_average_step_by_step():
    module = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.constant_(module.weight, 1.0)
    average = MovingAverage(0.75, module)
    expected = 1.0
    for value in (3.0, -1.0, 2.0):
        torch.nn.init.constant_(module.weight, value)
        average.update()
        expected = 0.75 * expected + 0.25 * value
        assert average.state_dict()["weight"].tolist() == [[pytest.approx(expected)] * 2]
    assert module.weight[0, 0] == 2.0


def test_the_average_is_the_model_of_the_run(run, small, memory):
    config = small("pretrain.ema=0.5", "pretrain.checkpoint_every=2")
    whole = run(config, "whole")
    content = load_checkpoint(whole.out)
    assert any(not torch.equal(content["ema"][name], content["model"][name]) for name in content["ema"])
    assert all(torch.equal(value, content["ema"][name]) for name, value in whole.model.state_dict().items())
    for place in (whole.out, newest(whole.out) / "ema.safetensors"):
        assert same_weights(load_encoder(place), whole.model.encoder)
    assert not same_weights(load_encoder(newest(whole.out) / "weights.safetensors"), whole.model.encoder)
    plain = run(small("pretrain.checkpoint_every=2"), "plain")
    assert all(torch.equal(content["model"][name], value) for name, value in plain.model.state_dict().items())
    with pytest.raises(RuntimeError):
        run(config, source=raising(memory, RuntimeError, at=19))
    assert same_weights(run(config, resume=True).model, whole.model)


def test_an_average_may_begin_later(run, small):
    out = run(small("pretrain.steps=4")).out
    averaged = run(small("pretrain.ema=0.5"), resume=True, change=["pretrain.ema"]).model.state_dict()
    content = load_checkpoint(out)
    assert any(not torch.equal(averaged[name], value) for name, value in content["model"].items())


@pytest.fixture
def in_16_bits(monkeypatch):
    """Train with float16 and its scaler on the CPU, which Fabric's own choice of precision does not support."""

    def make_fabric(precision, *, sharded):
        scaled = MixedPrecision("16-mixed", device="cpu", scaler=torch.amp.GradScaler("cpu", init_scale=2.0**10))
        return Fabric(accelerator="cpu", devices=1, plugins=scaled)

    monkeypatch.setattr("mgm.training.run.make_fabric", make_fabric)


def test_the_scale_of_16_bit_gradients_resumes(run, small, memory, in_16_bits):
    config = small("pretrain.precision=16-mixed", "pretrain.checkpoint_every=2", "pretrain.clip_grad=1")
    whole = run(config, "whole")
    assert load_checkpoint(whole.out)["precision"]["scale"] == 2.0**10
    assert load_checkpoint(whole.out)["precision"]["_growth_tracker"] == 6
    with pytest.raises(RuntimeError):
        run(config, source=raising(memory, RuntimeError, at=19))
    resumed = run(config, resume=True)
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)


def test_a_run_of_32_bits_goes_on_in_16(run, small, request):
    exact = run(small("pretrain.steps=4")).history.losses
    request.getfixturevalue("in_16_bits")
    both = run(small("pretrain.precision=16-mixed"), resume=True, change=["pretrain.precision"])
    assert both.history.losses[:4] == exact
    assert load_checkpoint(both.out)["precision"]["scale"] == 2.0**10


def test_16_bits_train_as_32_do(run, small, request):
    exact = run(small(), "exact").history.losses
    rounded = run(small("pretrain.precision=bf16-mixed"), "bf16").history.losses
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.02)
    request.getfixturevalue("in_16_bits")
    half = run(small("pretrain.precision=16-mixed"), "fp16").history.losses
    assert exact != half != rounded
    assert half == pytest.approx(exact, rel=0.02)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_run_is_that_of_eager_mode(run, small):
    eager = run(small("pretrain.steps=3"), "eager")
    compiled = run(small("pretrain.steps=3", "pretrain.compile=true"), "compiled")
    assert compiled.history.losses == pytest.approx(eager.history.losses, rel=1e-4)
    assert load_checkpoint(compiled.out)["model"].keys() == load_checkpoint(eager.out)["model"].keys()


def test_accumulation_communicates_once_a_step(run, small, monkeypatch):
    held = []
    hold = Fabric.no_backward_sync

    def counted(fabric, module, enabled=True):
        held.append(enabled)
        return hold(fabric, module, enabled)

    monkeypatch.setattr(Fabric, "no_backward_sync", counted)
    run(small("pretrain.micro_batch=1", "pretrain.steps=3"))
    assert held == [True] * 3 * 3  # all but the last of the four micro-batches of a step


# Rules of the reference implementations, as its code groups parameters by name.
def no_decay(name, shape):
    """`len(shape) == 1`, a bias, or listed: position embeddings, class and mask tokens."""
    return len(shape) == 1 or name.endswith("bias") or re.search(r"pos_embed|position_|class_token|mask_token", name)


def layer_of(name, depth):
    """0: embeddings; k + 1: block k; depth + 1: the rest."""
    if re.match(r"encoder\.(patch_embed|class_token|position_)", name):
        return 0
    block = re.match(r"encoder\.blocks\.(\d+)\.", name)
    return int(block[1]) + 1 if block else depth + 1


def groups(method, peak=1.0):
    """Parameter name -> (learning rate, weight decay)."""
    optimiser = method.build_optimiser(peak)
    found = {id(p): (group["lr"], group["weight_decay"]) for group in optimiser.param_groups for p in group["params"]}
    return {name: found[id(parameter)] for name, parameter in method.module.named_parameters()}


@pytest.mark.parametrize("size", ["debug", "tiny", "S", "B", "L", "H"])
def test_parameter_groups_are_those_of_the_reference(size):
    with torch.device("meta"):
        spec = ModelSpec(size, frames=16, resolution=224)
        config = load_config("debug").model_copy(
            update={
                "pretrain": OptimConfig(steps=1, weight_decay=0.05),
                "finetune": FinetuneConfig(steps=1, weight_decay=0.05, layer_decay=0.7),
            }
        )
        pretraining = Pretraining(MaskedAutoencoder(spec), config)
        finetuning = Finetuning(Classifier(Encoder(spec), 10), config, ("a",), False, None)
    found = groups(pretraining)
    for name, parameter in pretraining.module.named_parameters():
        assert found[name] == (1.0, 0.0 if no_decay(name, parameter.shape) else 0.05), name
    found, depth = groups(finetuning), len(finetuning.module.encoder.blocks)
    for name, parameter in finetuning.module.named_parameters():
        rate, decay = found[name]
        assert rate == pytest.approx(0.7 ** (depth + 1 - layer_of(name, depth))), name
        assert decay == (0.0 if no_decay(name, parameter.shape) else 0.05), name
