"""MAE-ST under PySlowFast's names: the same model as under its own."""

import pytest
import torch

from mgm.errors import ModelError
from mgm.models.convert import Overrides
from tests.errors import raises
from tests.models.clips import random_video
from tests.models.convert.checkpoints import load
from tests.models.reference import maest_shapes, random_state

TWO_HEADS = Overrides(heads=2)


def pyslowfast(state):
    """A state dict of MAE-ST as PySlowFast writes it, with the beginnings of its decoder."""
    theirs = {}
    for key, value in state.items():
        if key.endswith((".attn.q.weight", ".attn.q.bias")) and key.startswith("blocks."):
            parts = [state[key.replace(".attn.q.", f".attn.{part}.")] for part in "qkv"]
            theirs[key.replace(".attn.q.", ".attn.qkv.")] = torch.cat(parts)
        elif ".attn.k." not in key and ".attn.v." not in key and not key.startswith("decoder_blocks"):
            theirs[key.replace("head.", "head.projection.")] = value
    if "head.weight" not in state:
        theirs |= {
            "pred_head.transforms.0.0.attn.qkv.weight": torch.zeros(96, 32),
            "pred_head.projections.0.weight": torch.zeros(192, 32),
            "decoder_pos_embed": torch.zeros(1, 33, 32),
        }
    return theirs


@pytest.mark.parametrize("classes", [None, 5])
def test_it_is_the_model_of_the_other_names(classes):
    state = random_state(maest_shapes(dim=32, depth=2, grid=(2, 4, 4), patch=8, classes=classes))
    found, expected = (load(s, TWO_HEADS, encoder_only=classes is None) for s in (pyslowfast(state), state))
    video = random_video(expected.spec if classes is None else expected.encoder.spec)
    assert torch.equal(found(video), expected(video))


def test_its_decoder_is_refused():
    state = pyslowfast(random_state(maest_shapes(dim=32, depth=1, grid=(2, 4, 4), patch=8)))
    with raises(ModelError, "unsupported"):
        load(state, TWO_HEADS)


def _missing(state):
    del state["blocks.1.norm2.bias"]


def _extra(state):
    state["blocks.1.extra"] = torch.zeros(3)


def _misshapen(state):
    state["blocks.0.attn.qkv.weight"] = torch.zeros(95, 32)


@pytest.mark.parametrize(
    ("damage", "reason", "named"),
    [
        (_missing, "mismatch", "blocks.1.norm2.bias"),
        (_extra, "mismatch", "blocks.1.extra"),
        (_misshapen, "invalid_shape", "blocks.0.attn.qkv.weight"),
    ],
)
def test_names_what_does_not_fit(damage, reason, named):
    state = pyslowfast(random_state(maest_shapes(dim=32, depth=2, grid=(2, 4, 4), patch=8, classes=5)))
    damage(state)
    with raises(ModelError, reason, subject="state dict") as caught:
        load(state, TWO_HEADS)
    assert named in caught.value.found


def test_mvit_shares_its_names_and_is_not_it():
    state = pyslowfast(random_state(maest_shapes(dim=32, depth=1, grid=(2, 4, 4), patch=8, classes=5)))
    state["blocks.0.attn.pool_k.weight"] = torch.zeros(32, 1, 3, 3, 3)
    with raises(ModelError, "mismatch") as caught:
        load(state, TWO_HEADS)
    assert "--model" in caught.value.advice
    assert "mvitv1-b-16x4" in caught.value.advice
