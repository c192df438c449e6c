"""State dicts with random values under the names that other programs give them, written down from their formats."""

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def block_shapes(prefix: str, dim: int, hidden: int) -> Shapes:
    """A block of VideoMAE."""
    return {
        f"{prefix}.norm1.weight": (dim,),
        f"{prefix}.norm1.bias": (dim,),
        f"{prefix}.attn.q_bias": (dim,),
        f"{prefix}.attn.v_bias": (dim,),
        f"{prefix}.attn.qkv.weight": (3 * dim, dim),
        f"{prefix}.attn.proj.weight": (dim, dim),
        f"{prefix}.attn.proj.bias": (dim,),
        f"{prefix}.norm2.weight": (dim,),
        f"{prefix}.norm2.bias": (dim,),
        f"{prefix}.mlp.fc1.weight": (hidden, dim),
        f"{prefix}.mlp.fc1.bias": (hidden,),
        f"{prefix}.mlp.fc2.weight": (dim, hidden),
        f"{prefix}.mlp.fc2.bias": (dim,),
    }


def pretrained_shapes(
    *, dim: int, depth: int, width: int, layers: int, patch: int = 8, hidden: int | None = None
) -> Shapes:
    """VideoMAE's pre-training: encoder of `dim` and `depth`, decoder of `width` and `layers`."""
    shapes: Shapes = {
        "encoder.patch_embed.proj.weight": (dim, 3, 2, patch, patch),
        "encoder.patch_embed.proj.bias": (dim,),
        "encoder.norm.weight": (dim,),
        "encoder.norm.bias": (dim,),
        "encoder_to_decoder.weight": (width, dim),
        "mask_token": (1, 1, width),
        "decoder.norm.weight": (width,),
        "decoder.norm.bias": (width,),
        "decoder.head.weight": (2 * patch * patch * 3, width),
        "decoder.head.bias": (2 * patch * patch * 3,),
    }
    for i in range(depth):
        shapes |= block_shapes(f"encoder.blocks.{i}", dim, hidden or 4 * dim)
    for i in range(layers):
        shapes |= block_shapes(f"decoder.blocks.{i}", width, 4 * width if hidden is None else hidden * width // dim)
    return shapes


def tuned_shapes(*, dim: int, depth: int, classes: int, patch: int = 8, hidden: int | None = None) -> Shapes:
    """VideoMAE's fine-tuning."""
    shapes: Shapes = {
        "patch_embed.proj.weight": (dim, 3, 2, patch, patch),
        "patch_embed.proj.bias": (dim,),
        "fc_norm.weight": (dim,),
        "fc_norm.bias": (dim,),
        "head.weight": (classes, dim),
        "head.bias": (classes,),
    }
    for i in range(depth):
        shapes |= block_shapes(f"blocks.{i}", dim, hidden or 4 * dim)
    return shapes


def mmaction(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A fine-tuned state dict of VideoMAE as mmaction2 names it."""
    names = {
        "patch_embed.proj": "patch_embed.projection",
        "mlp.fc1": "mlp.layers.0.0",
        "mlp.fc2": "mlp.layers.1",
        "head": "cls_head.fc_cls",
    }
    renamed = {}
    for key, value in state.items():
        for theirs, mine in names.items():
            key = key.replace(theirs, mine)
        renamed[key if key.startswith("cls_head") else f"backbone.{key}"] = value
    return renamed


def maest_shapes(*, dim: int, depth: int, grid: tuple[int, int, int], patch: int, classes: int | None = None) -> Shapes:
    """MAE-ST's encoder and decoder, or with `classes` its classifier."""
    shapes: Shapes = {
        "cls_token": (1, 1, dim),
        "pos_embed_spatial": (1, grid[1] * grid[2], dim),
        "pos_embed_temporal": (1, grid[0], dim),
        "pos_embed_class": (1, 1, dim),
        "patch_embed.proj.weight": (dim, 3, 2, patch, patch),
        "patch_embed.proj.bias": (dim,),
        "norm.weight": (dim,),
        "norm.bias": (dim,),
    }
    for i in range(depth):
        block = block_shapes(f"blocks.{i}", dim, 4 * dim)
        shapes |= {key: shape for key, shape in block.items() if "qkv" not in key and "_bias" not in key}
        shapes |= {f"blocks.{i}.attn.{part}.weight": (dim, dim) for part in "qkv"}
        shapes |= {f"blocks.{i}.attn.{part}.bias": (dim,) for part in "qkv"}
    if classes is not None:
        return shapes | {"head.weight": (classes, dim), "head.bias": (classes,)}
    return shapes | {
        "decoder_cls_token": (1, 1, dim),
        "mask_token": (1, 1, dim),
        "decoder_embed.weight": (dim, dim),
        "decoder_blocks.0.attn.q.weight": (dim, dim),
        "decoder_pos_embed_spatial": (1, grid[1] * grid[2], dim),
        "decoder_pred.weight": (patch * patch * 3, dim),
    }


def random_state(shapes: Shapes, *, seed: int = 0, std: float = 0.1) -> dict[str, Tensor]:
    """Normal values, so that no bias is zero and no norm is the identity."""
    generator = torch.Generator().manual_seed(seed)
    return {name: std * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
