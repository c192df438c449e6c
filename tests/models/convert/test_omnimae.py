"""Checkpoints of OmniMAE, compared with its equations: a full bias of the attention, and the norm after the mean."""

import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models import Classifier, Encoder
from mgm.models.position import sincos_1d
from tests.errors import raises
from tests.models.clips import random_mask, random_video
from tests.models.convert.checkpoints import close, embedded, load, reference_blocks
from tests.models.reference import Shapes, block_shapes, random_state


def omnimae_shapes(*, classes: int | None = None) -> Shapes:
    """Width 32, two blocks, clips of 4 frames of 32 px in patches of 8; the decoder's names without its sizes."""
    shapes: Shapes = {
        "trunk.patch_embed.proj.1.weight": (32, 3, 2, 8, 8),
        "trunk.patch_embed.proj.1.bias": (32,),
        "trunk.norm.weight": (32,),
        "trunk.norm.bias": (32,),
    }
    for i in range(2):
        block = block_shapes(f"trunk.blocks.{i}", 32, 128)
        shapes |= {key: shape for key, shape in block.items() if "_bias" not in key}
        shapes[f"trunk.blocks.{i}.attn.qkv.bias"] = (96,)
    if classes is not None:
        return shapes | {"head.weight": (classes, 32), "head.bias": (classes,)}
    return shapes | {
        "trunk.mask_token": (1, 1, 32),
        "trunk.decoder.pos_embed": (1, 32, 16),
        "trunk.decoder.decoder_embed.weight": (16, 32),
        "trunk.decoder.decoder_blocks.0.attn.qkv.weight": (48, 16),
        "trunk.decoder.norm.weight": (16,),
        "head.bias": (384,),
    }


def omnimae_state(classes=None):
    state = random_state(omnimae_shapes(classes=classes))
    return {key: value for key, value in state.items() if key != "head.bias" or classes is not None} | {
        "trunk.pos_embed": sincos_1d(32, 32)[None]
    }


def tokens_by_hand(state, video, mask=None):
    """Its encoder without the last norm."""
    bare = {key.removeprefix("trunk."): value for key, value in state.items()}
    for i in range(2):
        for name in ("weight", "bias"):
            parts = bare.pop(f"blocks.{i}.attn.qkv.{name}").chunk(3)
            bare |= {f"blocks.{i}.attn.{part}.{name}": rows for part, rows in zip("qkv", parts, strict=True)}
    kernel = {f"patch_embed.proj.{name}": bare[f"patch_embed.proj.1.{name}"] for name in ("weight", "bias")}
    mean, std = (torch.tensor(v).view(3, 1, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = embedded(kernel, "", (video / 255 - mean) / std) + bare["pos_embed"]
    if mask is not None:
        x = torch.stack([clip[~hidden] for clip, hidden in zip(x, mask.flatten(1), strict=True)])
    return reference_blocks(bare, x, "", 2, 2)


def test_the_encoder_equals_its_equations():
    state = omnimae_state()
    encoder = load(state, encoder_only=True)
    assert isinstance(encoder, Encoder)
    video, mask = random_video(encoder.spec), random_mask(encoder.spec, hidden=20)
    x = tokens_by_hand(state, video, mask)
    close(encoder(video, mask), F.layer_norm(x, (32,), state["trunk.norm.weight"], state["trunk.norm.bias"], 1e-6))


def test_the_classifier_equals_its_equations():
    state = omnimae_state(classes=5)
    model = load(state)
    assert isinstance(model, Classifier)
    video = random_video(model.encoder.spec)
    x = tokens_by_hand(state, video).mean(1)
    x = F.layer_norm(x, (32,), state["trunk.norm.weight"], state["trunk.norm.bias"], 1e-6)
    close(model(video), x @ state["head.weight"].T + state["head.bias"])
    close(load(state, encoder_only=True)(video), tokens_by_hand(state, video))


def test_its_decoder_is_refused():
    with raises(ModelError, "unsupported"):
        load(omnimae_state())


def _missing(state):
    del state["trunk.blocks.1.mlp.fc2.bias"]


def _extra(state):
    state["trunk.blocks.1.attn.rel"] = torch.zeros(3)


def _misshapen(state):
    state["trunk.blocks.0.attn.proj.weight"] = torch.zeros(32, 31)


def _learned(state):
    state["trunk.pos_embed"] = torch.zeros(1, 32, 32)


@pytest.mark.parametrize(
    ("damage", "reason", "named"),
    [
        (_missing, "mismatch", "blocks.1.mlp.fc2.bias"),
        (_extra, "mismatch", "blocks.1.attn.rel"),
        (_misshapen, "invalid_shape", "blocks.0.attn.proj.weight"),
        (_learned, "unsupported", "pos_embed"),
    ],
)
def test_names_what_does_not_fit(damage, reason, named):
    state = omnimae_state(classes=5)
    damage(state)
    with raises(ModelError, reason, subject="state dict") as caught:
        load(state)
    assert named in caught.value.found
