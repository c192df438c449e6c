"""The settings of a preview from those of a recipe or a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mgm.show.preview import PreviewSettings

if TYPE_CHECKING:
    from mgm.training.config import Config


def settings_of(config: Config, masks: Sequence[str] = (), *, origin: str = "") -> PreviewSettings:
    """The clips and masks of a recipe: what pretraining reads and hides.

    Args:
        masks: names; empty: the recipe's. The recipe's options apply to its own mask, other masks have their defaults.
    """
    spec, data = config.model_spec(), config.data
    return PreviewSettings(
        frames=data.frames,
        stride=data.stride,
        size=data.size,
        patch=spec.patch,
        tubelet=spec.tubelet,
        ratio=config.mask.ratio,
        masks=tuple(masks) or (config.mask.name,),
        options={config.mask.name: config.mask.options},
        motion=data.motion,
        policy=data.policy,
        camera=data.camera,
        reading=data.reading,
        seed=config.seed,
        draws=1,
        origin=origin,
    )
