"""TimeSformer with a class token, compared with transformers, and its two formats of weights."""

import pytest
import torch

from mgm.errors import ModelError
from mgm.models.networks.timesformer import (
    DividedClassBlock,
    TimeSformer,
    TimeSformerSpec,
    from_huggingface_timesformer,
    same_name,
)
from mgm.models.networks.weights import classes_of, load_renamed
from tests.errors import raises

transformers = pytest.importorskip("transformers")

SMALL = TimeSformerSpec(frames=3, size=32, patch=8, dim=24, depth=3, heads=2)


def peer(spec, classes):
    config = transformers.TimesformerConfig(
        image_size=spec.size,
        patch_size=spec.patch,
        num_frames=spec.frames,
        hidden_size=spec.dim,
        num_hidden_layers=spec.depth,
        num_attention_heads=spec.heads,
        intermediate_size=4 * spec.dim,
        num_labels=classes,
    )
    model = transformers.TimesformerForVideoClassification(config).eval()
    # Every weight is random: the peer starts with positions and half of the time branches at zero.
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2 / (spec.dim / 24) ** 0.5)
    return model


def compare(spec, classes=5, batch=2):
    theirs = peer(spec, classes)
    ours = TimeSformer(spec, classes=classes).eval()
    load_renamed(ours, theirs.state_dict(), from_huggingface_timesformer)
    video = torch.randint(0, 256, (batch, 3, spec.frames, spec.size, spec.size), dtype=torch.uint8)
    normalised = (video / 255 - 0.45) / 0.225
    with torch.no_grad():
        expected = theirs(normalised.transpose(1, 2), output_hidden_states=True)
        found = ours(video)
    assert expected.logits.std() > 0.01
    assert (found - expected.logits).abs().max() <= 1e-5
    return ours, video, expected


def test_it_is_the_function_of_transformers():
    ours, video, expected = compare(SMALL)
    tokens = ours.tokens(video)
    assert tokens.shape == (2, 1 + 3 * 16, 24)
    # transformers orders its tokens by place, then by time
    last = expected.hidden_states[-1][:, 1:].unflatten(1, (16, 3)).transpose(1, 2).flatten(1, 2)
    mean, sd = last.mean(-1, keepdim=True), last.var(-1, unbiased=False, keepdim=True).add(1e-6).sqrt()
    torch.testing.assert_close(tokens[:, 1:], (last - mean) / sd * ours.norm.weight + ours.norm.bias, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_the_whole_model_is_the_function_of_transformers():
    ours, _, _ = compare(TimeSformerSpec(), classes=400, batch=1)
    assert sum(weight.numel() for weight in ours.parameters()) == 121_566_352


def pyth_state(spec, classes):
    """The names and shapes of a file of the authors, after their prefixes: random weights."""
    dim, shapes = spec.dim, {}
    for i in range(spec.depth):
        block = f"blocks.{i}"
        for norm in ("norm1", "temporal_norm1", "norm2"):
            shapes |= {f"{block}.{norm}.weight": (dim,), f"{block}.{norm}.bias": (dim,)}
        for attention in ("attn", "temporal_attn"):
            shapes |= {f"{block}.{attention}.qkv.weight": (3 * dim, dim), f"{block}.{attention}.qkv.bias": (3 * dim,)}
            shapes |= {f"{block}.{attention}.proj.weight": (dim, dim), f"{block}.{attention}.proj.bias": (dim,)}
        shapes |= {f"{block}.temporal_fc.weight": (dim, dim), f"{block}.temporal_fc.bias": (dim,)}
        shapes |= {f"{block}.mlp.fc1.weight": (4 * dim, dim), f"{block}.mlp.fc1.bias": (4 * dim,)}
        shapes |= {f"{block}.mlp.fc2.weight": (dim, 4 * dim), f"{block}.mlp.fc2.bias": (dim,)}
    places = (spec.size // spec.patch) ** 2
    shapes |= {"cls_token": (1, 1, dim), "pos_embed": (1, places + 1, dim), "time_embed": (1, spec.frames, dim)}
    shapes |= {"patch_embed.proj.weight": (dim, 3, spec.patch, spec.patch), "patch_embed.proj.bias": (dim,)}
    shapes |= {"norm.weight": (dim,), "norm.bias": (dim,), "head.weight": (classes, dim), "head.bias": (classes,)}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


class TestPyth:
    def test_every_weight_arrives(self):
        state = pyth_state(SMALL, 7)
        network = TimeSformer(SMALL, classes=classes_of(state, same_name))
        load_renamed(network, state, same_name)
        assert network.head.out_features == 7
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())

    @pytest.mark.parametrize("name", ["cls_token", "blocks.2.temporal_fc.bias"])
    def test_a_missing_weight(self, name):
        state = pyth_state(SMALL, 7)
        del state[name]
        with raises(ModelError, "mismatch") as caught:
            load_renamed(TimeSformer(SMALL, classes=7), state, same_name)
        assert name in caught.value.found

    def test_an_unknown_weight(self):
        state = pyth_state(SMALL, 7) | {"blocks.0.gamma": torch.ones(24)}
        with raises(ModelError, "mismatch") as caught:
            load_renamed(TimeSformer(SMALL, classes=7), state, same_name)
        assert "blocks.0.gamma" in caught.value.found

    def test_a_weight_of_another_shape(self):
        state = pyth_state(SMALL, 7) | {"time_embed": torch.randn(1, 4, 24)}
        with raises(ModelError, "invalid_shape") as caught:
            load_renamed(TimeSformer(SMALL, classes=7), state, same_name)
        assert "time_embed (1, 4, 24)" in caught.value.found


def test_time_branches_start_without_effect_but_for_the_first():
    network = TimeSformer(SMALL, classes=2)
    assert [bool(block.temporal_fc.weight.any()) for block in network.blocks] == [True, False, False]


def test_a_whole_branch_is_skipped():
    """At a rate near 1 a block in training returns its input, but for the bias of the time branch's linear layer."""
    block = DividedClassBlock(8, 2, drop_path=1 - 1e-9).train()
    torch.nn.init.zeros_(block.temporal_fc.bias)
    x = torch.randn(2, 1 + 6, 8)
    assert torch.equal(block(x, 3), x)


def test_the_patch_must_fill_the_frame():
    with raises(ModelError, "invalid_value", subject="size"):
        TimeSformer(TimeSformerSpec(size=30, patch=8), classes=2)
