"""Starts from models of images: the rules of each family's authors, and what a file lacks or has too much."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models.networks import mvit
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.coviar import CoviarMotion
from mgm.models.networks.image_start import averaged, central, positions
from mgm.models.networks.motionformer import Motionformer, MotionformerSpec
from mgm.models.networks.swin import SwinSpec
from mgm.models.networks.timesformer import TimeSformer, TimeSformerSpec
from mgm.models.networks.video_swin import VideoSwin
from mgm.models.networks.vidtr import VidTr, VidTrSpec
from mgm.models.networks.weights import load_renamed
from mgm.training import load_config
from mgm.training.networks import network_to_train, read_network
from tests.errors import raises

DIM, DEPTH, HEADS, PATCH, SIZE = 24, 2, 3, 8, 32
SHAPE = {"dim": DIM, "depth": DEPTH, "heads": HEADS, "size": SIZE, "patch": PATCH}


def random(shapes):
    generator = torch.Generator().manual_seed(0)
    return {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def linear(name, dim, out):
    return {f"{name}.weight": (out, dim), f"{name}.bias": (out,)}


def norm(name, dim):
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def vit(classes=7, side=SIZE):
    """A ViT of images under timm's names."""
    shapes = {"cls_token": (1, 1, DIM), "pos_embed": (1, (side // PATCH) ** 2 + 1, DIM)}
    shapes |= {"patch_embed.proj.weight": (DIM, 3, PATCH, PATCH), "patch_embed.proj.bias": (DIM,)}
    for i in range(DEPTH):
        block = f"blocks.{i}"
        shapes |= norm(f"{block}.norm1", DIM) | norm(f"{block}.norm2", DIM)
        shapes |= linear(f"{block}.attn.qkv", DIM, 3 * DIM) | linear(f"{block}.attn.proj", DIM, DIM)
        shapes |= linear(f"{block}.mlp.fc1", DIM, 4 * DIM) | linear(f"{block}.mlp.fc2", 4 * DIM, DIM)
    return random(shapes | norm("norm", DIM) | linear("head", DIM, classes))


def huggingface(state):
    """The same under the names of transformers' ViTForImageClassification."""
    names = {"cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings"}
    words = (("patch_embed.proj", "embeddings.patch_embeddings.projection"), ("blocks.", "encoder.layer."),
             ("attn.proj", "attention.output.dense"), ("norm1", "layernorm_before"), ("norm2", "layernorm_after"),
             ("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense"))  # fmt: skip
    found = {}
    for name, value in state.items():
        if name.startswith("head."):
            found[name.replace("head", "classifier")] = value
        elif ".attn.qkv." in name:
            before, kind = name.split(".attn.qkv.")
            for part, rows in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[f"vit.{before.replace('blocks', 'encoder.layer')}.attention.attention.{part}.{kind}"] = rows
        else:
            theirs = names.get(name, name.replace("norm.", "layernorm.") if name.startswith("norm.") else name)
            for ours, word in words:
                theirs = theirs.replace(ours, word)
            found[f"vit.{theirs}"] = value
    return found


def image_features(state, picture, *, tokens=False):
    """The norm of the class token of the ViT, or of all, by the equations. picture: normalised, (B, 3, H, W)."""
    x = F.conv2d(picture, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH)
    x = torch.cat((state["cls_token"].expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)), 1) + state["pos_embed"]
    for i in range(DEPTH):
        w = {key.removeprefix(f"blocks.{i}."): value for key, value in state.items()}
        y = F.layer_norm(x, (DIM,), w["norm1.weight"], w["norm1.bias"], 1e-6)
        q, k, v = F.linear(y, w["attn.qkv.weight"], w["attn.qkv.bias"]).chunk(3, -1)
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (q, k, v))
        y = ((q @ k.mT / (DIM // HEADS) ** 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + F.linear(y, w["attn.proj.weight"], w["attn.proj.bias"])
        y = F.layer_norm(x, (DIM,), w["norm2.weight"], w["norm2.bias"], 1e-6)
        y = F.gelu(F.linear(y, w["mlp.fc1.weight"], w["mlp.fc1.bias"]))
        x = x + F.linear(y, w["mlp.fc2.weight"], w["mlp.fc2.bias"])
    return F.layer_norm(x, (DIM,), state["norm.weight"], state["norm.bias"], 1e-6)[:, slice(None) if tokens else 0]


def start(network, name, state):
    """Load through the formats of a network of the catalog, as a file is."""
    found = next(one for one in NETWORKS[name].formats if one.key in state)
    load_renamed(network, state, found.rename, fresh=found.fresh, inflate=found.inflate)
    return network.eval()


@pytest.mark.parametrize("names", [dict, huggingface])
def test_timesformer_sees_a_still_clip_as_the_image_model_does(names):
    """But for attention in time, whose output layer is zero here, as the authors start all blocks but the first."""
    state = vit()
    network = start(TimeSformer(TimeSformerSpec(frames=3, **SHAPE), classes=2), "timesformer", names(state))
    for block in network.blocks:
        assert torch.equal(block.temporal_attn.qkv.weight, block.attn.qkv.weight)
        assert torch.equal(block.temporal_norm1.bias, block.norm1.bias)
        torch.nn.init.zeros_(block.temporal_fc.weight)
        torch.nn.init.zeros_(block.temporal_fc.bias)
    picture = torch.randn(2, 3, SIZE, SIZE)
    found = network.features(picture[:, :, None].expand(-1, -1, 3, -1, -1))[:, 0]
    torch.testing.assert_close(found, image_features(state, picture), rtol=1e-4, atol=1e-5)


def test_motionformer_embeds_the_middle_frame_of_a_tubelet():
    state = vit()
    network = start(Motionformer(MotionformerSpec(frames=4, **SHAPE), classes=2), "motionformer", state)
    kernel = network.patch_embed_3d["proj"].weight
    assert torch.equal(kernel[:, :, 1], state["patch_embed.proj.weight"])
    assert not kernel[:, :, 0].any()
    assert torch.equal(network.blocks[1].attn.qkv.weight, state["blocks.1.attn.qkv.weight"])
    assert torch.equal(network.pos_embed, state["pos_embed"])


def test_vidtr_repeats_positions_and_class_token():
    state = vit()
    spec = VidTrSpec(3, hidden=4 * DIM, **SHAPE)
    network = start(VidTr(spec, classes=2), "vidtr-l", state)
    places = network.places + 1
    assert torch.equal(network.pos_embedding.view(4, places, DIM), state["pos_embed"].expand(4, -1, -1))
    assert torch.equal(network.cls_s, state["cls_token"].expand(3, -1, -1))
    assert torch.equal(network.cls_t, state["cls_token"].expand(-1, places, -1))
    assert torch.equal(network.encoder["layers"][1].self_attn.in_proj_weight, state["blocks.1.attn.qkv.weight"])
    # The authors' own file: VidTr's names, with a position for each place and one class token.
    theirs = {
        key: value for key, value in network.state_dict().items() if not key.startswith(("head.", "cls_", "pos_"))
    }
    theirs |= {"cls": state["cls_token"], "pos_embedding": state["pos_embed"], "fc.weight": torch.ones(9, DIM)}
    again = start(VidTr(spec, classes=2), "vidtr-l", theirs)
    assert all(
        torch.equal(value, network.state_dict()[key])
        for key, value in again.state_dict().items()
        if not key.startswith("head.")
    )


def test_video_swin_sees_a_still_clip_as_a_single_step():
    """Tables repeated over distances in time, and an averaged patch embedding: more equal frames change nothing."""
    spec = SwinSpec(dim=8, depths=(2, 1), heads=(1, 2), window=(2, 4, 4))
    torch.manual_seed(0)
    flat = VideoSwin(spec, classes=2).eval().backbone.state_dict()
    state = {}
    for name, value in flat.items():
        if name.endswith("relative_position_bias_table"):
            value = torch.randn(49, value.shape[1])
        state[name] = value[:, :, 0] if name == "patch_embed.proj.weight" else value
    state |= {
        "head.weight": torch.ones(5, 16),
        "head.bias": torch.ones(5),
        "layers.0.blocks.1.attn_mask": torch.ones(2),
    }
    network = start(VideoSwin(spec, classes=2), "video-swin-b-k400", state)
    picture = torch.randn(1, 3, 1, 32, 32)
    one, many = (network.features(picture.expand(-1, -1, frames, -1, -1)).mean(1) for frames in (2, 4))
    torch.testing.assert_close(one, many, rtol=1e-4, atol=1e-5)
    larger = start(VideoSwin(replace(spec, window=(2, 2, 2)), classes=2), "video-swin-b-k400", state)
    table = larger.backbone.layers[0].blocks[0].attn.relative_position_bias_table
    assert table.shape == (27, 1)
    assert torch.equal(table[:9], table[9:18])


def test_mvit_averages_its_kernels():
    spec = replace(mvit.V2_S, depth=3, widen=(1,), dim=8, frames=4, size=32)
    flat = mvit.MViT(spec, classes=2).state_dict()
    theirs = {"patch_embed.weight": "patch_embed.proj.weight", "patch_embed.bias": "patch_embed.proj.bias"}
    state = {}
    for name, value in flat.items():
        if name.startswith(("head.", "class_token")) or "relative_t" in name:
            continue
        if name == "patch_embed.weight":
            value = value.sum(2)
        if ".conv.weight" in name:
            value = value[:, :, :1]
        key = theirs.get(name, name).replace(".conv.weight", ".weight").replace("relative_", "rel_pos_")
        for part in "qkv":
            key = key.replace(f"pool_{part}.norm", f"norm_{part}")
        for part in ("fc1", "fc2"):
            key = key.replace(f".{part}.", f".mlp.{part}.")
        state[key.replace(".widen.", ".proj.")] = value
    network = start(mvit.MViT(spec, classes=2), "mvitv2-s-16x4", state)
    assert torch.allclose(
        network.patch_embed.weight, flat["patch_embed.weight"].sum(2, keepdim=True).expand(-1, -1, 3, -1, -1) / 3
    )
    pool = network.blocks[1].attn.pool_k.conv.weight
    assert torch.allclose(pool, flat["blocks.1.attn.pool_k.conv.weight"][:, :, :1].expand(-1, -1, 3, -1, -1) / 3)


def test_coviar_starts_from_a_resnet_but_for_its_first_and_last_layer():
    torch.manual_seed(0)
    own = CoviarMotion(classes=3).state_dict()
    state = {key.removeprefix("base_model."): value for key, value in own.items() if key.startswith("base_model.")}
    state |= {"conv1.weight": torch.ones(64, 3, 7, 7), "fc.weight": torch.ones(9, 512), "fc.bias": torch.ones(9)}
    network = start(CoviarMotion(classes=3), "coviar-motion", state)
    assert torch.equal(network.base_model["layer4"][0].conv1.weight, own["base_model.layer4.0.conv1.weight"])
    assert not torch.equal(network.base_model["conv1"].weight, own["base_model.conv1.weight"])


def test_kernels():
    flat = torch.randn(4, 3, 2, 2)
    assert torch.allclose(averaged(flat, 3).sum(2), flat)
    assert torch.allclose(averaged(flat[:, :, None], 3).sum(2), flat)
    assert torch.equal(central(flat, 2)[:, :, 1], flat)


def test_positions_of_another_square_are_interpolated():
    table = torch.randn(1, 1 + 16, DIM)
    found = positions(table, 36)
    assert found.shape == (1, 37, DIM)
    assert torch.equal(found[:, 0], table[:, 0])
    flat = positions(torch.ones(1, 17, DIM), 36)
    assert torch.allclose(flat, torch.ones_like(flat))


@pytest.fixture
def small(monkeypatch):
    def build(options):
        spec = TimeSformerSpec(**SHAPE | options.given("frames", "size"))
        return TimeSformer(spec, **options.given("classes", "labels"))

    monkeypatch.setitem(NETWORKS, "timesformer", replace(NETWORKS["timesformer"], build=build))
    return load_config("supervised-timesformer-k400", ["data.frames=2", f"data.size={SIZE}"])


def test_a_file_starts_a_run_and_is_no_classifier(small, tmp_path):
    torch.save(vit(), tmp_path / "vit.pth")
    read = read_network(tmp_path / "vit.pth", small, to_train=True)
    assert network_to_train(small, ["a", "b"], read).head.out_features == 2
    with raises(ModelError, "mismatch", subject=f"{tmp_path / 'vit.pth'}: state dict") as caught:
        read_network(tmp_path / "vit.pth", small)
    assert "ViT of images" in caught.value.found


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        (lambda s: s.pop("blocks.1.mlp.fc1.bias"), "mismatch", "blocks.1.mlp.fc1.bias"),
        (lambda s: s.update({"blocks.2.norm1.bias": torch.ones(DIM)}), "mismatch", "blocks.2.norm1.bias"),
        (lambda s: s.update({"norm.bias": torch.ones(9)}), "invalid_shape", "norm.bias (9,)"),
        (
            lambda s: s.update({"patch_embed.proj.weight": torch.ones(DIM, 3, 2, 8, 8)}),
            "invalid_shape",
            "(24, 3, 2, 8, 8)",
        ),
    ],
)
def test_a_file_is_read_strictly(small, tmp_path, change, reason, named):
    state = vit()
    change(state)
    torch.save(state, tmp_path / "vit.pth")
    with raises(ModelError, reason) as caught:
        read_network(tmp_path / "vit.pth", small, to_train=True)
    assert named in caught.value.found
