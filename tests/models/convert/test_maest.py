"""Checkpoints of MAE-ST, compared with its equations."""

import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models.convert import Overrides
from tests.errors import raises
from tests.models.clips import random_mask, random_video
from tests.models.convert.checkpoints import close, embedded, load, reference_blocks
from tests.models.reference import maest_shapes, random_state


@pytest.mark.parametrize("classes", [None, 5])
def test_maest_equals_its_equations(classes):
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


def test_unsupported_parts_of_maest():
    state = random_state(maest_shapes(dim=32, depth=1, grid=(2, 4, 4), patch=8))
    with raises(ModelError, "unsupported", message="checkpoint-maest-autoencoder"):
        load(state, Overrides(heads=2))
    with raises(ModelError, "mismatch", subject="position", message="checkpoint-maest-other-clip"):
        load(state, Overrides(heads=2, frames=8), encoder_only=True)
    joint = {k: v for k, v in state.items() if not k.startswith("pos_embed")} | {"pos_embed": torch.zeros(1, 33, 32)}
    with raises(ModelError, "unsupported", subject="state dict"):
        load(joint, Overrides(heads=2), encoder_only=True)


def test_attention_of_an_encoder_with_a_class_token():
    state = random_state(maest_shapes(dim=32, depth=2, grid=(2, 4, 4), patch=8))
    encoder = load(state, Overrides(heads=2), encoder_only=True)
    weights = encoder.attention(random_video(encoder.spec), query=3)
    assert weights.shape == (2, 2, 32)
    assert (weights.sum(-1) < 1).all()


@pytest.mark.parametrize("classes", [None, 5])
def test_an_incomplete_file_of_maest(classes):
    whole = random_state(maest_shapes(dim=32, depth=2, grid=(2, 4, 4), patch=8, classes=classes))
    needed = [key for key in whole if not key.startswith(("decoder_", "mask_token")) and "attn.k.bias" not in key]
    for key in set(needed) - {"head.weight"}:
        if classes is not None or not key.startswith("norm."):
            state = {name: value for name, value in whole.items() if name != key}
            with pytest.raises(ModelError) as caught:
                load(state, Overrides(heads=2), encoder_only=classes is None)
            assert caught.value.reason in ("malformed", "mismatch")
    for key in needed:
        for shape in ((), (7,), (2, 3)):
            with raises(ModelError, "invalid_shape"):
                load(whole | {key: torch.zeros(shape)}, Overrides(heads=2), encoder_only=classes is None)
    without = {name: value for name, value in whole.items() if name != "blocks.1.attn.v.weight"}
    with raises(ModelError, "malformed", subject="state dict", message="checkpoint-maest-incomplete"):
        load(without, Overrides(heads=2), encoder_only=True)


def test_maest_without_a_class_token_and_its_position():
    whole = random_state(maest_shapes(dim=32, depth=1, grid=(2, 4, 4), patch=8))
    for key in ("cls_token", "pos_embed_class"):
        with raises(ModelError, "malformed", subject="state dict"):
            load({name: value for name, value in whole.items() if name != key}, Overrides(heads=2), encoder_only=True)
    neither = {name: value for name, value in whole.items() if name not in ("cls_token", "pos_embed_class")}
    assert not load(neither, Overrides(heads=2), encoder_only=True).spec.class_token
