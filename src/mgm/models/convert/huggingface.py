"""Hugging Face VideoMAE checkpoints to models of this package, and back.

Both names of the attention's biases are read: `attention.attention.q_bias` of the files on the Hub, and
`attention.attention.query.bias`, which transformers 5.5.1 to 5.17 wrote, silently ignoring the former.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.autoencoder import MaskedAutoencoder
from mgm.models.classifier import Classifier
from mgm.models.convert.representable import check_representable
from mgm.models.convert.shapes import (
    PATCH_KERNEL,
    Model,
    Overrides,
    apply_overrides,
    encoder_of,
    flattened,
    named_size,
    rows_of,
    unflattened,
)
from mgm.models.convert.weights import CONFIG_FILE, read_weights
from mgm.models.encoder import Encoder
from mgm.models.sizes import Stack
from mgm.models.spec import ModelSpec
from mgm.models.state_dict import load_state, misshapen, wrong_keys, wrong_shapes
from mgm.models.targets import Pixels

BiasNames = Literal["q_bias", "query.bias"]

# Defaults of transformers' VideoMAEConfig, which a config.json may omit.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "image_size": 224,
    "patch_size": 16,
    "num_channels": 3,
    "num_frames": 16,
    "tubelet_size": 2,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "qkv_bias": True,
    "use_mean_pooling": True,
    "decoder_num_attention_heads": 6,
    "decoder_hidden_size": 384,
    "decoder_num_hidden_layers": 4,
    "decoder_intermediate_size": 1536,
    "norm_pix_loss": True,
}
_COUNTS: Final = (
    "num_frames",
    "tubelet_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "decoder_num_attention_heads",
    "decoder_num_hidden_layers",
    "decoder_intermediate_size",
)
HEAD_NORM_EPS: Final = 1e-5  # transformers builds the decoder's norm and fc_norm with PyTorch's default
_BLOCK: Final[Mapping[str, str]] = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
_NO_OVERRIDES: Final = Overrides()
_PATCH_CONVOLUTION: Final = "videomae.embeddings.patch_embeddings.projection"


def load_huggingface(folder: str | Path, *, heads: int | None = None) -> Model:
    """The model in a folder that transformers saved; transformers is not needed. No code in the files is run.

    Args:
        folder: contains config.json and the weights of VideoMAEForPreTraining, VideoMAEForVideoClassification or VideoMAEModel:
            model.safetensors or pytorch_model.bin, sharded or not.
        heads: attention heads of the encoder, if those of config.json are wrong.

    Raises:
        ModelError: about the path: a file is missing or does not fit.
    """
    found = read_weights(folder)
    if found.config is None:
        raise ModelError(
            folder,
            f"found no {CONFIG_FILE}",
            "a folder that save_pretrained of transformers wrote",
            reason="not_found",
        )
    try:
        return from_huggingface(found.config, found.state, overrides=Overrides(heads=heads))
    except ModelError as error:
        raise error.within(folder) from error


def from_huggingface(
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    *,
    overrides: Overrides = _NO_OVERRIDES,
    encoder_only: bool = False,
) -> Model:
    """The model of a configuration (as in config.json) and a state dict of Hugging Face's VideoMAE.

    A MaskedAutoencoder for weights of VideoMAEForPreTraining, a Classifier for VideoMAEForVideoClassification, an Encoder
    for VideoMAEModel; the epsilons are the configuration's, so that outputs agree.
    Warns about 16 heads for ViT-S: conversions of the official weights have that value, but they were trained with 6.

    Args:
        overrides: heads, frames and resolution that take precedence over the configuration's.
        encoder_only: return the Encoder of any of these and ignore the other weights.

    Raises:
        ModelError: the configuration describes another model, or keys or shapes do not fit.
    """
    if not any(key.startswith("videomae.") for key in state):  # the names of VideoMAEModel
        state = {f"videomae.{key}": value for key, value in state.items()}
    if encoder_only:
        state = {key: value for key, value in state.items() if key.startswith("videomae.")}
    if f"{_PATCH_CONVOLUTION}.weight" not in state:
        raise ModelError(
            "state dict",
            f"found no {_PATCH_CONVOLUTION}.weight",
            "the weights of VideoMAEForVideoClassification, VideoMAEForPreTraining or VideoMAEModel",
            "save one of these",
            reason="mismatch",
        )
    kind = _kind_of(state)
    spec, target = _read_config(config, state, kind, heads=overrides.heads)
    spec = apply_overrides(spec, overrides)
    labels = None if kind.classes is None else _labels(config, kind.classes)
    with torch.device("meta"):  # a wrong configuration allocates no memory
        model = _build(kind, spec, target, labels)
    ours = _to_ours(state, model)
    wrong = misshapen(ours, {key: value.shape for key, value in _state(model).items()})
    if wrong:
        raise wrong_shapes(wrong, of=CONFIG_FILE)
    model = _build(kind, spec, target, labels)
    if isinstance(model, Encoder):
        ours = {key.removeprefix("encoder."): value for key, value in ours.items()}
    load_state(model, ours)
    return model


def to_huggingface(model: Model, *, bias_names: BiasNames = "q_bias") -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration (for config.json) and the state dict from which transformers builds the same model.

    transformers' decoder.norm and fc_norm have an epsilon of 1e-5, so outputs of a model with another epsilon differ slightly.

    Args:
        bias_names: names of the attention's biases. "q_bias" is used on the Hub, by transformers up to 5.5.0 and from 5.18.0 on.
            The releases in between silently ignore it and read "query.bias", with a bias of the keys, which is zero.

    Raises:
        ModelError: models that Hugging Face's VideoMAE cannot represent: other position embeddings or targets.
    """
    check_representable(model, "Hugging Face's VideoMAE")
    spec = encoder_of(model).spec
    height, width = spec.frame_size
    config = {
        **_DEFAULTS,
        "model_type": "videomae",
        "architectures": [_architecture(model)],
        "image_size": height if height == width else [height, width],
        "patch_size": spec.patch,
        "num_frames": spec.frames,
        "tubelet_size": spec.tubelet,
        "hidden_size": spec.encoder.dim,
        "num_hidden_layers": spec.encoder.depth,
        "num_attention_heads": spec.encoder.heads,
        "intermediate_size": spec.encoder.mlp,
        "layer_norm_eps": spec.norm_eps,
        "use_mean_pooling": not spec.encoder_norm,
        "decoder_num_attention_heads": spec.decoder.heads,
        "decoder_hidden_size": spec.decoder.dim,
        "decoder_num_hidden_layers": spec.decoder.depth,
        "decoder_intermediate_size": spec.decoder.mlp,
        "norm_pix_loss": not (isinstance(model, MaskedAutoencoder) and isinstance(model.target, Pixels)),
    }
    if isinstance(model, Classifier):
        labels = model.labels or [f"LABEL_{i}" for i in range(model.head.out_features)]
        config["id2label"] = dict(enumerate(labels))
        config["label2id"] = {label: i for i, label in enumerate(labels)}
    return config, _to_theirs(model, bias_names)


def _architecture(model: Model) -> str:
    if isinstance(model, Encoder):
        return "VideoMAEModel"
    return "VideoMAEForVideoClassification" if isinstance(model, Classifier) else "VideoMAEForPreTraining"


def _labels(config: Mapping[str, Any], classes: int) -> list[str] | None:
    """The names of the classes, or None unless config.json has all of them."""
    stored = config["id2label"] if isinstance(config.get("id2label"), Mapping) else {}
    names = {str(key): str(value) for key, value in stored.items()}
    labels = [names[str(i)] for i in range(classes) if str(i) in names]
    return labels if len(labels) == classes else None


@dataclass(frozen=True, slots=True)
class _Kind:
    """The kind of model in a state dict of Hugging Face's VideoMAE: `autoencoder` False and `classes` None: an encoder alone."""

    autoencoder: bool
    classes: int | None


def _kind_of(state: Mapping[str, Tensor]) -> _Kind:
    classes = rows_of(state, "classifier.weight") if "classifier.weight" in state else None
    return _Kind("decoder.head.weight" in state, classes)


def _build(kind: _Kind, spec: ModelSpec, target: str, labels: list[str] | None) -> Model:
    """A model with random weights."""
    if kind.autoencoder:
        return MaskedAutoencoder(spec, target=target)
    if kind.classes is not None:
        return Classifier(Encoder(spec), kind.classes, labels=labels)
    return Encoder(spec)


def _read_config(
    config: Mapping[str, Any], state: Mapping[str, Tensor], kind: _Kind, *, heads: int | None
) -> tuple[ModelSpec, str]:
    """The specification and the name of the target. Raises ModelError if the configuration describes another model."""
    c = {**_DEFAULTS, **config}
    c["qkv_bias"] = config.get("qv_bias", c["qkv_bias"])  # renamed in transformers 5
    sides = c["patch_size"] if isinstance(c["patch_size"], list | tuple) else [c["patch_size"]] * 2
    wrong = _wrong_values(c, state, kind)
    if len(sides) != 2 or sides[0] != sides[1]:
        wrong.append(f"patch_size {sides}, expected a square")
    if wrong:
        raise ModelError(CONFIG_FILE, f"found {'; '.join(wrong)}", reason="mismatch")
    size, depth = named_size(*_stacks(c, kind, heads))
    spec = ModelSpec(
        size,
        patch=sides[0],
        tubelet=c["tubelet_size"],
        frames=c["num_frames"],
        resolution=tuple(c["image_size"]) if isinstance(c["image_size"], list) else c["image_size"],
        decoder_depth=depth,
        norm_eps=c["layer_norm_eps"],
        head_norm_eps=HEAD_NORM_EPS,
        encoder_norm=not c["use_mean_pooling"],
    )
    return spec, "normalised-pixels" if c["norm_pix_loss"] else "pixels"


def _wrong_values(c: Mapping[str, Any], state: Mapping[str, Tensor], kind: _Kind) -> list[str]:
    """The settings of a configuration that contradict the weights, or that models of mgm do not have."""
    # Widths are compared with the weights first: position embeddings are computed before shapes are compared.
    expected = {
        "hidden_size": rows_of(state, f"{_PATCH_CONVOLUTION}.weight"),
        "model_type": "videomae",
        "num_channels": 3,
        "hidden_act": "gelu",
        "qkv_bias": True,
    }
    if kind.classes is not None:
        expected["use_mean_pooling"] = True
    if kind.autoencoder and "encoder_to_decoder.weight" in state:
        expected["decoder_hidden_size"] = rows_of(state, "encoder_to_decoder.weight")
    wrong = [
        f"{key} {c.get(key)!r}, expected {value!r}" for key, value in expected.items() if c.get(key, value) != value
    ]
    # More layers than tensors would take long to build before the first missing tensor is found.
    largest = {
        key: len(state) if key.endswith("layers") else None
        for key in _COUNTS
        if kind.autoencoder or "decoder" not in key
    }
    wrong += [
        f"{key} {c[key]!r}, expected an integer of at least 1" + (f" and at most {most}" if most else "")
        for key, most in largest.items()
        if type(c[key]) is not int or c[key] < 1 or (most is not None and c[key] > most)
    ]
    wrong += [
        f"{key} {c[key]!r}, expected true or false"
        for key in ("use_mean_pooling", "norm_pix_loss")
        if not isinstance(c[key], bool)
    ]
    return wrong


def _stacks(c: Mapping[str, Any], kind: _Kind, heads: int | None) -> tuple[Stack, Stack | None]:
    """The encoder, and the decoder of an autoencoder. Without decoder weights, the decoder's settings are meaningless."""
    if heads is None and (c["hidden_size"], c["num_attention_heads"]) == (384, 16):
        warnings.warn(
            "config.json has 16 heads for ViT-S, but the official weights were trained with 6, which are used. "
            "Pass heads=16 for a model that was trained with 16.",
            stacklevel=4,
        )
        heads = 6
    heads = heads or c["num_attention_heads"]
    encoder = Stack(c["hidden_size"], c["num_hidden_layers"], heads, hidden=c["intermediate_size"])
    if not kind.autoencoder:
        return encoder, None
    return encoder, Stack(
        c["decoder_hidden_size"],
        c["decoder_num_hidden_layers"],
        c["decoder_num_attention_heads"],
        hidden=c["decoder_intermediate_size"],
    )


def _state(model: Model) -> dict[str, Tensor]:
    """The state dict; the names of an encoder alone get the prefix `encoder.`."""
    prefix = "encoder." if isinstance(model, Encoder) else ""
    return {f"{prefix}{key}": value for key, value in model.state_dict().items()}


def _blocks(model: Model) -> list[tuple[str, str]]:
    """(our prefix, their prefix) of every block."""
    pairs = [(f"encoder.blocks.{i}", f"videomae.encoder.layer.{i}") for i in range(len(encoder_of(model).blocks))]
    if isinstance(model, MaskedAutoencoder):
        pairs += [(f"decoder.blocks.{i}", f"decoder.decoder_layers.{i}") for i in range(len(model.decoder.blocks))]
    return pairs


def _renamed(model: Model) -> dict[str, str]:
    """{our key: their key} of all tensors that differ in name only."""
    layers = {f"{our}.{mine}": f"{their}.{other}" for our, their in _blocks(model) for mine, other in _BLOCK.items()}
    if encoder_of(model).spec.encoder_norm:
        layers["encoder.norm"] = "videomae.layernorm"
    if isinstance(model, Classifier):
        layers |= {"fc_norm": "fc_norm", "head": "classifier"}
    elif isinstance(model, MaskedAutoencoder):
        layers |= {"decoder.norm": "decoder.norm", "decoder.head": "decoder.head"}
    names = {f"{our}.{kind}": f"{their}.{kind}" for our, their in layers.items() for kind in ("weight", "bias")}
    names["encoder.patch_embed.bias"] = f"{_PATCH_CONVOLUTION}.bias"
    if isinstance(model, MaskedAutoencoder):
        names |= {"encoder_to_decoder.weight": "encoder_to_decoder.weight", "mask_token": "mask_token"}
    return names


def _to_ours(state: Mapping[str, Tensor], model: Model) -> dict[str, Tensor]:
    rest = dict(state)
    missing: list[str] = []

    def take(*names: str) -> Tensor:
        """The tensor of the first name that is left; without any, the names are missing and the tensor is empty."""
        found = [rest.pop(name) for name in names if name in rest]
        if not found:
            missing.append(" or ".join(names))
            return torch.empty(0)
        return found[0]

    ours = {our: take(their) for our, their in _renamed(model).items()}
    kernel = take(f"{_PATCH_CONVOLUTION}.weight")
    ours[PATCH_KERNEL] = flattened(kernel) if kernel.ndim == 5 else kernel
    for our, their in _blocks(model):
        inner = f"{their}.attention.attention"
        ours[f"{our}.attn.qkv.weight"] = _joined([take(f"{inner}.{part}.weight") for part in ("query", "key", "value")])
        ours[f"{our}.attn.q_bias"] = take(f"{inner}.q_bias", f"{inner}.query.bias")
        ours[f"{our}.attn.v_bias"] = take(f"{inner}.v_bias", f"{inner}.value.bias")
        # the softmax cancels it, because it adds the same to every score of a query
        rest.pop(f"{inner}.key.bias", None)
    if missing or rest:
        raise wrong_keys(missing, sorted(rest), f"the weights do not belong to this {CONFIG_FILE}")
    return ours


def _joined(parts: list[Tensor]) -> Tensor:
    """The parts concatenated, or a part of another shape, which the comparison of shapes then names."""
    odd = next((part for part in parts if part.shape != parts[0].shape or part.ndim != 2), None)
    return torch.cat(parts) if odd is None else odd


def _to_theirs(model: Model, bias_names: BiasNames) -> dict[str, Tensor]:
    ours = {key: value.detach().clone() for key, value in _state(model).items()}
    theirs = {their: ours[our] for our, their in _renamed(model).items()}
    theirs[f"{_PATCH_CONVOLUTION}.weight"] = unflattened(ours[PATCH_KERNEL], encoder_of(model).spec)
    query_bias, value_bias = ("q_bias", "v_bias") if bias_names == "q_bias" else ("query.bias", "value.bias")
    for our, their in _blocks(model):
        inner = f"{their}.attention.attention"
        query, key, value = ours[f"{our}.attn.qkv.weight"].chunk(3)
        # cloned, because safetensors refuses tensors that share memory
        theirs |= {f"{inner}.query.weight": query.clone(), f"{inner}.key.weight": key.clone()}
        theirs |= {f"{inner}.value.weight": value.clone()}
        theirs |= {
            f"{inner}.{query_bias}": ours[f"{our}.attn.q_bias"],
            f"{inner}.{value_bias}": ours[f"{our}.attn.v_bias"],
        }
        if bias_names == "query.bias":
            theirs[f"{inner}.key.bias"] = torch.zeros_like(ours[f"{our}.attn.q_bias"])
    if isinstance(model, Encoder):
        theirs = {key.removeprefix("videomae."): value for key, value in theirs.items()}
    return theirs
