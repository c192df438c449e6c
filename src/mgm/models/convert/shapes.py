"""A model from a state dict in this package's names, whose specification is inferred from the shapes.

Such a state dict has the names of `MaskedAutoencoder`, of `Classifier`, or only those that start with `encoder.`; the patch
embedding is still a convolution, (dim, 3, tubelet, patch, patch), whose shape gives the size of a token.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from torch import Tensor

from mgm.errors import ModelError
from mgm.models.autoencoder import MaskedAutoencoder
from mgm.models.classifier import Classifier
from mgm.models.encoder import Encoder
from mgm.models.sizes import SIZES, Size, Stack, check_positive
from mgm.models.spec import ModelSpec, check_resolution
from mgm.models.state_dict import load_state

Model = MaskedAutoencoder | Classifier | Encoder


def encoder_of(model: Model) -> Encoder:
    """The encoder within a model, or the model itself."""
    return model if isinstance(model, Encoder) else model.encoder


PATCH_KERNEL: Final = "encoder.patch_embed.weight"
_MOST_TOKENS: Final = 1 << 20
# The number of heads is not in the shapes: these are the published models of such widths (1408: V2's giant).
_ENCODER_HEADS: Final = {192: 3, 1408: 16} | {size.encoder.dim: size.encoder.heads for size in SIZES.values()}
_DECODER_HEADS: Final = {size.decoder.dim: size.decoder.heads for size in SIZES.values()}


@dataclass(frozen=True, slots=True)
class Overrides:
    """Settings that are not in the names and shapes of a state dict, or that replace those of a file; None: the default.

    Attributes:
        frames, resolution: of the clips, by default 16 and 224.
        heads: of the encoder.
        decoder_heads: of the decoder.
        target: a name of `TARGETS`.
        norm_eps, head_norm_eps: as in `ModelSpec`, by default the reference's.
        labels: names of the classes.

    Raises:
        ModelError: invalid numbers.
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


def build_from_state(ours: Mapping[str, Tensor], overrides: Overrides) -> Model:
    """The model of a state dict: an autoencoder if it has a decoder's head, a classifier if it has a head, else an encoder.

    Raises:
        ModelError: names are missing or unexpected, or shapes do not fit together.
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
    load_state(model, state)
    return model


def apply_overrides(spec: ModelSpec, overrides: Overrides) -> ModelSpec:
    """The specification for frames, resolution and heads of `overrides`; fixed position embeddings are recomputed (`Encoder.at`
    interpolates them).

    Raises:
        ModelError: patches or heads do not fit, or position embeddings are learned.
    """
    other = replace(spec, frames=overrides.frames or spec.frames, resolution=overrides.resolution or spec.resolution)
    if overrides.heads not in (None, spec.encoder.heads):
        size, depth = named_size(replace(spec.encoder, heads=overrides.heads), spec.decoder)
        other = replace(other, size=size, decoder_depth=depth, decoder_dim=None, decoder_heads=None)
    if other.grid != spec.grid and spec.position == "learned-separable":
        raise ModelError(
            "position",
            "found learned position embeddings, which cannot be recomputed",
            advice="do not pass frames and resolution; interpolate with encoder.at(..., position='interpolated')",
            reason="unsupported",
        )
    return other


def check_described(spec: ModelSpec, state: Mapping[str, Tensor], *, outputs: int = 0) -> None:
    """Compare a specification that a file contains with the weights beside it, before a model of absurd size is built from it.

    Args:
        outputs: of the model's head.

    Raises:
        ModelError: the model has more weights than the file, or more tokens than a model of video can attend to.
    """
    stacks = [spec.encoder]
    if any(key.startswith(("decoder.", "decoders.")) for key in state):  # not so in an encoder or a classifier
        stacks += [spec.decoder] if spec.decoders is None else [stack for _, stack in spec.decoders]
        stacks += [replace(spec.encoder, depth=spec.regressor_depth)] if spec.regressor_depth is not None else []
    described = sum(stack.depth * stack.dim * (4 * stack.dim + 2 * stack.mlp) for stack in stacks)  # attention and MLP
    described += 3 * spec.token_pixels * spec.encoder.dim + outputs * min(stack.dim for stack in stacks)
    stored = sum(value.numel() for value in state.values())
    if described > stored:
        found = f"describes a model of {described:,} weights or more"
        raise ModelError("model specification", found, f"at most the {stored:,} of the file", reason="mismatch")
    tokens = max(spec.tokens, math.prod(spec.position_grid or (0,)))
    if tokens > _MOST_TOKENS:
        raise ModelError(
            "model specification",
            f"describes clips of {tokens:,} tokens",
            f"at most {_MOST_TOKENS:,}",
            reason="unsupported",
        )


def kernel_sizes(kernel: Tensor) -> tuple[int, int, int]:
    """(dim, tubelet, patch) of a patch embedding, a convolution. Raises ModelError unless it is that of a video model."""
    if kernel.ndim != 5 or kernel.shape[1] != 3 or kernel.shape[3] != kernel.shape[4]:
        raise ModelError(
            "patch embedding",
            f"found shape {tuple(kernel.shape)}",
            "(dim, 3, tubelet, patch, patch) of a video model",
            "weights of an image model can start a network: 'mgm finetune FILE SET --model NAME'",
            reason="invalid_shape",
        )
    dim, _, tubelet, patch, _ = kernel.shape
    return dim, tubelet, patch


def rows_of(ours: Mapping[str, Tensor], key: str) -> int:
    """The number of rows of a matrix. Raises ModelError for a tensor of another shape."""
    shape = tuple(ours[key].shape)
    if len(shape) < 2 or 0 in shape:
        raise ModelError(
            "state dict", f"found {key} of shape {shape}", "a matrix with a row for each output", reason="invalid_shape"
        )
    return shape[0]


def flattened(kernel: Tensor) -> Tensor:
    """(dim, 3, t, p, p) of a convolution -> (dim, t * p * p * 3) of the linear layer over channel-last pixels."""
    return kernel.permute(0, 2, 3, 4, 1).flatten(1)


def unflattened(weight: Tensor, spec: ModelSpec) -> Tensor:
    """The inverse of `flattened`."""
    kernel = weight.view(-1, spec.tubelet, spec.patch, spec.patch, 3)
    return kernel.permute(0, 4, 1, 2, 3).contiguous()


def infer_spec(ours: Mapping[str, Tensor], overrides: Overrides) -> ModelSpec:
    """The specification of a state dict, from its shapes and from overrides. Raises ModelError if they do not fit together."""
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
        frames, resolution = _learned_clip(ours, tubelet, patch, overrides)
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
    """The size's name and its decoder depth if that is another, or the size itself if it has no name. decoder: None: any."""
    for name, size in SIZES.items():
        if size.encoder == encoder and decoder is None:
            return name, None
        if size.encoder == encoder and decoder is not None and replace(size.decoder, depth=decoder.depth) == decoder:
            return name, None if size.decoder.depth == decoder.depth else decoder.depth
    if decoder is None:  # half the width, with heads of equal width, as in the reference
        half = 2 if encoder.heads % 2 == 0 else 1
        decoder = Stack(encoder.dim // half, 4, encoder.heads // half)
    return Size(encoder, decoder), None


def _stack(ours: Mapping[str, Tensor], part: str, dim: int, heads: int) -> Stack:
    numbers = {int(found[1]) for key in ours if (found := re.match(rf"{part}\.blocks\.(\d+)\.", key))}
    if not numbers or numbers != set(range(len(numbers))):
        raise ModelError(
            part, f"found the blocks {sorted(numbers)[:9]}", "all from 0 on", "weights are missing", reason="malformed"
        )
    first = f"{part}.blocks.0.mlp.fc1.weight"
    if first not in ours:
        raise ModelError(part, f"found no {first}", "the MLP of a block", "weights are missing", reason="malformed")
    return Stack(dim, len(numbers), heads, hidden=rows_of(ours, first))


def _heads(dim: int, known: Mapping[int, int], *, of: str) -> int:
    if dim in known:
        return known[dim]
    if dim % 64:
        advice = "pass heads=" if of == "encoder" else "load the encoder alone: mgm.load_encoder, --part encoder"
        raise ModelError(
            f"heads of the {of}",
            f"unknown for a width of {dim}",
            "a multiple of 64",
            advice,
            reason="missing_value",
        )
    return dim // 64


def _learned_clip(
    ours: Mapping[str, Tensor], tubelet: int, patch: int, overrides: Overrides
) -> tuple[int, int | tuple[int, int]]:
    """Frames and resolution of the clips for which position embeddings were learned."""
    frames = rows_of(ours, "encoder.position_time") * tubelet
    positions = rows_of(ours, "encoder.position_space")
    side = math.isqrt(positions)
    square = None if side * side != positions else side * patch
    resolution = overrides.resolution or square
    if resolution is None:
        raise ModelError(
            "position",
            f"found {positions} learned embeddings per frame",
            "a square number",
            "pass resolution=",
            reason="missing_value",
        )
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    if (height // patch) * (width // patch) != positions or overrides.frames not in (None, frames):
        raise ModelError(
            "position",
            f"found {overrides.frames or frames} frames of {height} x {width} pixels",
            f"the {frames} frames and {positions} positions per frame of the learned embeddings",
            "do not pass frames and resolution; interpolate with encoder.at(..., position='interpolated')",
            reason="mismatch",
        )
    return frames, resolution
