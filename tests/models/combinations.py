"""Models of every backbone, decoder and target, and masks for them."""

from dataclasses import replace

import numpy as np
import torch

from mgm.masks import build_mask, mask_rng
from mgm.masks.catalog import MASKS
from mgm.models import TARGETS, Encoder, MaskedAutoencoder, ModelSpec
from mgm.models.spec import ATTENTIONS
from tests.models.tokenizers.files import dvae, vqgan

TOKENIZERS = {"vqgan-codes": vqgan, "dvae-codes": dvae}
"""A small tokenizer for each target of codes."""

FIXED_MASKS = [name for name, mask in MASKS.items() if mask.fixed_count]
BACKBONES = [(backbone, attention) for backbone, kinds in ATTENTIONS.items() for attention in kinds]


def spec_of(backbone, attention, decoder):
    return ModelSpec(
        "debug", patch=8, frames=4, resolution=32, backbone=backbone, attention=attention, decoder_attention=decoder
    )


def build(spec, target="normalised-pixels", **options):
    torch.manual_seed(0)
    return MaskedAutoencoder(spec, target=target, **networks(spec, target), **options)


def networks(spec, target):
    """The frozen network that a target needs, as arguments of a model."""
    kind = TARGETS[target].needs if isinstance(target, str) else None
    if kind is None:
        return {}
    if kind == "teacher":
        return {"teacher": Encoder(spec)}
    if kind == "image_teacher":
        return {"image_teacher": Encoder(replace(spec, frames=1, tubelet=1, backbone="vit", attention=None))}
    return {"tokenizer": TOKENIZERS[target]()}


def draw(name, spec):
    motion = np.random.default_rng(0).normal(size=(spec.frames, 4, 4, 2)).astype(np.float32)
    mask = build_mask(name)
    drawn = [mask.draw(spec.grid, 0.75, motion, mask_rng(0, 0, i, 0)).masked for i in range(2)]
    return mask.equal_steps, torch.from_numpy(np.stack(drawn))


def loss_of(model, video, mask, decode=None):
    return model(video, mask, decode, motion=random_motion(model)).loss


def random_motion(model):
    """float32 (2, T, h, w, 2) in the resolution that the model reads; None if it reads none."""
    if not model.reads_motion:
        return None
    rows, columns = (model.motion_parts * side for side in model.spec.grid[1:])
    shape = (2, model.spec.frames, rows, columns, 2)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))
