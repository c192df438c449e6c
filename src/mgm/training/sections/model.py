"""The section `model`: the network that is pretrained, its targets and its decoder."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from mgm.errors import ConfigError, did_you_mean
from mgm.models import TARGETS
from mgm.models.networks.catalog import NETWORKS
from mgm.models.spec import AttentionKind, BackboneName, DecoderAttention, FixedPosition, PatchInit, PredictionHead
from mgm.training.sections.section import MOST_BLOCKS, MOST_CHANNELS, Section


class DecoderConfig(Section):
    """The decoder of one target."""

    depth: int | None = Field(None, ge=1, le=MOST_BLOCKS, description="blocks; null: model.decoder_depth")
    dim: int | None = Field(None, ge=1, le=MOST_CHANNELS, description="width; null: model.decoder_dim")
    heads: int | None = Field(None, ge=1, description="attention heads; null: heads of the width of the size's decoder")


class ModelConfig(Section):
    """The autoencoder; see `mgm.models.ModelSpec`."""

    network: str | None = Field(
        None,
        description="a supervised network of 'mgm models' in place of the encoder and of the keys below, for finetune, evaluate, "
        "probe, embed and predict; null: a ViT",
    )
    size: Literal["debug", "tiny", "S", "B", "L", "H"] = Field("B", description="row of the table of sizes")
    patch: int = Field(16, ge=1, description="side of a patch in pixels")
    tubelet: int = Field(2, ge=1, description="frames of a token")
    position: FixedPosition = Field("sincos-1d", description="position embedding; the reference uses sincos-1d")
    patch_init: PatchInit = Field(
        "conv",
        description="initialisation of the patch embedding: conv, the reference's; xavier, MAE's; or whitened, from the principal "
        "components of patches of the training videos",
    )
    backbone: BackboneName = Field("vit", description="vit: VideoMAE's; timesformer: TimeSformer")
    attention: AttentionKind | None = Field(
        None, description="attention of timesformer: divided (also for null) or joint; vit has joint attention"
    )
    target: str | dict[str, float] = Field(
        "normalised-pixels",
        description=f"reconstruction target: {', '.join(TARGETS)}; or several as name: weight",
    )
    visible_target: str | dict[str, float] | None = Field(
        None,
        description="target that a linear layer predicts from the encoder's output at visible tokens, named as target; null: none",
    )
    teacher: str | None = Field(
        None,
        description="encoder whose features are the target teacher or video-teacher: anything that mgm.load_encoder reads",
    )
    image_teacher: str | None = Field(
        None,
        description="encoder of pictures whose features are the target image-teacher, such as a file of MAE (MVD)",
    )
    tokenizer: str | None = Field(
        None,
        description="file of the network whose codes a target predicts: a checkpoint of taming-transformers for vqgan-codes, "
        "DALL-E's encoder.pkl for dvae-codes",
    )
    replacement: Literal["vit", "swin", "mvit"] | None = Field(
        None,
        description="what becomes of hidden tokens: null, the encoder does not get them, a decoder predicts them (VideoMAE); or "
        "the network that gets a learned token in their place and predicts them itself: vit (the encoder of this section), swin "
        "(Video Swin with BEVT's decoder; sizes B and debug), or mvit (MViTv2 as MaskFeat pretrains it; sizes S and debug)",
    )
    drop_path: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="stochastic depth of the network of replacement, rising linearly to this at the last block",
    )
    decoder_attention: DecoderAttention = Field(
        "self",
        description="self: VideoMAE's decoder; cross: CrossMAE's, whose mask tokens attend to visible tokens only",
    )
    decoder_depth: int | None = Field(None, ge=1, le=MOST_BLOCKS, description="decoder blocks; null: as the size has")
    decoder_dim: int | None = Field(
        None, ge=1, le=MOST_CHANNELS, description="width of the decoder; null: as the size has"
    )
    decoder_heads: int | None = Field(None, ge=1, description="attention heads of the decoder; null: as the size has")
    prediction_head: PredictionHead = Field(
        "linear",
        description="end of the decoder: linear (VideoMAE), or mlp: for each target two linear layers (M3Video)",
    )
    decoders: dict[str, DecoderConfig] | None = Field(
        None,
        description="{target: {depth, dim, heads}}: a decoder for each target, with its own projection and mask token; "
        "null: the targets share one",
    )
    regressor_depth: int | None = Field(
        None,
        ge=1,
        le=MOST_BLOCKS,
        description="blocks of cross-attention in which queries for hidden tokens read the encoder's output before the decoder "
        "(MAM2); null: no regressor",
    )
    checkpointing: bool = Field(
        False, description="recompute activations in the backward pass: less memory, a third more computation"
    )
    spec: dict[str, Any] | None = Field(
        None,
        description="specification of an external encoder, written by config_for; it replaces the keys above except the targets, "
        "teacher, tokenizer and checkpointing",
    )

    @field_validator("network")
    @classmethod
    def _known_network(cls, value: str | None) -> str | None:
        if value is not None and value not in NETWORKS:
            advice = did_you_mean(value, NETWORKS) or f"'mgm models' lists all {len(NETWORKS)}"
            raise ConfigError("", f"unknown network {value!r}", advice=advice, reason="unknown_name")
        return value

    @field_validator("target", "visible_target", mode="before")
    @classmethod
    def _known_targets(cls, value: object, info: ValidationInfo) -> object:
        """Check before pydantic, which would report every form of the union."""
        if value is None and info.field_name == "visible_target":
            return None
        weights = {value: 1.0} if isinstance(value, str) else value
        names = [name for name in TARGETS if info.field_name == "target" or TARGETS[name].needs is None]
        if not isinstance(weights, dict) or not weights:
            expected = f"one of {', '.join(names)}, or several as {{name: weight}}"
            raise ConfigError("", "", expected, reason="invalid_type")
        for name, weight in weights.items():
            if name not in names:
                raise ConfigError.not_one_of("", f"unknown target {name!r}", str(name), names)
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not number or not 0 < weight < math.inf:
                expected = f"a number above 0, as in {{{name}: 0.5}}"
                raise ConfigError("", f"weight {weight!r} of {name}", expected, reason="invalid_value")
        return value

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of the targets at hidden tokens."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)

    @property
    def visible_target_names(self) -> tuple[str, ...]:
        """The names of the targets at visible tokens."""
        visible = self.visible_target or {}
        return (visible,) if isinstance(visible, str) else tuple(visible)

    @property
    def motion_target_names(self) -> tuple[str, ...]:
        """The names of the targets, at hidden or visible tokens, that read the motion."""
        names = (*self.target_names, *self.visible_target_names)
        return tuple(name for name in names if name in TARGETS and TARGETS[name].reads == "motion")
