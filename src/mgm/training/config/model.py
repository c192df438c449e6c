"""Which autoencoder, and what it predicts."""

from __future__ import annotations

import difflib
import math
from typing import Any, Literal

from pydantic import Field, field_validator

from mgm.models import TARGETS
from mgm.training.config.section import Section


class ModelConfig(Section):
    """Which autoencoder; see `mgm.models.ModelSpec`."""

    size: Literal["debug", "tiny", "S", "B", "L", "H"] = Field("B", description="row of the table of sizes")
    patch: int = Field(16, ge=1, description="side of a patch in pixels")
    tubelet: int = Field(2, ge=1, description="frames of a token")
    position: Literal["sincos-1d", "sincos-3d"] = Field(
        "sincos-1d", description="position code: sincos-1d is the reference's"
    )
    patch_init: Literal["conv", "xavier"] = Field(
        "conv", description="start of the patch embedding: conv is the reference's"
    )
    backbone: Literal["vit", "timesformer"] = Field("vit", description="vit is VideoMAE's; timesformer: TimeSformer")
    attention: Literal["joint", "divided"] | None = Field(
        None, description="of timesformer: divided (null too) or joint; vit has joint attention"
    )
    target: str | dict[str, float] = Field(
        "normalised-pixels",
        description=f"what hidden tokens are compared with: {', '.join(TARGETS)}; or several as name: weight",
    )
    teacher: str | None = Field(
        None, description="whose features the target teacher are: anything that mgm.load_encoder reads"
    )
    decoder_attention: Literal["self", "cross"] = Field(
        "self",
        description="self: VideoMAE's decoder; cross: CrossMAE's, whose mask tokens look at visible tokens alone",
    )
    decoder_depth: int | None = Field(None, ge=1, description="decoder blocks; null: the size's own")
    decoder_dim: int | None = Field(None, ge=1, description="width of the decoder; null: the size's own")
    checkpointing: bool = Field(
        False, description="keep less for the backward pass and compute it again: less memory, a third more work"
    )
    spec: dict[str, Any] | None = Field(
        None,
        description="the specification of an encoder from elsewhere, which settings_for writes; of the keys above, those of "
        "the target and checkpointing alone then count",
    )

    @field_validator("target", mode="before")
    @classmethod
    def _known_targets(cls, value: object) -> object:
        """Looked at first, or pydantic would report each form that it is not."""
        weights = {value: 1.0} if isinstance(value, str) else value
        if not isinstance(weights, dict) or not weights:
            raise ValueError(f"expected one of {', '.join(TARGETS)}, or several as {{name: weight}}")
        for name, weight in weights.items():
            if name not in TARGETS:
                near = difflib.get_close_matches(str(name), TARGETS, 1)
                hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(TARGETS)}"
                raise ValueError(f"no target {name!r}; {hint}")
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not number or not 0 < weight < math.inf:
                raise ValueError(f"weight {weight!r} of {name}, expected a number above 0, as in {{{name}: 0.5}}")
        return value

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of the targets."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)
