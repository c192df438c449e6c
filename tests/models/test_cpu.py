"""The operations that stand in for PyTorch's in training on a CPU, compared with PyTorch's."""

import copy
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch.utils.checkpoint import checkpoint

from mgm.models import MaskedAutoencoder, ModelSpec
from mgm.models.cpu import attention as attention_of_package
from mgm.models.cpu import can_normalise, linear, normalised_pixels
from mgm.models.cpu.threads import for_each

attention_module = sys.modules["mgm.models.cpu.attention"]
linear_module = sys.modules["mgm.models.cpu.linear"]


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def used(monkeypatch, module, name):
    """Counts the calls of a function of the package."""
    calls = []
    real = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args: calls.append(1) or real(*args))
    return calls


def gradients(function, *inputs):
    """The result, and the gradients of its product with something fixed."""
    inputs = [x.detach().clone().requires_grad_(x.requires_grad) for x in inputs]
    out = function(*inputs)
    out.backward(torch.linspace(-1, 1, out.numel()).view(out.shape).cos())
    return [out.detach(), *(x.grad for x in inputs if x.requires_grad)]


@pytest.mark.skipif(not linear_module.ONEDNN, reason="this PyTorch has no oneDNN product")
@pytest.mark.parametrize("shape", [(7, 12), (2, 5, 12), (2, 3, 4, 12), (1, 1, 12)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("learned", ["all", "input", "weight"])
def test_a_linear_layer_is_pytorchs(monkeypatch, shape, bias, learned, threads):
    torch.manual_seed(0)
    calls = used(monkeypatch, linear_module, "_onednn")
    parts = [torch.randn(shape), torch.randn(10, 12), *([torch.randn(10)] if bias else [])]
    for i, part in enumerate(parts):
        part.requires_grad_(learned == "all" or (i == 0) == (learned == "input"))
    for mine, theirs in zip(gradients(linear, *parts), gradients(F.linear, *parts), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    assert len(calls) == (1 if learned == "weight" else 2)


@pytest.mark.skipif(not linear_module.ONEDNN, reason="this PyTorch has no oneDNN product")
def test_a_linear_layer_takes_what_is_not_in_a_row_in_memory():
    x = torch.randn(2, 12, 9).transpose(1, 2).requires_grad_()
    weight = torch.randn(24, 12)[::2].requires_grad_()
    for mine, theirs in zip(gradients(linear, x, weight), gradients(F.linear, x, weight), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def qkv(asking=40, keys=40, scale=1.0):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, n, 8) for n in (asking, keys, keys))
    return [(query * scale).requires_grad_(), key.requires_grad_(), value.requires_grad_()]


@pytest.fixture
def small(monkeypatch):
    """Short rows count as long ones, in tiles of some rows."""
    monkeypatch.setattr(attention_module, "LONG", 2)
    monkeypatch.setattr(attention_module, "TILE", 512)
    return used(monkeypatch, attention_module, "_forward")


@pytest.mark.parametrize("kept", [0, 40 * 100, 10**6], ids=["none kept", "some kept", "all kept"])
@pytest.mark.parametrize("asking", [40, 39, 1])
@pytest.mark.parametrize("onednn", [linear_module.ONEDNN, False])
def test_attention_is_pytorchs(monkeypatch, small, kept, asking, onednn, threads):
    monkeypatch.setattr(linear_module, "ONEDNN", onednn)
    monkeypatch.setattr(attention_module, "KEPT", kept)
    parts = qkv(asking)
    mine = gradients(attention_of_package, *parts)
    for value, expected in zip(mine, gradients(F.scaled_dot_product_attention, *parts), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
    assert small == [1]


def test_attention_of_very_large_scores_is_finite(small):
    parts = qkv(scale=300)  # powers of which would overflow
    for value, expected in zip(
        gradients(attention_of_package, *parts), gradients(F.scaled_dot_product_attention, *parts), strict=True
    ):
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_attention_gives_the_same_when_it_is_computed_again(small):
    parts = qkv()
    again = gradients(lambda *x: checkpoint(attention_of_package, *x, use_reentrant=False), *parts)
    for value, expected in zip(again, gradients(attention_of_package, *parts), strict=True):
        assert torch.equal(value, expected)


@pytest.mark.parametrize("case", ["no gradient", "mask", "float64", "autocast", "short"])
def test_attention_is_left_to_pytorch(monkeypatch, small, case):
    parts = [x.double() if case == "float64" else x for x in qkv()]
    if case == "short":
        monkeypatch.setattr(attention_module, "LONG", 41)
    mask = torch.ones(40, 40, dtype=torch.bool) if case == "mask" else None
    with torch.set_grad_enabled(case != "no gradient"), torch.autocast("cpu", torch.bfloat16, case == "autocast"):
        attention_of_package(*parts, mask=mask)
    assert small == []


@pytest.mark.parametrize("case", ["no gradient", "float64", "autocast", "not there"])
def test_a_linear_layer_is_left_to_pytorch(monkeypatch, case):
    monkeypatch.setattr(linear_module, "_onednn", None)
    monkeypatch.setattr(linear_module, "ONEDNN", case != "not there")
    dtype = torch.float64 if case == "float64" else torch.float32
    x, weight = torch.randn(3, 4, dtype=dtype), torch.randn(5, 4, dtype=dtype, requires_grad=True)
    with torch.set_grad_enabled(case != "no gradient"), torch.autocast("cpu", torch.bfloat16, case == "autocast"):
        out = linear(x, weight)
        assert torch.equal(out, F.linear(x, weight))


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (torch.randn(10, 12).double(), "dtype"),
        (torch.randn(10, 11), "cannot be multiplied"),
    ],
)
def test_a_weight_that_does_not_fit_is_pytorchs_error(weight, words):
    with pytest.raises(RuntimeError, match=words):
        linear(torch.randn(2, 5, 12, requires_grad=True), weight)


def test_functions_of_pytorch_transform_what_is_left_to_pytorch():
    x, weight = torch.randn(4, 2, 12), torch.randn(10, 12)
    each = torch.func.vmap(torch.func.grad(lambda w, x: linear(x, w).square().sum()), in_dims=(None, 0))(weight, x)
    expected = torch.einsum("bno,bni->boi", 2 * (x @ weight.T), x)
    torch.testing.assert_close(each, expected, rtol=1e-4, atol=1e-4)
    assert linear(x[0, 0].requires_grad_(), weight).shape == (10,)


def test_forward_differentiation_is_left_to_pytorch():
    x, along, weight = torch.randn(2, 12), torch.randn(2, 12), torch.randn(10, 12, requires_grad=True)
    with torch.autograd.forward_ad.dual_level():
        out = linear(torch.autograd.forward_ad.make_dual(x, along), weight)
        torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(out).tangent, along @ weight.T)


def test_no_row_asks(small):
    query, key, value = qkv()
    assert attention_of_package(query[:, :, :0], key, value).shape == (2, 3, 0, 8)


def test_a_second_derivative_is_refused():
    x = torch.randn(2, 12, requires_grad=True)
    (first,) = torch.autograd.grad(linear(x, torch.randn(10, 12)).square().sum(), x, create_graph=True)
    if linear_module.ONEDNN:
        with pytest.raises(RuntimeError, match="twice"):
            first.sum().backward()


def test_no_operation_of_this_package_is_exported():
    model = torch.nn.Sequential(MaskedAutoencoder(ModelSpec("debug")).encoder)
    video = torch.randint(0, 256, (1, *ModelSpec("debug").video_shape), dtype=torch.uint8)
    exported = torch.export.export(model, (video,))  # with gradients on
    assert not [node for node in exported.graph.nodes if "mgm" in str(node.target) or "mkldnn" in str(node.target)]


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


def test_a_model_learns_the_same_without_this_package(monkeypatch, small, threads):
    spec = ModelSpec("debug")
    torch.manual_seed(0)
    model = MaskedAutoencoder(spec)
    other = copy.deepcopy(model)
    mine = steps(model, spec)
    assert len(small) > 0
    monkeypatch.setattr(linear_module, "ONEDNN", False)
    monkeypatch.setattr(attention_module, "LONG", 10**9)
    monkeypatch.setattr("mgm.models.targets.pixels.can_normalise", lambda video: False)
    assert steps(other, spec) == pytest.approx(mine, rel=1e-5)
    assert mine[2] < mine[0]


@pytest.mark.skipif(
    not hasattr(torch.compiler, "_is_exporting_flag"), reason="PyTorch 2.6 cannot tell the compiler from an exporter"
)
def test_a_compiled_model_has_these_operations(small):
    found = []

    def record(graph, inputs):
        found.extend(str(node.target) for node in graph.graph.nodes if "mgm" in str(node.target))
        return make_boxed_func(graph)

    spec = ModelSpec("debug")
    model = MaskedAutoencoder(spec)
    mask = torch.arange(spec.tokens).remainder(4).ne(0).expand(2, -1)
    run = torch.compile(model, backend=aot_autograd(fw_compiler=record, bw_compiler=record))
    run(clip(), model.split(mask)).loss.backward()
    names = {"linear", "attention", "attention_backward", "take_patches", "normalised_pixels"}
    assert set(found) == {f"mgm.{name}.default" for name in names if name != "linear" or linear_module.ONEDNN}


@pytest.mark.slow
def test_a_compiled_model_learns_the_same(small):
    spec = ModelSpec("debug")
    torch.manual_seed(0)
    model = MaskedAutoencoder(spec)
    other = copy.deepcopy(model)
    assert steps(model, spec, compiled=True) == pytest.approx(steps(other, spec), rel=1e-5)


def clip(batch=2):
    spec = ModelSpec("debug")
    generator = torch.Generator().manual_seed(0)
    shape = (batch, *spec.video_shape[1:], 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).permute(0, 4, 1, 2, 3)


def test_normalised_pixels_are_their_definition_in_double_precision(threads):
    spec = ModelSpec("debug")
    video = clip()
    video[0, :, : spec.tubelet, : spec.patch, : spec.patch] = torch.tensor([0, 7, 255])[:, None, None, None]  # flat
    tokens = torch.stack([torch.arange(0, spec.tokens, 2), torch.arange(1, spec.tokens, 2)])
    found = normalised_pixels(video, tokens, tubelet=spec.tubelet, patch=spec.patch, epsilon=255e-6)
    (t, h, w), p = spec.grid, spec.patch
    cut = video.double().reshape(2, 3, t, spec.tubelet, h, p, w, p).permute(0, 2, 4, 6, 3, 5, 7, 1)
    patches = cut.reshape(2, spec.tokens, -1, 3)[torch.arange(2)[:, None], tokens]
    expected = (patches - patches.mean(2, keepdim=True)) / (patches.std(2, keepdim=True) + 255e-6)
    torch.testing.assert_close(found.double(), expected.flatten(2), rtol=1e-6, atol=1e-6)
    assert torch.equal(found[0, 0], torch.zeros(spec.token_pixels * 3))


@pytest.mark.parametrize("case", ["float", "channels first", "part of a clip"])
def test_only_clips_as_they_are_decoded_are_normalised_in_one_pass(case):
    video = clip()
    assert can_normalise(video)
    other = {"float": video.float(), "channels first": video.contiguous(), "part of a clip": video[:, :, ::2]}[case]
    assert not can_normalise(other)


def test_an_error_of_a_thread_is_raised(threads):
    def work(piece):
        if piece == 3:
            raise ValueError("piece 3")

    with pytest.raises(ValueError, match="piece 3"):
        for_each(work, 5)


def test_threads_leave_the_number_of_threads_and_do_not_outlive_a_fork(tmp_path):
    script = """
import multiprocessing, torch
from mgm.models.cpu.threads import for_each
def go():
    done = torch.zeros(8)
    for_each(lambda i: done[i].add_(1), 8)
    assert done.eq(1).all()
torch.set_num_threads(2)
go()
assert torch.get_num_threads() == 2
child = multiprocessing.get_context("fork").Process(target=go)
child.start(); child.join(60)
assert child.exitcode == 0, child.exitcode
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_threads_are_started_once_and_leave_later_threads_alone():
    script = """
import threading, torch
from mgm.models.cpu.threads import for_each
def number_of_a_new_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start(); thread.join()
    return found
torch.set_num_threads(3)
assert number_of_a_new_thread() == [3]
names = set()
for count in (8, 2, 8, 2, 3):
    for_each(lambda i: names.add(threading.current_thread().name), count)
assert len(names) <= 3, names
assert number_of_a_new_thread() == [3]
numbers = []
for_each(lambda i: numbers.append(torch.get_num_threads()), 6)
assert set(numbers) == {1}, numbers
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
