"""What the transformers of the catalog share: the grid of their patches, and how they start."""

from __future__ import annotations

from torch import nn

from mgm.errors import ModelError


def patches_per_side(size: int, patch: int) -> int:
    """Patches along a side of a square frame of `size` pixels. Raises ModelError unless they fill it."""
    if size < patch or size % patch:
        raise ModelError("size", f"found {size} pixels", f"a multiple of the patch, {patch}", reason="invalid_value")
    return size // patch


def tubelets_per_clip(frames: int, tubelet: int) -> int:
    """Tubelets of `tubelet` frames in a clip. Raises ModelError unless they fill it."""
    if frames < tubelet or frames % tubelet:
        expected = f"a multiple of the tubelet, {tubelet}"
        raise ModelError("frames", f"found {frames}", expected, reason="invalid_value")
    return frames // tubelet


def start_linear_layers(module: nn.Module) -> None:
    """Initialise every linear layer as ViT's authors do: truncated normal weights of deviation .02, biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
