"""MViT: its function, against torchvision's and loops, and its published files."""

from dataclasses import replace

import pytest
import torch

from mgm.errors import ModelError
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.entry import NetworkOptions
from mgm.models.networks.mvit import MASKFEAT_S, V1_16X4, V1_32X3, V2_B, V2_S, MViT
from mgm.models.networks.mvit_blocks import relative_rows
from mgm.models.networks.mvit_names import FORMATS, from_pyslowfast
from mgm.models.networks.mvit_spec import MViTSpec
from mgm.models.networks.weights import classes_of, load_renamed
from tests.errors import raises
from tests.models.networks.mvit_files import mvit_weights
from tests.peers import ask

# Clips of 4 frames at 64 px: 2 x 16 x 16 tokens; three blocks, of which the second halves the grid and doubles the width.
V2 = MViTSpec(3, (1,), frames=4, size=64, dim=8, relative=True, widen_in_attention=True)
V1 = replace(V2, relative=False, widen_in_attention=False)
SPECS = {"v1": V1, "v1, kernels by stride": replace(V1, pool_kernel="stride"), "v2": V2}
SPECS["v2, widened in the MLP"] = replace(V2, widen_in_attention=False)


def clip(frames=4, size=64, seed=1):
    return torch.randn(2, 3, frames, size, size, generator=torch.Generator().manual_seed(seed))


def weights_of(spec, classes=5):
    """The authors' weights of one of `SPECS`, whose sizes are written out here."""
    widths = [(8, 8, 1), (8, 16, 2), (16, 16, 2)] if spec.widen_in_attention else [(8, 16, 1), (16, 16, 2), (16, 16, 2)]
    return mvit_weights(
        widths=widths, query=[1, 2, 1], key=[8, 4, 4], grid=(2, 16, 16), relative=spec.relative,
        widen_in_attention=spec.widen_in_attention, cube=spec.pool_kernel == "cube", classes=classes,
    )  # fmt: skip


def loaded(spec):
    state = weights_of(spec)
    network = MViT(spec, classes=classes_of(state, from_pyslowfast)).eval()
    load_renamed(network, state, from_pyslowfast)
    return network


def logits(network, x):
    with torch.no_grad():
        return network.classify(network.features(x))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_loads_pyslowfasts_weights(spec):
    state = weights_of(spec)
    assert any(one.name == "PySlowFast" and one.key in state for one in FORMATS)
    network = loaded(spec)
    assert torch.equal(network.blocks[1].attn.pool_v.conv.weight, state["blocks.1.attn.pool_v.weight"])
    assert torch.equal(network.blocks[1].attn.pool_v.norm.bias, state["blocks.1.attn.norm_v.bias"])
    assert logits(network, clip()).std() > 0.05


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_wrong_file_is_named(spec):
    state = weights_of(spec)
    network = MViT(spec, classes=5)
    short = {key: value for key, value in state.items() if key != "blocks.1.attn.norm_k.bias"}
    with raises(ModelError, "mismatch", subject="state dict") as caught:
        load_renamed(network, short, from_pyslowfast)
    assert "blocks.1.attn.pool_k.norm.bias" in caught.value.found
    with raises(ModelError, "mismatch", subject="state dict") as caught:
        load_renamed(network, state | {"blocks.3.norm1.bias": torch.zeros(16)}, from_pyslowfast)
    assert "blocks.3.norm1.bias" in caught.value.found
    with raises(ModelError, "invalid_shape", subject="state dict") as caught:
        load_renamed(network, state | {"cls_token": torch.zeros(1, 8)}, from_pyslowfast)
    assert "cls_token" in caught.value.found


def test_differences_of_positions():
    """On the finer axis; of equal axes row keys - 1 is the difference 0."""
    table = torch.arange(15.0)[:, None]
    for queries, keys in ((8, 8), (8, 2), (2, 8)):
        for query in range(queries):
            for key in range(keys):
                fine_query, fine_key = query * max(1, keys // queries), key * max(1, queries // keys)
                zero = (keys - 1) * max(1, queries // keys)
                assert relative_rows(table, queries, keys)[query, key] == fine_query - fine_key + zero


def test_tables_are_interpolated_for_other_clips():
    network = loaded(V2)
    assert logits(network, clip(frames=8, size=96)).shape == (2, 5)
    short = relative_rows(torch.tensor([[0.0], [1.0], [2.0]]), 1, 1)
    assert torch.allclose(short, torch.ones(1, 1, 1))


def test_relative_scores_by_loops():
    network = loaded(V2)
    attention = network.blocks[1].attn
    query = torch.randn(1, 2, 1 + 2 * 8 * 8, 8, generator=torch.Generator().manual_seed(0))
    bias = attention.relative_bias(query, (2, 8, 8), (2, 4, 4))
    assert not bias[:, :, 0].any()
    assert not bias[:, :, :, 0].any()
    for (a, b, c), (x, y, z) in (((1, 7, 2), (0, 3, 0)), ((0, 0, 5), (1, 2, 3))):
        rows = (
            attention.relative_t[a - x + 1], attention.relative_h[b - 2 * y + 6], attention.relative_w[c - 2 * z + 6]
        )  # fmt: skip
        at, of = 1 + (a * 8 + b) * 8 + c, 1 + (x * 4 + y) * 4 + z
        expected = sum(row @ query[0, 1, at] for row in rows)
        assert torch.allclose(bias[0, 1, at, of], expected, atol=1e-5)


def test_learned_positions_allow_one_clip():
    network = NETWORKS["mvitv1-b-16x4"].build(NetworkOptions(classes=2, frames=4, size=32))
    assert network(torch.rand(1, 3, 4, 32, 32)).shape == (1, 2)
    with raises(ModelError, "invalid_shape", subject="video"):
        network(torch.rand(1, 3, 4, 64, 64))


def test_stochastic_depth_grows_linearly():
    network = NETWORKS["mvitv2-s-16x4"].build(NetworkOptions(classes=2, drop_path=0.3))
    assert [block.drop_path for block in network.blocks] == pytest.approx([0.02 * i for i in range(16)])
    assert NETWORKS["mvitv2-s-16x4"].build(NetworkOptions(classes=2)).blocks[-1].drop_path == pytest.approx(0.2)


def test_maskfeats_variant_ends_at_a_finer_grid():
    """Its last grid is 14 x 14 at 224 px, a cell for each 2 x 16 x 16 pixels."""
    with torch.device("meta"):
        network = MViT(MASKFEAT_S, classes=2)
        tokens, grid = network.embed(torch.empty(1, 3, 16, 224, 224))
        assert grid == (8, 56, 56)
        assert network.encode(tokens, grid).shape == (1, 1 + 8 * 14 * 14, 768)


def test_without_a_class_token():
    network = MViT(replace(V2, class_token=False), classes=5).eval()
    features = network.features(clip())
    assert features.shape == (2, 2 * 8 * 8, 16)
    assert torch.allclose(network.classify(features), network.head(features.mean(1)))


def _peer(spec, state, x):
    return ask(
        "torchvision_mvit", clip=x, state=state, relative=spec.relative, widen_in_attention=spec.widen_in_attention,
        blocks=[_block(spec, size) for size in spec.blocks()],
    )["logits"]  # fmt: skip


def _block(spec, size):
    def kernel(stride, pooled):
        if spec.pool_kernel == "stride":
            return [1, stride + 1, stride + 1] if stride > 1 else [1, 1, 1]
        return [3, 3, 3] if pooled or stride > 1 else []

    query = kernel(size.query_stride, pooled=spec.relative), [1, size.query_stride, size.query_stride]
    key = kernel(size.key_stride, pooled=True), [1, size.key_stride, size.key_stride]
    return size.heads, size.dim, size.out, query[0], key[0], query[1], key[1]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.peers
def test_agrees_with_torchvision(spec):
    difference = logits(loaded(spec), clip()) - _peer(spec, weights_of(spec), clip())
    assert difference.abs().max() < 1e-5


@pytest.mark.parametrize("spec", [V1_16X4, V1_32X3, V2_S, V2_B], ids=["v1-B 16x4", "v1-B 32x3", "v2-S", "v2-B"])
@pytest.mark.slow
@pytest.mark.peers
def test_agrees_with_torchvision_in_full(spec):
    """Every block of the published networks, at 8 frames of 64 px: learned positions are made for these."""
    small = replace(spec, frames=8, size=64)
    torch.manual_seed(0)
    network = MViT(small, classes=7).eval()
    for name, parameter in network.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    state = authors_names(network.state_dict())
    x = clip(frames=8)
    difference = logits(network, x) - _peer(small, state, x)
    assert difference.abs().max() < 1e-5


def authors_names(state):
    """The state dict of an `MViT` under PySlowFast's names, found by trying each of them."""
    parts = ("cls_token", "pos_embed_spatial", "pos_embed_temporal", "pos_embed_class", "head.projection.weight",
             "head.projection.bias", "patch_embed.proj.weight", "patch_embed.proj.bias", "norm.weight", "norm.bias")  # fmt: skip
    inner = [f"attn.{kind}_{one}" for kind in ("rel_pos",) for one in "hwt"]
    inner += [f"attn.pool_{one}.weight" for one in "qkv"]
    inner += [
        f"{name}.{value}" for value in ("weight", "bias")
        for name in ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "proj", "attn.norm_q",
                     "attn.norm_k", "attn.norm_v")
    ]  # fmt: skip
    names = [*parts, *(f"blocks.{index}.{name}" for index in range(24) for name in inner)]
    found = {name: state[from_pyslowfast(name)] for name in names if from_pyslowfast(name) in state}
    assert len(found) == len(state)
    return found
