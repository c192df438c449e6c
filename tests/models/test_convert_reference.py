"""Checkpoints of VideoMAE, V2, mmaction2 and MAE-ST: what is built from them, and what it computes."""

import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.models.convert import Overrides, Weights, from_weights, to_reference
from mgm.models.position import sincos_1d
from mgm.models.sizes import Size, Stack
from tests.models.clips import normalised, random_mask, random_video
from tests.models.reference import maest_shapes, mmaction, pretrained_shapes, random_state, tuned_shapes

SMALL = Overrides(frames=4, resolution=32, heads=2)
PRETRAINED = random_state(pretrained_shapes(dim=32, depth=2, width=16, layers=1))
TUNED = random_state(tuned_shapes(dim=32, depth=2, classes=5))


def load(state, overrides=SMALL, *, encoder_only=False, **more):
    return from_weights(Weights(state, **more), overrides, encoder_only=encoder_only)


def reference_blocks(state, x, prefix, depth, heads):
    """The published equations, one head at a time: an implementation of its own."""
    for i in range(depth):
        b = {
            k.removeprefix(f"{prefix}blocks.{i}."): v for k, v in state.items() if k.startswith(f"{prefix}blocks.{i}.")
        }
        dim = x.shape[-1]
        h = F.layer_norm(x, (dim,), b["norm1.weight"], b["norm1.bias"], 1e-6)
        if "attn.qkv.weight" in b:
            wq, wk, wv = b["attn.qkv.weight"].split(dim)
            bq, bk, bv = b["attn.q_bias"], torch.zeros(dim), b["attn.v_bias"]
        else:
            wq, wk, wv = (b[f"attn.{part}.weight"] for part in "qkv")
            bq, bk, bv = (b[f"attn.{part}.bias"] for part in "qkv")
        q, k, v = h @ wq.T + bq, h @ wk.T + bk, h @ wv.T + bv
        width = dim // heads
        outs = []
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            score = (q[..., part] @ k[..., part].transpose(1, 2)) / width**0.5
            outs.append(score.softmax(-1) @ v[..., part])
        x = x + torch.cat(outs, -1) @ b["attn.proj.weight"].T + b["attn.proj.bias"]
        h = F.layer_norm(x, (dim,), b["norm2.weight"], b["norm2.bias"], 1e-6)
        x = x + F.gelu(h @ b["mlp.fc1.weight"].T + b["mlp.fc1.bias"]) @ b["mlp.fc2.weight"].T + b["mlp.fc2.bias"]
    return x


def embedded(state, prefix, video):
    """A convolution over the video, tokens last: (B, N, dim)."""
    kernel, bias = state[f"{prefix}patch_embed.proj.weight"], state[f"{prefix}patch_embed.proj.bias"]
    return F.conv3d(video, kernel, bias, stride=kernel.shape[2:]).flatten(2).transpose(1, 2)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


def test_a_pretrained_file_comes_back_bit_by_bit():
    model = load(PRETRAINED)
    assert isinstance(model, MaskedAutoencoder)
    assert model.spec == ModelSpec("debug", patch=8, frames=4, resolution=32)
    again = to_reference(model)
    assert set(again) == set(PRETRAINED)
    assert all(torch.equal(again[key], PRETRAINED[key]) for key in PRETRAINED)


def test_a_tuned_file_comes_back_bit_by_bit():
    model = load(TUNED)
    assert isinstance(model, Classifier)
    again = to_reference(model)
    assert set(again) == set(TUNED)
    assert all(torch.equal(again[key], TUNED[key]) for key in TUNED)


@pytest.mark.parametrize(
    ("size", "widths", "whole", "tuned"),
    [
        ("S", (384, 12, 192, 4), 24_029_376, 22_033_936),
        ("B", (768, 12, 384, 4), 94_210_944, 86_534_800),
        ("L", (1024, 24, 512, 12), 342_996_992, 304_270_736),
        ("H", (1280, 32, 640, 12), 692_487_296, 632_119_440),
    ],
)
def test_published_sizes_have_the_names_shapes_and_parameters_of_the_reference(size, widths, whole, tuned):
    dim, depth, width, layers = widths
    with torch.device("meta"):
        models = MaskedAutoencoder(ModelSpec(size)), Classifier(Encoder(ModelSpec(size)), 400)
    expected = (
        pretrained_shapes(dim=dim, depth=depth, width=width, layers=layers, patch=16),
        tuned_shapes(dim=dim, depth=depth, classes=400, patch=16),
    )
    for model, shapes, count in zip(models, expected, (whole, tuned), strict=True):
        written = {name: tuple(value.shape) for name, value in to_reference(model).items()}
        assert written == shapes
        assert sum(torch.Size(shape).numel() for shape in written.values()) == count


def test_half_precision_becomes_single():
    """DeepSpeed saves what it trained in."""
    model = load({key: value.half() for key, value in TUNED.items()})
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.equal(model.head.weight, TUNED["head.weight"].half().float())


def test_an_encoder_alone_keeps_the_names_that_fine_tuning_starts_from():
    encoder = load(PRETRAINED, encoder_only=True)
    assert isinstance(encoder, Encoder)
    assert set(to_reference(encoder)) == {key for key in PRETRAINED if key.startswith("encoder.")}


def test_the_loss_is_that_of_the_published_equations():
    model = load(PRETRAINED)
    video, mask = random_video(model.spec), random_mask(model.spec, hidden=24)
    row = torch.arange(2)[:, None]
    flat = mask.flatten(1)
    seen, hidden = (torch.stack([m.nonzero().squeeze(1) for m in part]) for part in (~flat, flat))
    x = embedded(PRETRAINED, "encoder.", normalised(video)) + sincos_1d(32, 32)
    x = reference_blocks(PRETRAINED, x[row, seen], "encoder.", 2, 2)
    x = F.layer_norm(x, (32,), PRETRAINED["encoder.norm.weight"], PRETRAINED["encoder.norm.bias"], 1e-6)
    close(model.encoder(video, mask), x)
    places = sincos_1d(32, 16)
    x = x @ PRETRAINED["encoder_to_decoder.weight"].T + places[seen]
    x = torch.cat((x, PRETRAINED["mask_token"] + places[hidden]), 1)
    x = reference_blocks(PRETRAINED, x, "decoder.", 1, 2)[:, -24:]
    x = F.layer_norm(x, (16,), PRETRAINED["decoder.norm.weight"], PRETRAINED["decoder.norm.bias"], 1e-6)
    close(
        model(video, mask, predict=True).prediction,
        x @ PRETRAINED["decoder.head.weight"].T + PRETRAINED["decoder.head.bias"],
    )


@pytest.mark.parametrize("kind", ["plain", "mmaction", "backbone"])
def test_logits_are_those_of_the_published_equations(kind):
    state = dict(TUNED)
    if kind == "mmaction":
        state = mmaction(state) | {"backbone.pos_embed": sincos_1d(32, 32)[None]}
    elif kind == "backbone":
        state = {key if key.startswith("head") else f"backbone.{key}": value for key, value in state.items()}
    model = load(state)
    video = random_video(model.encoder.spec)
    x = embedded(TUNED, "", normalised(video)) + sincos_1d(32, 32)
    x = reference_blocks(TUNED, x, "", 2, 2).mean(1)
    x = F.layer_norm(x, (32,), TUNED["fc_norm.weight"], TUNED["fc_norm.bias"], 1e-6)
    close(model(video), x @ TUNED["head.weight"].T + TUNED["head.bias"])


@pytest.mark.parametrize("classes", [None, 5])
def test_maest_computes_what_its_equations_say(classes):
    state = random_state(maest_shapes(dim=32, depth=2, grid=(2, 4, 4), patch=8, classes=classes))
    model = load(state, Overrides(heads=2), encoder_only=classes is None)
    spec = model.spec if classes is None else model.encoder.spec
    assert (spec.frames, spec.resolution, spec.position, spec.class_token) == (4, 32, "learned-separable", True)
    video, mask = random_video(spec), random_mask(spec, hidden=20)
    # Its own normalisation: mean .45 and deviation .225 of every channel.
    x = embedded(state, "", (video.float() / 255 - 0.45) / 0.225)
    x = x + (state["pos_embed_spatial"].repeat(1, 2, 1) + state["pos_embed_temporal"].repeat_interleave(16, 1))
    first = (state["cls_token"] + state["pos_embed_class"]).expand(2, -1, -1)
    if classes is None:
        x = torch.stack([clip[~hidden] for clip, hidden in zip(x, mask.flatten(1), strict=True)])
        x = reference_blocks(state, torch.cat((first, x), 1), "", 2, 2)
        x = F.layer_norm(x, (32,), state["norm.weight"], state["norm.bias"], 1e-6)
        close(model(video, mask), x[:, 1:])
    else:
        x = reference_blocks(state, torch.cat((first, x), 1), "", 2, 2)[:, 1:].mean(1)
        x = F.layer_norm(x, (32,), state["norm.weight"], state["norm.bias"], 1e-6)
        close(model(video), x @ state["head.weight"].T + state["head.bias"])


def test_what_of_maest_is_refused():
    state = random_state(maest_shapes(dim=32, depth=1, grid=(2, 4, 4), patch=8))
    with pytest.raises(ModelError, match=r"MAE-ST's autoencoder.*mgm.load_encoder"):
        load(state, Overrides(heads=2))
    with pytest.raises(ModelError, match="codes were learned for 4 frames and 16 places"):
        load(state, Overrides(heads=2, frames=8), encoder_only=True)
    joint = {k: v for k, v in state.items() if not k.startswith("pos_embed")} | {"pos_embed": torch.zeros(1, 33, 32)}
    with pytest.raises(ModelError, match="one learned code for all places"):
        load(joint, Overrides(heads=2), encoder_only=True)


def test_attention_of_an_encoder_with_a_class_token():
    state = random_state(maest_shapes(dim=32, depth=2, grid=(2, 4, 4), patch=8))
    encoder = load(state, Overrides(heads=2), encoder_only=True)
    weights = encoder.attention(random_video(encoder.spec), query=3)
    assert weights.shape == (2, 2, 32)
    assert (weights.sum(-1) < 1).all()


@pytest.mark.parametrize(
    ("dim", "width", "heads"),
    [(384, 192, (6, 3)), (768, 384, (12, 6)), (1024, 512, (16, 8)), (1280, 640, (16, 8)), (1408, 512, (16, 8))],
)
def test_heads_are_those_of_the_published_models(dim, width, heads):
    """The small model has 6, though conversions of it to Hugging Face say 16."""
    shapes = pretrained_shapes(dim=dim, depth=1, width=width, layers=1, patch=2)
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in shapes.items()}
        spec = load(state, Overrides(frames=2, resolution=4)).spec
    assert (spec.encoder.heads, spec.decoder.heads) == heads


def test_the_giant_of_v2():
    """Patches of 14 pixels, and an MLP of 48/11 the width."""
    shapes = pretrained_shapes(dim=88, depth=1, width=44, layers=1, patch=14, hidden=384)
    state = random_state(shapes)
    model = load(state, Overrides(frames=2, resolution=28, heads=8), encoder_only=True)
    assert model.spec.encoder == Stack(88, 1, 8, hidden=384)
    assert model.spec.patch == 14
    video = random_video(model.spec)
    x = embedded(state, "encoder.", normalised(video)) + sincos_1d(4, 88)
    x = reference_blocks(state, x, "encoder.", 1, 8)
    close(model(video), F.layer_norm(x, (88,), state["encoder.norm.weight"], state["encoder.norm.bias"], 1e-6))


def test_a_specification_with_another_mlp_survives_its_dictionary():
    spec = ModelSpec(Size(Stack(16, 1, 2, hidden=40), Stack(8, 1, 2)), patch=8, frames=2, resolution=16)
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    assert Stack(16, 1, 2, hidden=64) == Stack(16, 1, 2)
    assert Encoder(spec).blocks[0].mlp.fc1.out_features == 40


def test_the_command_line_in_a_file_is_believed_and_the_caller_more():
    arguments = {"num_frames": 8, "input_size": 64, "normlize_target": False, "lr": 1e-3}
    model = load(PRETRAINED, Overrides(heads=2), arguments=arguments)
    assert (model.spec.frames, model.spec.resolution) == (8, 64)
    assert type(model.target).__name__ == "Pixels"
    assert load(PRETRAINED, SMALL, arguments=arguments).spec.frames == 4
    assert load(PRETRAINED, Overrides(heads=2)).spec.video_shape == (3, 16, 224, 224)
    segments = {"num_frames": 4, "num_segments": 2, "input_size": 32}
    assert load(TUNED, Overrides(heads=2), arguments=segments).encoder.spec.frames == 8


def test_one_bias_for_queries_keys_and_values():
    state = dict(TUNED)
    for i in range(2):
        query, value = state.pop(f"blocks.{i}.attn.q_bias"), state.pop(f"blocks.{i}.attn.v_bias")
        state[f"blocks.{i}.attn.qkv.bias"] = torch.cat((query, torch.full((32,), 7.0), value))
    video = random_video(load(TUNED).encoder.spec)
    assert torch.equal(load(state)(video), load(TUNED)(video))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_fixed_code_of_places_may_be_stored_in_any_precision(dtype):
    """bfloat16 has 8 bits: it stores a sine up to 2e-3 away, 4e-3 where it is cut off and not rounded."""
    code = {"backbone.pos_embed": sincos_1d(32, 32)[None]}
    state = {key: value.to(dtype) for key, value in (mmaction(TUNED) | code).items()}
    assert torch.equal(load(state).head.weight, TUNED["head.weight"].to(dtype).float())
    cut = (sincos_1d(32, 32)[None].view(torch.int32) & -65536).view(torch.float32)
    load(TUNED | {"pos_embed": cut.to(torch.bfloat16)})
    for shape in ((), (32,), (2, 32, 32)):
        with pytest.raises(ModelError, match="not the sine-cosine code"):
            load(TUNED | {"pos_embed": torch.zeros(shape)})
    with pytest.raises(ModelError, match="not the sine-cosine code"):
        load(TUNED | {"pos_embed": (sincos_1d(32, 32) + 0.02 * torch.randn(32, 32)).to(dtype)})


@pytest.mark.parametrize("classes", [None, 5])
def test_an_incomplete_file_of_maest_names_what_is_missing(classes):
    whole = random_state(maest_shapes(dim=32, depth=2, grid=(2, 4, 4), patch=8, classes=classes))
    needed = [key for key in whole if not key.startswith(("decoder_", "mask_token")) and "attn.k.bias" not in key]
    for key in set(needed) - {"head.weight"}:
        if classes is not None or not key.startswith("norm."):
            state = {name: value for name, value in whole.items() if name != key}
            with pytest.raises(ModelError, match=r"missing|expected weights of one of"):
                load(state, Overrides(heads=2), encoder_only=classes is None)
    for key in needed:
        for shape in ((), (7,), (2, 3)):
            with pytest.raises(ModelError, match="shape"):
                load(whole | {key: torch.zeros(shape)}, Overrides(heads=2), encoder_only=classes is None)
    without = {name: value for name, value in whole.items() if name != "blocks.1.attn.v.weight"}
    with pytest.raises(
        ModelError, match=r"1 keys of MAE-ST missing \(blocks.1.attn.v.weight\).*incomplete: fetch it again"
    ):
        load(without, Overrides(heads=2), encoder_only=True)


def test_maest_without_a_class_token_and_without_its_place():
    whole = random_state(maest_shapes(dim=32, depth=1, grid=(2, 4, 4), patch=8))
    for key in ("cls_token", "pos_embed_class"):
        with pytest.raises(ModelError, match=f"missing \\({key}\\)"):
            load({name: value for name, value in whole.items() if name != key}, Overrides(heads=2), encoder_only=True)
    neither = {name: value for name, value in whole.items() if name not in ("cls_token", "pos_embed_class")}
    assert not load(neither, Overrides(heads=2), encoder_only=True).spec.class_token


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"fc_norm.weight": torch.full((32,), float("nan"))},
            "fc_norm.weight holds 32 values that are no finite numbers",
        ),
        ({"head.bias": torch.full((5,), 1e300, dtype=torch.float64)}, "head.bias holds 5 values that are no finite"),
        ({"head.weight": torch.zeros(5, 32, dtype=torch.int8)}, "found head.weight of int8, expected floating-point"),
        ({"head.weight": torch.zeros(5, 32, dtype=torch.complex64)}, "head.weight of complex64"),
        ({"head.weight": torch.zeros(())}, "head.weight of shape"),
        ({"blocks.0.mlp.fc1.weight": torch.zeros(())}, "fc1.weight of shape"),
        ({"pos_embed": torch.zeros(1, 32, 32, dtype=torch.int64)}, "pos_embed of int64"),
    ],
)
def test_weights_that_are_no_numbers_are_named(change, words):
    with pytest.raises(ModelError, match=words):
        load(TUNED | change)


def test_whole_numbers_beside_the_encoder_do_not_stand_in_its_way():
    load(PRETRAINED | {"projector.num_batches_tracked": torch.tensor(3)}, encoder_only=True)
    maest = random_state(maest_shapes(dim=32, depth=1, grid=(2, 4, 4), patch=8))
    with pytest.raises(ModelError, match=r"attn.q.weight of int32"):
        load(
            maest | {"blocks.0.attn.q.weight": torch.zeros(32, 32, dtype=torch.int32)},
            Overrides(heads=2),
            encoder_only=True,
        )


@pytest.mark.parametrize(
    "overrides", [{"frames": 0}, {"heads": 0}, {"heads": True}, {"resolution": (8, 8, 8)}, {"resolution": ()}]
)
def test_facts_are_checked(overrides):
    with pytest.raises(ModelError, match=f"^{next(iter(overrides))}: found"):
        Overrides(**overrides)


def test_parts_of_another_method_do_not_stand_in_the_way_of_the_encoder():
    state = PRETRAINED | {"projector.weight": torch.zeros(3), "decoder.head.weight": torch.zeros(7, 16)}
    assert isinstance(load(state, encoder_only=True), Encoder)
    with pytest.raises(ModelError, match=r"1 unexpected \(projector.weight\)"):
        load(state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks.0.gamma_1": torch.ones(32)}, "gamma_1, layer scale"),
        ({"pos_embed": torch.ones(1, 32, 32)}, "not the sine-cosine code"),
        ({"blocks.4.norm1.weight": torch.ones(32)}, r"found the blocks \[0, 1, 4\]"),
        ({"patch_embed.proj.weight": torch.ones(32, 3, 8, 8)}, "of a video model"),
        ({"head.weight": torch.ones(5, 31)}, r"head.weight \(5, 31\), expected \(5, 32\)"),
    ],
)
def test_what_cannot_be_built_is_named(change, words):
    with pytest.raises(ModelError, match=words):
        load(TUNED | change)


def test_an_unknown_format_lists_what_was_found_and_what_is_known():
    with pytest.raises(
        ModelError, match=r"found the keys conv1.weight; expected weights of one of: .*MAE-ST.*mmaction2"
    ):
        load({"conv1.weight": torch.zeros(1)})
    with pytest.raises(ModelError, match=r"heads of the encoder: a width of 96 does not tell them.*pass heads="):
        load(random_state(tuned_shapes(dim=96, depth=1, classes=2)), Overrides())
