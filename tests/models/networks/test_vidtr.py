"""VidTr, compared with its equations written one query and one head at a time."""

import pytest
import torch

from mgm.errors import ModelError
from mgm.models.networks.entry import NetworkOptions
from mgm.models.networks.vidtr import ENTRIES, VidTr, VidTrSpec, from_pth
from mgm.models.networks.weights import classes_of, load_renamed
from tests.errors import raises

ROWS, COLUMNS, DIM, HEADS, CLASSES = 4, 5, 12, 3, 6
"""Of the grid of tokens: 1 + 3 frames, 1 + 4 patches."""
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def spec(layerwise=False):
    return VidTrSpec(3, size=16, patch=8, dim=DIM, depth=2, heads=HEADS, hidden=20, layerwise_position=layerwise)


def pth_state():
    """The names and shapes of a file of the authors with random weights."""
    shapes = {
        "conv_stem.weight": (DIM, 3, 1, 8, 8),
        "conv_stem.bias": (DIM,),
        "pos_embedding": (1, ROWS * COLUMNS, DIM),
        "cls_s": (ROWS - 1, 1, DIM),
        "cls_t": (1, COLUMNS, DIM),
        "encoder.norm.weight": (DIM,),
        "encoder.norm.bias": (DIM,),
        "fc.weight": (CLASSES, DIM),
        "fc.bias": (CLASSES,),
    }
    for i in range(2):
        layer = f"encoder.layers.{i}"
        shapes |= {f"{layer}.{norm}.{kind}": (DIM,) for norm in ("norm1", "norm2") for kind in ("weight", "bias")}
        shapes |= {f"{layer}.self_attn.in_proj_weight": (3 * DIM, DIM), f"{layer}.self_attn.in_proj_bias": (3 * DIM,)}
        shapes |= {f"{layer}.self_attn.out_proj.weight": (DIM, DIM), f"{layer}.self_attn.out_proj.bias": (DIM,)}
        shapes |= {f"{layer}.linear1.weight": (20, DIM), f"{layer}.linear1.bias": (20,)}
        shapes |= {f"{layer}.linear2.weight": (DIM, 20), f"{layer}.linear2.bias": (DIM,)}
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) * 0.4 for name, shape in shapes.items()}


def norm(w, name, x):
    return (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def attention(w, name, grid):
    """grid: ROWS lists of COLUMNS vectors. Returns the same."""
    width = DIM // HEADS
    qkv = [[w[f"{name}.in_proj_weight"] @ x + w[f"{name}.in_proj_bias"] for x in row] for row in grid]
    out = [[torch.zeros(DIM) for _ in row] for row in grid]
    for head in range(HEADS):
        q, k, v = (
            [[x[part * DIM + head * width : part * DIM + (head + 1) * width] for x in row] for row in qkv]
            for part in range(3)
        )
        timed = [[torch.zeros(width)] * COLUMNS for _ in range(ROWS)]
        for r in range(ROWS):
            for c in range(COLUMNS):  # all rows of one column
                scores = torch.stack([q[r][c] @ k[other][c] for other in range(ROWS)]) / width**0.5
                timed[r][c] = sum(a * v[other][c] for other, a in enumerate(scores.softmax(0)))
        for r in range(ROWS):
            for c in range(COLUMNS):  # all columns of one row
                scores = torch.stack([q[r][c] @ k[r][other] for other in range(COLUMNS)]) / width**0.5
                mixed = sum(a * timed[r][other] for other, a in enumerate(scores.softmax(0)))
                out[r][c][head * width : (head + 1) * width] = mixed
    return [[w[f"{name}.out_proj.weight"] @ x + w[f"{name}.out_proj.bias"] for x in row] for row in out]


def logits(w, video, layerwise):
    """video: (3, T, H, W), uint8."""
    x = (video / 255 - MEAN.view(3, 1, 1, 1)) / STD.view(3, 1, 1, 1)
    grid = [list(w["cls_t"][0])]
    for t in range(ROWS - 1):
        patches = [x[:, t, i : i + 8, j : j + 8] for i in (0, 8) for j in (0, 8)]
        kernel = w["conv_stem.weight"][:, :, 0]
        grid.append([w["cls_s"][t, 0], *((kernel * p).sum((1, 2, 3)) + w["conv_stem.bias"] for p in patches)])
    for i in range(2):
        name = f"encoder.layers.{i}"
        inputs = [[norm(w, f"{name}.norm1", x) for x in row] for row in grid]
        if i == 0 or layerwise:
            inputs = [
                [x + w["pos_embedding"][0, r * COLUMNS + c] for c, x in enumerate(row)] for r, row in enumerate(inputs)
            ]
        mixed = attention(w, f"{name}.self_attn", inputs)
        for r in range(ROWS):
            for c in range(COLUMNS):
                x = grid[r][c] + mixed[r][c]
                hidden = w[f"{name}.linear1.weight"] @ norm(w, f"{name}.norm2", x) + w[f"{name}.linear1.bias"]
                grid[r][c] = x + w[f"{name}.linear2.weight"] @ hidden.clamp(min=0) + w[f"{name}.linear2.bias"]
    return w["fc.weight"] @ norm(w, "encoder.norm", grid[0][0]) + w["fc.bias"]


@pytest.mark.parametrize("layerwise", [False, True])
def test_it_follows_the_equations(layerwise):
    state = pth_state()
    network = VidTr(spec(layerwise), classes=classes_of(state, from_pth)).eval()
    load_renamed(network, state, from_pth)
    video = torch.randint(0, 256, (2, 3, 3, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        found = network(video)
        expected = torch.stack([logits(state, one, layerwise) for one in video])
    assert found.std() > 0.1
    assert (found - expected).abs().max() <= 1e-5
    assert network.tokens(video).shape == (2, ROWS * COLUMNS, DIM)


@pytest.mark.parametrize("name", ["cls_s", "encoder.layers.1.self_attn.in_proj_bias"])
def test_wrong_weights_are_named(name):
    state = pth_state()
    for wrong, reason in (
        ({key: value for key, value in state.items() if key != name}, "mismatch"),
        (state | {f"{name}.extra": torch.zeros(1)}, "mismatch"),
        (state | {name: torch.zeros(2, 2)}, "invalid_shape"),
    ):
        with raises(ModelError, reason) as caught:
            load_renamed(VidTr(spec(), classes=CLASSES), wrong, from_pth)
        assert name in caught.value.found


def test_only_vidtr_m_has_positions_in_every_layer():
    with torch.device("meta"):
        assert {entry.name for entry in ENTRIES if entry.build(NetworkOptions(classes=2)).layerwise_position} == {
            "vidtr-m"
        }


def test_dropout_acts_in_training_alone():
    state = pth_state()
    network = VidTr(spec(), classes=CLASSES)
    load_renamed(network, state, from_pth)
    video = torch.rand(1, 3, 3, 16, 16)
    assert not torch.equal(network.train()(video), network(video))
    assert torch.equal(network.eval()(video), network(video))
