"""The formats of checkpoints, recognised by the keys of their state dicts, and the models in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final

from torch import Tensor

from mgm.errors import ModelError
from mgm.files.json_text import read_json
from mgm.models.autoencoder import MaskedAutoencoder
from mgm.models.classifier import Classifier
from mgm.models.convert.huggingface import from_huggingface
from mgm.models.convert.image_vit import from_image_vit
from mgm.models.convert.maest import from_maest
from mgm.models.convert.omnimae import from_omnimae
from mgm.models.convert.pyslowfast import from_pyslowfast
from mgm.models.convert.reference import from_reference
from mgm.models.convert.shapes import Model, Overrides, apply_overrides, build_from_state, check_described
from mgm.models.convert.weights import Weights
from mgm.models.encoder import Encoder
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.described import network_of
from mgm.models.networks.image_start import VIT_HF_KEY, VIT_KEY
from mgm.models.networks.network import VideoNetwork
from mgm.models.spec import ModelSpec
from mgm.models.state_dict import load_state

METADATA_KEY: Final = "mgm"
"""Key of a safetensors file's metadata under which an export of mgm describes its model, in JSON."""


_Reader = Callable[[Weights, Overrides, bool], Model]


@dataclass(frozen=True, slots=True)
class CheckpointFormat:
    """A format of checkpoints.

    Attributes:
        name: for messages.
        keys: some that every such file has.
        read: returns the model of weights.
        without: keys of other models that have those too.
    """

    name: str
    keys: tuple[str, ...]
    read: _Reader
    without: tuple[str, ...] = ()

    def recognises(self, keys: AbstractSet[str]) -> bool:
        """Whether a state dict with these keys has this format."""
        return all(key in keys for key in self.keys) and not any(key in keys for key in self.without)


def from_weights(weights: Weights, overrides: Overrides, *, encoder_only: bool) -> Model | VideoNetwork:
    """The model in weights of a known format, in float32.

    Args:
        overrides: values that take precedence over those of the file.
        encoder_only: ignore tensors outside of the encoder.

    Raises:
        ModelError: no format fits; it lists the keys found and the known formats.
    """
    if METADATA_KEY in weights.metadata:
        return _from_export(weights, overrides)
    keys = set(weights.state)
    for checkpoint in CHECKPOINT_FORMATS:
        if checkpoint.recognises(keys):
            return checkpoint.read(weights, overrides, encoder_only)
    shown = ", ".join(sorted(keys)[:6]) + (f" and {len(keys) - 6} more" if len(keys) > 6 else "")
    networks = [entry.name for entry in NETWORKS.values() if any(one.key in keys for one in entry.formats)]
    if networks:
        raise ModelError(
            "",
            f"found the keys {shown}, as a network of 'mgm models' has them",
            "weights of a ViT",
            f"pass --model (model.network=) with one of {', '.join(networks)}",
            reason="mismatch",
        )
    known = "; ".join(f"{checkpoint.name} ({', '.join(checkpoint.keys)})" for checkpoint in CHECKPOINT_FORMATS)
    raise ModelError("", f"found the keys {shown}", f"weights of one of: {known}", reason="malformed")


def _from_export(weights: Weights, overrides: Overrides) -> Model | VideoNetwork:
    try:
        about = read_json(weights.metadata[METADATA_KEY])
        if about["kind"] == "network":
            return network_of(about, weights.state, frames=overrides.frames, size=overrides.resolution)
        spec, kind = apply_overrides(ModelSpec.from_dict(about["spec"]), overrides), about["kind"]
        model: Model
        if kind == "autoencoder":
            # The override of heads is for the encoder, not for its teacher.
            teacher = (
                apply_overrides(ModelSpec.from_dict(about["teacher"]), replace(overrides, heads=None))
                if about["teacher"]
                else None
            )
            pictures = ModelSpec.from_dict(about["image_teacher"]) if about.get("image_teacher") else None
            codes = about.get("codes")  # absent in earlier exports
            outputs = sum(one.encoder.dim for one in (teacher, pictures) if one is not None) + spec.tubelet * (
                codes or 0
            )
            check_described(spec, weights.state, outputs=outputs)
            visible = about.get("visible_target")  # absent in earlier exports
            model = MaskedAutoencoder(
                spec,
                target=about["target"],
                teacher=teacher,
                image_teacher=pictures,
                tokenizer=codes,
                visible_target=visible,
            )
        elif kind == "classifier":
            check_described(spec, weights.state, outputs=about["classes"])
            options = {name: about[name] for name in ("block", "pooling") if name in about}  # absent in earlier exports
            model = Classifier(Encoder(spec), about["classes"], labels=about["labels"], **options)
        else:
            check_described(spec, weights.state)
            model = Encoder(spec)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ModelError):
            raise
        found = weights.metadata[METADATA_KEY][:200]
        raise ModelError("metadata", f"found {found}", "an export of mgm", reason="malformed") from error
    load_state(model, weights.state)
    return model


def _read_huggingface(weights: Weights, overrides: Overrides, encoder_only: bool) -> Model:
    if weights.config is None:
        raise ModelError(
            "",
            "found weights of Hugging Face's VideoMAE without their config.json",
            "both in one folder",
            "pass the folder",
            reason="missing_value",
        )
    heads = overrides.heads or _confirmed_heads(weights.config, weights.export)
    return from_huggingface(
        weights.config, weights.state, overrides=replace(overrides, heads=heads), encoder_only=encoder_only
    )


def _confirmed_heads(config: Mapping[str, Any], export: Mapping[str, Any] | None) -> int | None:
    """The number of heads if config.json and the description of an export of mgm beside it agree, else None.

    Both are needed, because another program may have saved another model into the folder since.
    """
    try:
        heads = None if export is None else ModelSpec.from_dict(export["spec"]).encoder.heads
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # a damaged description
    return heads if heads == config.get("num_attention_heads") else None


def _read_reference(weights: Weights, overrides: Overrides, encoder_only: bool) -> Model:
    return build_from_state(
        _select(from_reference(weights.state), encoder_only), _stored_overrides(weights.arguments, overrides)
    )


def _read_image_vit(weights: Weights, overrides: Overrides, encoder_only: bool) -> Model:
    if not encoder_only:
        found = "found a model of pictures, which has no decoder or classifier of clips"
        advice = "load its encoder: mgm.load_encoder, --part encoder; or start a network from it: --model timesformer"
        raise ModelError("", found, advice=advice, reason="unsupported")
    return build_from_state(from_image_vit(weights.state), replace(overrides, frames=None))


def _read_mme(weights: Weights, overrides: Overrides, encoder_only: bool) -> Model:
    if not encoder_only:
        raise _no_decoder("MME (M3Video)", "a list of decoders with heads of two layers")
    return _read_reference(weights, overrides, encoder_only)


def _no_decoder(name: str, has: str) -> ModelError:
    return ModelError(
        "",
        f"found an autoencoder of {name}, whose decoder ({has}) is not supported",
        advice="load its encoder alone: mgm.load_encoder, --part encoder",
        reason="unsupported",
    )


def _encoder_or_classifier(
    from_theirs: Callable[[Mapping[str, Tensor]], dict[str, Tensor]], head: str, *, name: str, decoder: str
) -> _Reader:
    """The reader of a format whose decoder is not supported. head: the key that only a classifier has."""

    def read(weights: Weights, overrides: Overrides, encoder_only: bool) -> Model:
        """See `CheckpointFormat.read`."""
        if not encoder_only and head not in weights.state:
            raise _no_decoder(name, decoder)
        return build_from_state(_select(from_theirs(weights.state), encoder_only), overrides)

    return read


def _select(ours: Mapping[str, Tensor], encoder_only: bool) -> dict[str, Tensor]:
    return {key: value for key, value in ours.items() if not encoder_only or key.startswith("encoder.")}


def _stored_overrides(arguments: Mapping[str, Any], overrides: Overrides) -> Overrides:
    """Overrides from the stored command line of the reference: clips and target; of an export of mgm also heads, epsilons
    and the names of the classes. overrides: the caller's, which take precedence."""
    frames, side = arguments.get("num_frames"), arguments.get("input_size")
    # Fine-tuning builds the model for frames x segments; the default is one segment.
    segments = arguments.get("num_segments", 1)
    if isinstance(frames, int) and isinstance(segments, int):
        frames *= segments
    return replace(
        overrides,
        frames=overrides.frames or (frames if isinstance(frames, int) else None),
        resolution=overrides.resolution or (side if isinstance(side, int) else None),
        heads=overrides.heads or arguments.get("encoder_num_heads"),
        decoder_heads=arguments.get("decoder_num_heads"),
        # The misspelling is the reference's.
        norm_eps=_epsilon(arguments.get("norm_eps")),
        head_norm_eps=_epsilon(arguments.get("head_norm_eps")),
        labels=_labels(arguments.get("labels")),
        target="pixels" if arguments.get("normlize_target") is False else overrides.target,
    )


def _epsilon(stored: object) -> float | None:
    return stored if isinstance(stored, float) and 0 <= stored < 1 else None


def _labels(stored: object) -> list[str] | None:
    return stored if isinstance(stored, list) and all(isinstance(name, str) for name in stored) else None


_OF_OTHER_VITS: Final = (  # of MViT, TimeSformer and Motionformer
    "blocks.0.attn.pool_k.weight",
    "blocks.0.temporal_attn.qkv.weight",
    "blocks.0.attn.proj_q.weight",
)

_MAE_ST_DECODER: Final = "class token, learned position embeddings, one of two frames"
_read_maest: Final = _encoder_or_classifier(from_maest, "head.weight", name="MAE-ST", decoder=_MAE_ST_DECODER)
_read_pyslowfast: Final = _encoder_or_classifier(
    from_pyslowfast, "head.projection.weight", name="MAE-ST", decoder=_MAE_ST_DECODER
)
_read_omnimae: Final = _encoder_or_classifier(
    from_omnimae, "head.weight", name="OmniMAE", decoder="a mask token in the encoder's width"
)

# The first match wins: MAE-ST's keys contain those of a fine-tuned VideoMAE except for the attention's.
CHECKPOINT_FORMATS: Final = (
    CheckpointFormat(
        "Hugging Face VideoMAE",
        ("videomae.embeddings.patch_embeddings.projection.weight",),
        _read_huggingface,
    ),
    CheckpointFormat(
        "Hugging Face VideoMAEModel", ("embeddings.patch_embeddings.projection.weight",), _read_huggingface
    ),
    CheckpointFormat("OmniMAE", ("trunk.patch_embed.proj.1.weight", "trunk.blocks.0.attn.qkv.weight"), _read_omnimae),
    CheckpointFormat(
        "MAE-ST of PySlowFast",
        ("patch_embed.proj.weight", "pos_embed_spatial", "blocks.0.attn.qkv.weight"),
        _read_pyslowfast,
        without=("blocks.0.attn.pool_k.weight",),  # of MViT
    ),
    *(
        CheckpointFormat(name, keys, _read_image_vit, without=_OF_OTHER_VITS)
        for name, keys in (
            ("ViT of pictures", ("patch_embed.proj.weight", "pos_embed", "cls_token", VIT_KEY)),
            ("Hugging Face ViT", ("embeddings.cls_token", VIT_HF_KEY)),
            ("Hugging Face ViT", ("vit.embeddings.cls_token", f"vit.{VIT_HF_KEY}")),
        )
    ),
    CheckpointFormat("MME pre-trained", ("encoder.patch_embed.proj.weight", "encoder_to_decoder.0.weight"), _read_mme),
    CheckpointFormat("MAE-ST", ("patch_embed.proj.weight", "blocks.0.attn.q.weight"), _read_maest),
    CheckpointFormat(
        "VideoMAE pre-trained",
        ("encoder.patch_embed.proj.weight", "encoder.blocks.0.attn.qkv.weight"),
        _read_reference,
    ),
    CheckpointFormat(
        "VideoMAE fine-tuned",
        ("patch_embed.proj.weight", "blocks.0.attn.qkv.weight"),
        _read_reference,
        without=_OF_OTHER_VITS,
    ),
    CheckpointFormat(
        "mmaction2 VideoMAE",
        ("backbone.patch_embed.projection.weight", "backbone.blocks.0.attn.qkv.weight"),
        _read_reference,
    ),
    CheckpointFormat(
        "VideoMAE under backbone.",
        ("backbone.patch_embed.proj.weight", "backbone.blocks.0.attn.qkv.weight"),
        _read_reference,
    ),
)
