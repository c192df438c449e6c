"""Hugging Face VideoMAE checkpoints to models of this package, and back.

Both spellings of the attention's biases are read: `attention.attention.q_bias`, which the files on the Hub hold, and
`attention.attention.query.bias`, which transformers 5 writes (and some of its versions lose the former silently).
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.autoencoder import MaskedAutoencoder
from mgm.models.classifier import Classifier
from mgm.models.encoder import Encoder
from mgm.models.sizes import SIZES, ModelSpec, Size, Stack
from mgm.models.targets import NormalisedPixels, Pixels

BiasNames = Literal["q_bias", "query.bias"]

# The values of transformers' VideoMAEConfig that matter here; a config.json need not spell them out.
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
_HEAD_NORM_EPS: Final = 1e-5  # transformers builds the decoder's norm and fc_norm with PyTorch's default
_BLOCK: Final[Mapping[str, str]] = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
_PATCH_CONVOLUTION: Final = "videomae.embeddings.patch_embeddings.projection"


def load_huggingface(folder: str | Path, *, heads: int | None = None) -> MaskedAutoencoder | Classifier:
    """The model in a folder that transformers saved; transformers is not needed. No code in the files is run.

    folder: holds config.json and model.safetensors of VideoMAEForPreTraining or VideoMAEForVideoClassification.
    heads: attention heads of the encoder, where config.json is wrong about them.
    Raises ModelError, starting with the path, when a file is missing or does not fit.
    """
    # Imported here, because models that are never converted need no safetensors.
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    place = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (place / name).is_file():
            raise ModelError(
                f"{place / name}: not found; expected a folder with config.json and model.safetensors, as "
                "save_pretrained(folder, max_shard_size='20GB') of a current transformers writes it"
            )
    try:
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
        state = load_file(place / "model.safetensors")
    except (ValueError, SafetensorError) as error:
        raise ModelError(f"{place}: config.json or model.safetensors cannot be read ({error})") from error
    try:
        return from_huggingface(config, state, heads=heads)
    except ModelError as error:
        raise ModelError(f"{place}: {error}") from error


def from_huggingface(
    config: Mapping[str, Any], state: Mapping[str, Tensor], *, heads: int | None = None
) -> MaskedAutoencoder | Classifier:
    """The model of a configuration (as in config.json) and a state dict of Hugging Face's VideoMAE.

    A MaskedAutoencoder of weights of VideoMAEForPreTraining, a Classifier of those of VideoMAEForVideoClassification;
    the epsilons are the configuration's, so that outputs agree. heads: as in `load_huggingface`.
    Warns where the configuration names 16 heads for ViT-S: conversions of the official weights, trained with 6, say so.
    Raises ModelError when the configuration asks for something else, or keys or shapes do not fit.
    """
    classes = state["classifier.weight"].shape[0] if "classifier.weight" in state else None
    if classes is None and "decoder.head.weight" not in state:
        raise ModelError(
            "state dict: found neither classifier.weight nor decoder.head.weight, expected the weights of "
            "VideoMAEForVideoClassification or VideoMAEForPreTraining; save one of these"
        )
    spec, target = _read_config(config, heads=heads, classifier=classes is not None)
    model: MaskedAutoencoder | Classifier
    model = MaskedAutoencoder(spec, target=target) if classes is None else Classifier(Encoder(spec), classes)
    ours = _to_ours(state, model)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    wrong = [
        f"{key} {tuple(ours[key].shape)}, expected {shapes[key]}" for key in shapes if ours[key].shape != shapes[key]
    ]
    if wrong:
        raise ModelError(f"state dict: {len(wrong)} shapes do not fit config.json, found {'; '.join(wrong[:3])}")
    model.load_state_dict(ours)
    return model


def to_huggingface(
    model: MaskedAutoencoder | Classifier, *, bias_names: BiasNames = "q_bias"
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration (for config.json) and the state dict from which transformers builds the same model.

    bias_names: the spelling of the attention's biases, "q_bias" for transformers 4 and the Hub, "query.bias" for 5.
    transformers' decoder.norm and fc_norm have an epsilon of 1e-5, so outputs of a model with another differ slightly.
    Raises ModelError for what Hugging Face's VideoMAE cannot be: another code of places, another target.
    """
    spec, classifier = model.encoder.spec, isinstance(model, Classifier)
    if spec.position != "sincos-1d":
        raise ModelError(
            f"position: found {spec.position}, expected sincos-1d, the only one of Hugging Face's VideoMAE"
        )
    if isinstance(model, MaskedAutoencoder) and not isinstance(model.target, NormalisedPixels | Pixels):
        raise ModelError(f"target: found {type(model.target).__name__}, expected NormalisedPixels or Pixels")
    height, width = spec.frame_size
    config = {
        **_DEFAULTS,
        "model_type": "videomae",
        "architectures": ["VideoMAEForVideoClassification" if classifier else "VideoMAEForPreTraining"],
        "image_size": height if height == width else [height, width],
        "patch_size": spec.patch,
        "num_frames": spec.frames,
        "tubelet_size": spec.tubelet,
        "hidden_size": spec.encoder.dim,
        "num_hidden_layers": spec.encoder.depth,
        "num_attention_heads": spec.encoder.heads,
        "intermediate_size": 4 * spec.encoder.dim,
        "layer_norm_eps": spec.norm_eps,
        "use_mean_pooling": not spec.encoder_norm,
        "decoder_num_attention_heads": spec.decoder.heads,
        "decoder_hidden_size": spec.decoder.dim,
        "decoder_num_hidden_layers": spec.decoder.depth,
        "decoder_intermediate_size": 4 * spec.decoder.dim,
        "norm_pix_loss": not (isinstance(model, MaskedAutoencoder) and isinstance(model.target, Pixels)),
    }
    if isinstance(model, Classifier):
        labels = [f"LABEL_{i}" for i in range(model.head.out_features)]
        config["id2label"] = dict(enumerate(labels))
        config["label2id"] = {label: i for i, label in enumerate(labels)}
    return config, _to_theirs(model, bias_names)


def _read_config(config: Mapping[str, Any], *, heads: int | None, classifier: bool) -> tuple[ModelSpec, str]:
    """The specification and the name of the target."""
    c = {**_DEFAULTS, **config}
    c["qkv_bias"] = config.get("qv_bias", c["qkv_bias"])  # transformers 5 renamed it
    sides = c["patch_size"] if isinstance(c["patch_size"], list | tuple) else [c["patch_size"]] * 2
    expected = {
        "model_type": "videomae",
        "num_channels": 3,
        "hidden_act": "gelu",
        "qkv_bias": True,
        "intermediate_size": 4 * c["hidden_size"],
    }
    if classifier:
        expected["use_mean_pooling"] = True
    else:
        expected["decoder_intermediate_size"] = 4 * c["decoder_hidden_size"]
    wrong = [
        f"{key} {c.get(key)!r}, expected {value!r}" for key, value in expected.items() if c.get(key, value) != value
    ]
    if sides[0] != sides[1]:
        wrong.append(f"patch_size {sides}, expected a square")
    if wrong:
        raise ModelError(f"config.json: found {'; '.join(wrong)}")
    found = c["num_attention_heads"]
    if heads is None and (c["hidden_size"], found) == (384, 16):
        warnings.warn(
            "config.json names 16 heads for ViT-S; the official weights were trained with 6, which are taken here. "
            "Pass heads=16 for a model that was trained with 16.",
            stacklevel=3,
        )
        heads = 6
    encoder = Stack(c["hidden_size"], c["num_hidden_layers"], heads or found)
    decoder = Stack(c["decoder_hidden_size"], c["decoder_num_hidden_layers"], c["decoder_num_attention_heads"])
    size, depth = _named(encoder, decoder, classifier=classifier)
    resolution = c["image_size"] if isinstance(c["image_size"], int) else tuple(c["image_size"])
    spec = ModelSpec(
        size,
        patch=sides[0],
        tubelet=c["tubelet_size"],
        frames=c["num_frames"],
        resolution=resolution,
        decoder_depth=depth,
        norm_eps=c["layer_norm_eps"],
        head_norm_eps=_HEAD_NORM_EPS,
        encoder_norm=not c["use_mean_pooling"],
    )
    return spec, "normalised-pixels" if c["norm_pix_loss"] else "pixels"


def _named(encoder: Stack, decoder: Stack, *, classifier: bool) -> tuple[str | Size, int | None]:
    """The size's name and its overridden decoder depth, or the size itself where it has no name."""
    for name, size in SIZES.items():
        # A classifier has no decoder: what its configuration says about one is an accident.
        if size.encoder == encoder and classifier:
            return name, None
        if size.encoder == encoder and (size.decoder.dim, size.decoder.heads) == (decoder.dim, decoder.heads):
            return name, None if size.decoder.depth == decoder.depth else decoder.depth
    return Size(encoder, decoder), None


def _blocks(model: MaskedAutoencoder | Classifier) -> list[tuple[str, str]]:
    """(our prefix, their prefix) of every block."""
    pairs = [(f"encoder.blocks.{i}", f"videomae.encoder.layer.{i}") for i in range(len(model.encoder.blocks))]
    if isinstance(model, MaskedAutoencoder):
        pairs += [(f"decoder.blocks.{i}", f"decoder.decoder_layers.{i}") for i in range(len(model.decoder.blocks))]
    return pairs


def _renamed(model: MaskedAutoencoder | Classifier) -> dict[str, str]:
    """{our key: their key} of all tensors that only change their name."""
    layers = {f"{our}.{mine}": f"{their}.{other}" for our, their in _blocks(model) for mine, other in _BLOCK.items()}
    if model.encoder.spec.encoder_norm:
        layers["encoder.norm"] = "videomae.layernorm"
    if isinstance(model, Classifier):
        layers |= {"fc_norm": "fc_norm", "head": "classifier"}
    else:
        layers |= {"decoder.norm": "decoder.norm", "decoder.head": "decoder.head"}
    names = {f"{our}.{kind}": f"{their}.{kind}" for our, their in layers.items() for kind in ("weight", "bias")}
    names["encoder.patch_embed.bias"] = f"{_PATCH_CONVOLUTION}.bias"
    if isinstance(model, MaskedAutoencoder):
        names |= {"encoder_to_decoder.weight": "encoder_to_decoder.weight", "mask_token": "mask_token"}
    return names


def _to_ours(state: Mapping[str, Tensor], model: MaskedAutoencoder | Classifier) -> dict[str, Tensor]:
    rest = dict(state)
    missing: list[str] = []

    def take(*names: str) -> Tensor:
        found = [rest.pop(name) for name in names if name in rest]
        if not found:
            missing.append(" or ".join(names))
            return torch.empty(0)
        return found[0]

    ours = {our: take(their) for our, their in _renamed(model).items()}
    kernel = take(f"{_PATCH_CONVOLUTION}.weight")
    ours["encoder.patch_embed.weight"] = kernel.permute(0, 2, 3, 4, 1).flatten(1) if kernel.ndim == 5 else kernel
    for our, their in _blocks(model):
        inner = f"{their}.attention.attention"
        ours[f"{our}.attn.qkv.weight"] = torch.cat(
            [take(f"{inner}.{part}.weight") for part in ("query", "key", "value")]
        )
        ours[f"{our}.attn.q_bias"] = take(f"{inner}.q_bias", f"{inner}.query.bias")
        ours[f"{our}.attn.v_bias"] = take(f"{inner}.v_bias", f"{inner}.value.bias")
        rest.pop(f"{inner}.key.bias", None)  # it adds the same to every score of a query: the softmax cancels it
    if missing or rest:
        raise ModelError(
            f"state dict: {len(missing)} keys missing ({', '.join(missing[:3])}), "
            f"{len(rest)} unexpected ({', '.join(sorted(rest)[:3])}); the weights do not belong to this config.json"
        )
    return ours


def _to_theirs(model: MaskedAutoencoder | Classifier, bias_names: BiasNames) -> dict[str, Tensor]:
    spec = model.encoder.spec
    ours = {key: value.detach().clone() for key, value in model.state_dict().items()}
    theirs = {their: ours[our] for our, their in _renamed(model).items()}
    kernel = ours["encoder.patch_embed.weight"].unflatten(1, (spec.tubelet, spec.patch, spec.patch, 3))
    theirs[f"{_PATCH_CONVOLUTION}.weight"] = kernel.permute(0, 4, 1, 2, 3).contiguous()
    query_bias, value_bias = ("q_bias", "v_bias") if bias_names == "q_bias" else ("query.bias", "value.bias")
    for our, their in _blocks(model):
        inner = f"{their}.attention.attention"
        query, key, value = ours[f"{our}.attn.qkv.weight"].chunk(3)
        # safetensors refuses tensors that share memory
        theirs |= {f"{inner}.query.weight": query.clone(), f"{inner}.key.weight": key.clone()}
        theirs |= {f"{inner}.value.weight": value.clone()}
        theirs |= {
            f"{inner}.{query_bias}": ours[f"{our}.attn.q_bias"],
            f"{inner}.{value_bias}": ours[f"{our}.attn.v_bias"],
        }
    return theirs
