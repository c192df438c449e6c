"""SlowFast: its function, against pytorchvideo's, and its published files."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.entry import NetworkOptions
from mgm.models.networks.slowfast import NonLocal, SlowFast, SlowFastSpec
from mgm.models.networks.slowfast_names import FORMATS, from_pytorchvideo
from mgm.models.networks.weights import classes_of, load_renamed
from tests.errors import raises
from tests.models.networks.slowfast_files import published, slowfast_weights
from tests.peers import ask

SMALL = SlowFastSpec((1, 1, 2, 1), width=8, nonlocal_after=(1,))


def small(**changes):
    torch.manual_seed(0)
    return SlowFast(SMALL, classes=5, **changes).eval()


@pytest.mark.parametrize("frames", [8, 16, 32, 64, 128])
def test_slow_frames_are_those_of_the_authors(frames):
    chosen = small()._slow_frames(torch.empty(1, 3, frames, 1, 1))
    assert chosen.tolist() == torch.linspace(0, frames - 1, frames // 4).long().tolist()


def test_slow_frames_of_64():
    assert small()._slow_frames(torch.empty(1, 3, 64, 1, 1))[:6].tolist() == [0, 4, 8, 12, 16, 21]


@pytest.mark.parametrize("frames", [4, 6, 30])
def test_refuses_frames_without_a_slow_pathway(frames):
    with raises(ModelError, "invalid_value", subject="frames"):
        small()(torch.zeros(1, 3, frames, 32, 32))
    with raises(ModelError, "invalid_value", subject="frames"):
        NETWORKS["slowfast-r50-8x8"].build(NetworkOptions(classes=2, frames=frames))


def test_has_no_stochastic_depth():
    with raises(ModelError, "unsupported", subject="drop_path"):
        NETWORKS["slowfast-r50-8x8"].build(NetworkOptions(classes=2, drop_path=0.1))


def test_windows_vote_by_probability():
    network = small()
    tokens = network.features(torch.rand(2, 3, 8, 256, 288))
    assert tokens.shape[1] == 2 * 3
    probabilities = F.linear(tokens, network.head.weight, network.head.bias).softmax(-1).mean(1)
    assert torch.allclose(network.classify(tokens).exp(), probabilities, atol=1e-6)


def test_one_window_gives_logits():
    network = small()
    tokens = network.features(torch.rand(2, 3, 8, 224, 224))
    assert tokens.shape[1] == 1
    assert torch.equal(network.classify(tokens), network.head(tokens[:, 0]))


def test_residual_branches_start_at_nothing():
    """Every block is its shortcut at first, and the non-local blocks the identity."""
    network = small()
    assert all(torch.equal(block(x := torch.rand(1, 128, 2, 4, 4)), x) for block in network.nonlocals.values())
    block = network.fast[0][0]
    x = torch.rand(1, 1, 8, 4, 4)
    assert torch.equal(block(x), F.relu(block.shortcut(x)))


def test_nonlocal_attends_to_the_maximum_of_four_cells():
    torch.manual_seed(0)
    block, x = NonLocal(4).eval(), torch.randn(1, 4, 2, 4, 4)
    torch.nn.init.uniform_(block.norm.weight)
    at = lambda conv, cell: conv.weight[:, :, 0, 0, 0] @ cell + conv.bias  # noqa: E731
    seen = [x[0, :, t, i : i + 2, j : j + 2].amax((1, 2)) for t in range(2) for i in (0, 2) for j in (0, 2)]
    here = x[0, :, 1, 2, 3]
    mixed = sum(at(block.theta, here) @ at(block.phi, cell) * at(block.g, cell) for cell in seen) / len(seen)
    expected = here + at(block.out, mixed) * block.norm.weight / (1 + block.norm.eps) ** 0.5
    assert torch.allclose(block(x)[0, :, 1, 2, 3], expected, atol=1e-5)


@pytest.mark.parametrize("format_", FORMATS, ids=lambda one: one.name)
def test_loads_each_publishers_file(format_):
    spec = SMALL if format_.name != "pytorchvideo" else SlowFastSpec((1, 2, 2, 1), width=8)
    weights = slowfast_weights(spec, classes=5)
    state = published(weights, format_.name)
    assert format_.key in state
    assert classes_of(state, format_.rename) == 5
    network = SlowFast(spec, classes=5)
    load_renamed(network, state, format_.rename)
    reference = SlowFast(spec, classes=5)
    load_renamed(reference, published(weights, "PySlowFast"), FORMATS[0].rename)
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in reference.state_dict().items())
    # The values are where they belong: two that no shape could tell apart.
    by_name = {names.PySlowFast: value for names, value in weights.items()}
    assert torch.equal(network.slow[0][0].b.norm.running_var, by_name["s2.pathway0_res0.branch2.b_bn.running_var"])
    assert torch.equal(network.laterals[1].norm.bias, by_name["s2_fuse.bn.bias"])


@pytest.mark.parametrize("format_", FORMATS, ids=lambda one: one.name)
def test_a_wrong_file_is_named(format_):
    spec = SlowFastSpec((1, 1, 1, 1), width=8)
    weights = published(slowfast_weights(spec, classes=5), format_.name)
    load = partial(load_renamed, SlowFast(spec, classes=5), rename=format_.rename)
    with raises(ModelError, "mismatch", subject="state dict") as caught:
        load({key: value for key, value in weights.items() if key != format_.key})
    assert "slow_stem.conv.weight" in caught.value.found
    with raises(ModelError, "mismatch", subject="state dict") as caught:
        load(weights | {"res6_0_branch1_w": torch.zeros(1)})
    assert "res6_0_branch1_w" in caught.value.found
    with raises(ModelError, "invalid_shape", subject="state dict") as caught:
        load(weights | {format_.key: torch.zeros(8, 3, 3, 7, 7)})
    assert format_.key in caught.value.found


def test_momenta_of_caffe2_are_no_weights():
    spec = SlowFastSpec((1, 1, 1, 1), width=8)
    state = published(slowfast_weights(spec, classes=5), "Caffe2")
    extra = {"conv1_w_momentum": torch.zeros(1), "lr": torch.zeros(1), "model_iter": torch.zeros(1)}
    plain, loaded = SlowFast(spec, classes=5), SlowFast(spec, classes=5)
    load_renamed(plain, state, FORMATS[2].rename)
    load_renamed(loaded, state | extra, FORMATS[2].rename)
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("depth", "spec"),
    [
        (50, SlowFastSpec((3, 4, 6, 3), width=8, fusion_kernel=7)),
        (101, SlowFastSpec((3, 4, 23, 3), width=8)),
        (101, SlowFastSpec((3, 4, 23, 3), width=8, temporal=(3, 4, 23, 3), window=1)),
    ],
    ids=["R50", "R101_50_50", "R101, four windows"],
)
@pytest.mark.peers
def test_agrees_with_pytorchvideo(depth, spec):
    clip = torch.randn(2, 3, 16, 64, 64, generator=torch.Generator().manual_seed(1))
    network = SlowFast(spec, classes=7).eval()
    theirs = ask(
        "pytorchvideo_slowfast", part="network", slow=clip[:, :, network._slow_frames(clip)], fast=clip, depth=depth,
        width=spec.width, fusion_kernel=spec.fusion_kernel, temporal_blocks=spec.temporal[2], window=min(spec.window, 2),
    )  # fmt: skip
    load_renamed(network, theirs["state"], from_pytorchvideo)
    with torch.no_grad():
        probabilities = network.classify(network.features(clip)).softmax(-1)
    assert probabilities.std() > 0.01
    assert torch.allclose(probabilities, theirs["probabilities"], atol=1e-5)


@pytest.mark.peers
def test_nonlocal_agrees_with_pytorchvideo():
    x = torch.randn(2, 16, 3, 6, 4, generator=torch.Generator().manual_seed(1))
    theirs = ask("pytorchvideo_slowfast", part="nonlocal", x=x)
    block = NonLocal(16).eval()
    block.load_state_dict({key.removeprefix("conv_"): value for key, value in theirs["state"].items()})
    with torch.no_grad():
        assert torch.allclose(block(x), theirs["y"], atol=1e-5)
