"""Models with swapped modules, compared with the same models of plain PyTorch."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import nn
from torch._dynamo.backends.common import aot_autograd

import mgm
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.models.accelerate import accelerate_cpu
from tests.models.accelerate.operations import decoded_clip

linear_module = sys.modules["mgm.models.accelerate.linear"]


def steps(model, spec, compiled=False):
    """Losses of three steps."""
    torch.manual_seed(0)
    run = torch.compile(model) if compiled else model
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    video = torch.randint(0, 256, (2, *spec.video_shape[1:], 3), dtype=torch.uint8).permute(0, 4, 1, 2, 3)
    mask = torch.arange(spec.tokens).remainder(4).ne(0).expand(2, -1)
    losses = []
    for _ in range(3):
        loss = run(video, mask).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.slow
def test_a_compiled_model_has_these_operations(short_rows):
    found = []

    def record(graph, inputs):
        found.extend(str(node.target) for node in graph.graph.nodes if "mgm" in str(node.target))
        return make_boxed_func(graph)

    spec = ModelSpec("debug")
    model = MaskedAutoencoder(spec)
    accelerate_cpu(model)
    mask = torch.arange(spec.tokens).remainder(4).ne(0).expand(2, -1)
    run = torch.compile(model, backend=aot_autograd(fw_compiler=record, bw_compiler=record))
    run(decoded_clip(), model.split(mask)).loss.backward()
    names = {"linear", "attention", "attention_backward", "take_patches", "normalised_pixels"}
    assert set(found) == {f"mgm.{name}.default" for name in names if name != "linear" or linear_module.HAS_ONEDNN}


@pytest.mark.slow
def test_a_compiled_accelerated_model_learns_the_same(short_rows):
    spec = ModelSpec("debug")
    torch.manual_seed(0)
    model = MaskedAutoencoder(spec)
    other = copy.deepcopy(model)
    accelerate_cpu(model)
    assert steps(model, spec, compiled=True) == pytest.approx(steps(other, spec), rel=1e-5)


@pytest.mark.parametrize("decoder", ["self", "cross"])
def test_an_accelerated_model_learns_the_same(short_rows, decoder, threads):
    spec = ModelSpec("debug", resolution=96, decoder_attention=decoder)
    torch.manual_seed(0)
    model = MaskedAutoencoder(spec, target={"normalised-pixels": 1.0, "pixels": 2.0})
    other = copy.deepcopy(model)
    accelerate_cpu(model)
    found = steps(model, spec)
    assert len(short_rows) > 0
    used = len(short_rows)
    assert steps(other, spec) == pytest.approx(found, rel=1e-5)
    assert len(short_rows) == used
    assert found[2] < found[0]


def test_names_and_weights_stay():
    model = MaskedAutoencoder(ModelSpec("debug"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    parameters = dict(model.named_parameters())
    accelerate_cpu(model)
    accelerate_cpu(model)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(value is parameters[name] for name, value in model.named_parameters())
    assert model.target.name == "normalised-pixels"


def test_an_accelerated_model_in_evaluation_mode_is_plain_pytorch(short_rows):
    encoder = Encoder(ModelSpec("debug"))
    other = copy.deepcopy(encoder).eval()
    classifier = Classifier(encoder, 5)
    accelerate_cpu(classifier)
    classifier.eval()
    other.remove_norm()
    video = decoded_clip()
    assert torch.equal(encoder(video), other(video))
    exported = torch.export.export(classifier, (video,))  # with gradients on
    assert not [node for node in exported.graph.nodes if "mgm" in str(node.target) or "mkldnn" in str(node.target)]
    assert short_rows == []


def test_functions_of_torch_func_transform_a_plain_model():
    layer, x = MaskedAutoencoder(ModelSpec("debug")).encoder_to_decoder, torch.randn(4, 2, 32)
    assert type(layer) is nn.Linear

    def loss(weight, x):
        return torch.func.functional_call(layer, {"weight": weight}, x).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(layer.weight.detach(), x)
    expected = torch.einsum("bno,bni->boi", 2 * (x @ layer.weight.detach().T), x)
    torch.testing.assert_close(each, expected, rtol=1e-4, atol=1e-4)


def test_only_the_training_loop_imports_the_folder():
    source = Path(mgm.__file__).parent
    files = [file for file in source.rglob("*.py") if "mgm.models.accelerate" in file.read_text(encoding="utf-8")]
    outside = [file for file in files if file.parent != source / "models" / "accelerate"]
    assert {file.relative_to(source).parts[0] for file in outside} == {"training"}
