"""The models that a foreign format can represent. Others are refused before a file is written."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from mgm.errors import ModelError
from mgm.models.autoencoder import MaskedAutoencoder
from mgm.models.classifier import Classifier
from mgm.models.convert.shapes import Model, encoder_of
from mgm.models.spec import ModelSpec
from mgm.models.targets import NormalisedPixels, Pixels

# Fields of ModelSpec that may have any value in Hugging Face's VideoMAE and in the reference. Every other field, also a future
# one, must have its default.
_FREE: Final = frozenset(
    {
        "size",
        "patch",
        "tubelet",
        "frames",
        "resolution",
        "decoder_depth",
        "decoder_dim",
        "decoder_heads",
        "norm_eps",
        "head_norm_eps",
        "encoder_norm",
        "patch_init",
    }
)
# Those that say nothing about an encoder or a classifier.
_OF_DECODERS: Final = frozenset({"decoder_attention", "prediction_head", "decoders", "regressor_depth"})


def check_representable(model: Model, format_name: str) -> None:
    """Raises ModelError unless the model is a plain VideoMAE, as Hugging Face's code and the reference's build it.

    Args:
        format_name: for the message.
    """
    spec = encoder_of(model).spec
    free = _FREE if isinstance(model, MaskedAutoencoder) else _FREE | _OF_DECODERS
    wrong = [
        f"{field.name} {_described(getattr(spec, field.name))} (expected {field.default!r})"
        for field in fields(ModelSpec)
        if field.name not in free and getattr(spec, field.name) != field.default
    ]
    if isinstance(model, MaskedAutoencoder) and not isinstance(model.target, NormalisedPixels | Pixels):
        names = ", ".join(target.name for target, _ in model.objective.targets)
        wrong.append(f"target {names} (expected normalised-pixels or pixels)")
    if isinstance(model, MaskedAutoencoder) and model.visible_objective is not None:
        wrong.append("targets at visible tokens (expected none)")
    if isinstance(model, Classifier) and model.encoder.check_block(model.block) != spec.encoder.depth - 1:
        wrong.append(f"a head on block {model.block} (expected the last)")
    if isinstance(model, Classifier) and model.pooling != "mean":
        wrong.append(f"{model.pooling} pooling (expected the mean)")
    if wrong:
        advice = "export to safetensors instead"
        plain = next(field.default for field in fields(ModelSpec) if field.name == "position")
        if spec.position != plain:
            advice += f", or pretrain with model.position={plain}"
        raise ModelError("", f"{format_name} cannot represent {', '.join(wrong)}", advice=advice, reason="unsupported")


def _described(value: object) -> str:
    """A value of a specification; of decoders the targets."""
    several = isinstance(value, tuple) and bool(value) and isinstance(value[0], tuple)
    return f"of {', '.join(name for name, _ in value)}" if several else repr(value)  # type: ignore[attr-defined]
