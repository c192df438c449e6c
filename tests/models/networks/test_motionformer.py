"""Motionformer, compared with its equations written one query, one step and one head at a time."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mgm.errors import ModelError
from mgm.models.networks.motionformer import ENTRIES, Motionformer, MotionformerSpec
from mgm.models.networks.weights import classes_of, load_renamed, same_name
from tests.errors import raises

SMALL = MotionformerSpec(frames=6, tubelet=2, size=16, patch=8, dim=12, depth=2, heads=3, drop_path=0.0)
STEPS, PLACES, CLASSES = 3, 4, 5


def pyth_state(seed=0):
    """The names and shapes of a file of the authors with random weights."""
    dim, shapes = SMALL.dim, {}
    for i in range(SMALL.depth):
        block = f"blocks.{i}"
        shapes |= {f"{block}.{norm}.{kind}": (dim,) for norm in ("norm1", "norm2") for kind in ("weight", "bias")}
        layers = {"attn.qkv": (3, 1), "attn.proj_q": (1, 1), "attn.proj_kv": (2, 1), "attn.proj": (1, 1)}
        for name, (rows, columns) in (layers | {"mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}).items():
            shapes |= {f"{block}.{name}.weight": (rows * dim, columns * dim), f"{block}.{name}.bias": (rows * dim,)}
    shapes |= {"cls_token": (1, 1, dim), "pos_embed": (1, PLACES + 1, dim), "temp_embed": (1, STEPS, dim)}
    shapes |= {"patch_embed.proj.weight": (dim, 3, 8, 8), "patch_embed.proj.bias": (dim,)}
    shapes |= {"patch_embed_3d.proj.weight": (dim, 3, 2, 8, 8), "patch_embed_3d.proj.bias": (dim,)}
    shapes |= {"norm.weight": (dim,), "norm.bias": (dim,)}
    shapes |= {"pre_logits.fc.weight": (dim, dim), "pre_logits.fc.bias": (dim,)}
    shapes |= {"head.weight": (CLASSES, dim), "head.bias": (CLASSES,)}
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}


def linear(w, name, x):
    return w[f"{name}.weight"] @ x + w[f"{name}.bias"]


def norm(w, name, x):
    return (x - x.mean()) / (x.var(unbiased=False) + 1e-6).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def attend(query, keys, values):
    """One query of one head: softmax(q k / sqrt(d)) v over lists of keys and values."""
    scores = torch.stack([query @ key for key in keys]) / len(query) ** 0.5
    return sum(weight * value for weight, value in zip(scores.softmax(0), values, strict=True))


def trajectory_attention(w, name, tokens, values):
    """tokens: 1 + STEPS * PLACES vectors. Returns as many."""
    dim, width = SMALL.dim, SMALL.dim // SMALL.heads
    heads = [slice(h * width, (h + 1) * width) for h in range(SMALL.heads)]
    qkv = [linear(w, f"{name}.qkv", x) for x in tokens]
    q, k, v = ([x[part * dim : (part + 1) * dim] for x in qkv] for part in range(3))
    out = [torch.cat([attend(q[0][h], [x[h] for x in k], [x[h] for x in v]) for h in heads])]
    for s in range(1, len(tokens)):
        trajectory = []
        for f in range(STEPS):
            step = range(1 + f * PLACES, 1 + (f + 1) * PLACES)
            trajectory.append(
                torch.cat([attend(q[s][h], [k[n][h] for n in step], [v[n][h] for n in step]) for h in heads])
            )
        query = linear(w, f"{name}.proj_q", trajectory[(s - 1) // PLACES])
        projected = [linear(w, f"{name}.proj_kv", x) for x in trajectory]
        keys = [x[:dim] for x in projected]
        mixed = trajectory if values == "input" else [x[dim:] for x in projected]
        out.append(torch.cat([attend(query[h], [x[h] for x in keys], [x[h] for x in mixed]) for h in heads]))
    return [linear(w, f"{name}.proj", x) for x in out]


def logits(w, video, values):
    """video: (3, T, H, W), uint8."""
    x = (video / 255 - 0.5) / 0.5
    tokens = [w["cls_token"][0, 0] + w["pos_embed"][0, 0]]
    for f in range(STEPS):
        for row in range(2):
            for column in range(2):
                patch = x[:, 2 * f : 2 * f + 2, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
                embedded = (w["patch_embed_3d.proj.weight"] * patch).sum((1, 2, 3, 4)) + w["patch_embed_3d.proj.bias"]
                tokens.append(embedded + w["pos_embed"][0, 1 + 2 * row + column] + w["temp_embed"][0, f])
    for i in range(SMALL.depth):
        mixed = trajectory_attention(w, f"blocks.{i}.attn", [norm(w, f"blocks.{i}.norm1", t) for t in tokens], values)
        tokens = [t + m for t, m in zip(tokens, mixed, strict=True)]
        for n, t in enumerate(tokens):
            hidden = torch.nn.functional.gelu(linear(w, f"blocks.{i}.mlp.fc1", norm(w, f"blocks.{i}.norm2", t)))
            tokens[n] = t + linear(w, f"blocks.{i}.mlp.fc2", hidden)
    return linear(w, "head", linear(w, "pre_logits.fc", norm(w, "norm", tokens[0])).tanh())


def loaded(state, **changes):
    network = Motionformer(replace(SMALL, **changes), classes=classes_of(state, same_name)).eval()
    load_renamed(network, state, same_name)
    return network


@pytest.mark.parametrize("values", ["input", "projected"])
def test_it_follows_the_equations(values):
    state = pyth_state()
    video = torch.randint(0, 256, (2, 3, 6, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        found = loaded(state, values=values)(video)
        expected = torch.stack([logits(state, one, values) for one in video])
    assert found.std() > 0.1
    assert (found - expected).abs().max() <= 1e-5


def test_published_weights_do_not_use_the_projected_values():
    first, other = pyth_state(), pyth_state()
    for i in range(SMALL.depth):
        other[f"blocks.{i}.attn.proj_kv.weight"][SMALL.dim :] = 7.0
    video = torch.randint(0, 256, (1, 3, 6, 16, 16), dtype=torch.uint8)
    assert torch.equal(loaded(first)(video), loaded(other)(video))
    assert not torch.equal(loaded(first, values="projected")(video), loaded(other, values="projected")(video))


def test_gradients_reach_all_that_is_used():
    network = loaded(pyth_state()).train()
    network(torch.rand(1, 3, 6, 16, 16)).sum().backward()
    unused = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert unused == ["patch_embed.proj.weight", "patch_embed.proj.bias"]


@pytest.mark.parametrize("name", ["temp_embed", "blocks.1.attn.proj_q.weight"])
def test_wrong_weights_are_named(name):
    state = pyth_state()
    for wrong, reason in (
        ({key: value for key, value in state.items() if key != name}, "mismatch"),
        (state | {f"{name}.extra": torch.zeros(1)}, "mismatch"),
        (state | {name: torch.zeros(2, 2)}, "invalid_shape"),
    ):
        with raises(ModelError, reason) as caught:
            load_renamed(Motionformer(SMALL, classes=CLASSES), wrong, same_name)
        assert name in caught.value.found


def test_the_work_of_the_authors_code():
    """Their code computes the values that it does not use: 369.4 G, and .76 of that here."""
    totals = {"input": 0.0, "projected": 0.0}
    for values in totals:
        one, two = (work(MotionformerSpec(values=values, depth=depth)) for depth in (1, 2))
        totals[values] = round((one + 11 * (two - one)) / 1e9, 1)
    assert totals == {"input": ENTRIES[0].gmacs, "projected": 369.4}


def work(spec):
    """Multiply-accumulates of a view."""
    with torch.device("meta"):
        network = Motionformer(spec, classes=400).eval().requires_grad_(False)
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, spec.frames, spec.size, spec.size))
    return counter.get_total_flops() // 2


def test_tubelets_must_fill_the_clip():
    with raises(ModelError, "invalid_value", subject="frames"):
        Motionformer(replace(SMALL, frames=5), classes=2)
