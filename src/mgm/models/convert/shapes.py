"""A model from a state dict in this package's names: what is missing to build it shows in the shapes.

Such a state dict has the names of `MaskedAutoencoder`, of `Classifier`, or only those that start with `encoder.`; the
embedding of patches is still a convolution, (dim, 3, tubelet, patch, patch), whose shape tells the size of a token.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.autoencoder import MaskedAutoencoder
from mgm.models.classifier import Classifier
from mgm.models.encoder import Encoder
from mgm.models.sizes import SIZES, ModelSpec, Size, Stack, check_positive, check_resolution

Model = MaskedAutoencoder | Classifier | Encoder

PATCH_KERNEL: Final = "encoder.patch_embed.weight"
# Shapes do not tell heads: these are those of the models that were published with such widths (1408: V2's giant).
_ENCODER_HEADS: Final = {192: 3, 1408: 16} | {size.encoder.dim: size.encoder.heads for size in SIZES.values()}
_DECODER_HEADS: Final = {size.decoder.dim: size.decoder.heads for size in SIZES.values()}


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the names and shapes of a state dict do not tell; None: not known, so the field's usual value is taken.

    frames, resolution: of the clips, usually 16 and 224. heads: of the encoder; decoder_heads: of the decoder. target: a
    name of `TARGETS`. norm_eps, head_norm_eps: as in `ModelSpec`, usually the reference's. labels: names of the classes.
    Raises ModelError where a number is none of those.
    """

    frames: int | None = None
    resolution: int | tuple[int, int] | None = None
    heads: int | None = None
    decoder_heads: int | None = None
    norm_eps: float | None = None
    head_norm_eps: float | None = None
    target: str = "normalised-pixels"
    labels: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in ("frames", "heads", "decoder_heads"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        if self.resolution is not None:
            check_resolution(self.resolution)


def build(ours: Mapping[str, Tensor], overrides: Overrides) -> Model:
    """The model of a state dict; an autoencoder where it has a decoder's head, a classifier where it has a head.

    Raises ModelError when names are missing or too many, or shapes do not fit together.
    """
    spec = infer_spec(ours, overrides)
    state = dict(ours) | {PATCH_KERNEL: flattened(ours[PATCH_KERNEL])}
    model: Model
    if "decoder.head.weight" in ours:
        model = MaskedAutoencoder(spec, target=overrides.target)
    elif "head.weight" in ours:
        classes = rows_of(ours, "head.weight")
        labels = overrides.labels if overrides.labels is not None and len(overrides.labels) == classes else None
        model = Classifier(Encoder(spec), classes, labels=labels)
    else:
        model = Encoder(spec)
        state = {key.removeprefix("encoder."): value for key, value in state.items()}
    fill(model, state)
    return model


def apply_overrides(spec: ModelSpec, overrides: Overrides) -> ModelSpec:
    """The specification for the frames, the resolution and the heads of `facts`, where it has any; fixed codes are computed
    anew (`Encoder.at` interpolates them).

    Raises ModelError where patches or heads do not fit, or the codes of places were learned.
    """
    other = replace(spec, frames=overrides.frames or spec.frames, resolution=overrides.resolution or spec.resolution)
    if overrides.heads not in (None, spec.encoder.heads):
        size, depth = named_size(replace(spec.encoder, heads=overrides.heads), spec.decoder)
        other = replace(other, size=size, decoder_depth=depth, decoder_dim=None)
    if other.grid != spec.grid and spec.position == "learned-separable":
        raise ModelError(
            "positions: learned codes are not recomputed; leave frames and resolution as they are, and stretch them with "
            "encoder.at(..., position='interpolated')"
        )
    return other


def fill(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict, in the precision of the model. Raises ModelError that names what is missing, what does not belong
    there, what has another shape, and what is no number.
    """
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    missing, unexpected = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    if missing or unexpected:
        raise ModelError(
            f"state dict: {len(missing)} keys missing ({', '.join(missing[:3])}), "
            f"{len(unexpected)} unexpected ({', '.join(unexpected[:3])})"
        )
    wrong = [
        f"{key} {tuple(state[key].shape)}, expected {shape}"
        for key, shape in expected.items()
        if tuple(state[key].shape) != shape
    ]
    if wrong:
        advice = "; for the encoder alone take load_encoder" if any(w.startswith("decoder.head") for w in wrong) else ""
        raise ModelError(f"state dict: {len(wrong)} shapes do not fit, found {'; '.join(wrong[:3])}{advice}")
    for key in expected:
        check_floating(key, state[key])
    model.load_state_dict(dict(state))
    # Looked for in the model: what single precision cannot hold has become infinite only there.
    for key, value in model.state_dict().items():
        if not value.is_meta and not torch.isfinite(value).all():
            raise ModelError(
                f"state dict: {key} holds {(~torch.isfinite(value)).sum()} values that are no finite numbers, expected "
                "weights; the training that wrote them diverged, or the file is damaged: take an earlier checkpoint"
            )


def check_floating(key: str, value: Tensor) -> None:
    """Raises ModelError unless a tensor holds floating-point numbers: whole ones are weights of which a scale is kept elsewhere."""
    if not value.is_floating_point():
        raise ModelError(
            f"state dict: found {key} of {str(value.dtype).removeprefix('torch.')}, expected floating-point weights; "
            "quantised ones are not read: convert them back to float32 with the program that wrote them"
        )


def kernel_sizes(kernel: Tensor) -> tuple[int, int, int]:
    """(dim, tubelet, patch) of a patch embedding, a convolution. Raises ModelError where it is not that of a video model."""
    if kernel.ndim != 5 or kernel.shape[1] != 3 or kernel.shape[3] != kernel.shape[4]:
        raise ModelError(
            f"patch embedding: found shape {tuple(kernel.shape)}, expected (dim, 3, tubelet, patch, patch) of a video model"
        )
    dim, _, tubelet, patch, _ = kernel.shape
    return dim, tubelet, patch


def rows_of(ours: Mapping[str, Tensor], key: str) -> int:
    """How many rows a matrix has. Raises ModelError where it is none."""
    shape = tuple(ours[key].shape)
    if len(shape) < 2 or 0 in shape:
        raise ModelError(f"state dict: found {key} of shape {shape}, expected a matrix with a row for each output")
    return shape[0]


def flattened(kernel: Tensor) -> Tensor:
    """(dim, 3, t, p, p) of a convolution -> (dim, t * p * p * 3) of the linear layer over channel-last pixels."""
    return kernel.permute(0, 2, 3, 4, 1).flatten(1)


def unflattened(weight: Tensor, spec: ModelSpec) -> Tensor:
    """The inverse of `flattened`."""
    kernel = weight.view(-1, spec.tubelet, spec.patch, spec.patch, 3)
    return kernel.permute(0, 4, 1, 2, 3).contiguous()


def infer_spec(ours: Mapping[str, Tensor], overrides: Overrides) -> ModelSpec:
    """The specification that shapes and facts give. Raises ModelError where they do not fit together."""
    dim, tubelet, patch = kernel_sizes(ours[PATCH_KERNEL])
    encoder = _stack(ours, "encoder", dim, overrides.heads or _heads(dim, _ENCODER_HEADS, of="encoder"))
    if "encoder_to_decoder.weight" in ours:
        width = rows_of(ours, "encoder_to_decoder.weight")
        heads = overrides.decoder_heads or _heads(width, _DECODER_HEADS, of="decoder")
        size, depth = named_size(encoder, _stack(ours, "decoder", width, heads))
    else:
        size, depth = named_size(encoder, None)
    frames, resolution = overrides.frames, overrides.resolution
    if "encoder.position_time" in ours:
        frames, resolution = _learned_places(ours, tubelet, patch, overrides)
    return ModelSpec(
        size,
        patch=patch,
        tubelet=tubelet,
        frames=frames or 16,
        resolution=resolution or 224,
        position="learned-separable" if "encoder.position_time" in ours else "sincos-1d",
        decoder_depth=depth,
        encoder_norm="encoder.norm.weight" in ours,
        class_token="encoder.class_token" in ours,
        norm_eps=ModelSpec.norm_eps if overrides.norm_eps is None else overrides.norm_eps,
        head_norm_eps=ModelSpec.head_norm_eps if overrides.head_norm_eps is None else overrides.head_norm_eps,
    )


def named_size(encoder: Stack, decoder: Stack | None) -> tuple[str | Size, int | None]:
    """The size's name and its overridden decoder depth, or the size itself where it has no name. decoder: None: any."""
    for name, size in SIZES.items():
        if size.encoder == encoder and decoder is None:
            return name, None
        if size.encoder == encoder and decoder is not None and _alike(size.decoder, decoder):
            return name, None if size.decoder.depth == decoder.depth else decoder.depth
    if decoder is None:  # half as wide with heads as wide, as the reference's are
        half = 2 if encoder.heads % 2 == 0 else 1
        decoder = Stack(encoder.dim // half, 4, encoder.heads // half)
    return Size(encoder, decoder), None


def _alike(first: Stack, second: Stack) -> bool:
    return (first.dim, first.heads, first.mlp) == (second.dim, second.heads, second.mlp)


def _stack(ours: Mapping[str, Tensor], part: str, dim: int, heads: int) -> Stack:
    numbers = {int(found[1]) for key in ours if (found := re.match(rf"{part}\.blocks\.(\d+)\.", key))}
    if not numbers or numbers != set(range(len(numbers))):
        raise ModelError(f"{part}: found the blocks {sorted(numbers)[:9]}, expected all from 0 on; weights are missing")
    first = f"{part}.blocks.0.mlp.fc1.weight"
    if first not in ours:
        raise ModelError(f"{part}: found no {first}, expected the MLP of a block; weights are missing")
    return Stack(dim, len(numbers), heads, hidden=rows_of(ours, first))


def _heads(dim: int, known: Mapping[int, int], *, of: str) -> int:
    if dim in known:
        return known[dim]
    if dim % 64:
        advice = "pass heads=" if of == "encoder" else "take the encoder alone: mgm.load_encoder, --part encoder"
        raise ModelError(f"heads of the {of}: a width of {dim} does not tell them, expected a multiple of 64; {advice}")
    return dim // 64


def _learned_places(
    ours: Mapping[str, Tensor], tubelet: int, patch: int, overrides: Overrides
) -> tuple[int, int | tuple[int, int]]:
    """Frames and resolution that learned codes were learned for."""
    frames = rows_of(ours, "encoder.position_time") * tubelet
    places = rows_of(ours, "encoder.position_space")
    side = math.isqrt(places)
    square = None if side * side != places else side * patch
    resolution = overrides.resolution or square
    if resolution is None:
        raise ModelError(f"positions: found {places} learned places of a frame, expected a square; pass resolution=")
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    if (height // patch) * (width // patch) != places or overrides.frames not in (None, frames):
        raise ModelError(
            f"positions: codes were learned for {frames} frames and {places} places of a frame, expected those, found "
            f"{overrides.frames or frames} frames of {height} x {width} pixels; leave them out, and stretch the codes with "
            "encoder.at(..., position='interpolated')"
        )
    return frames, resolution
