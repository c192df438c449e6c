"""Mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019): mix the clips of a batch in pairs, and their labels alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgm.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Mix:
    """A drawn mix of a batch.

    Attributes:
        share: weight of a clip's own pixels and label; the rest belongs to its partner, the clip at the same index counted from
            the end of the batch.
        box: (x, y, width, height) taken from the partner in every frame (CutMix); None: all pixels are blended (mixup).
    """

    share: float
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class Mixing:
    """One draw for a whole batch (timm's mode "batch").

    Attributes:
        mixup, cutmix: alpha of the Beta distribution that the share is drawn from; 0 disables that kind.
        probability: probability that a batch is mixed at all.
        switch: probability of CutMix, if both kinds are enabled.
    """

    mixup: float = 0.8
    cutmix: float = 1.0
    probability: float = 1.0
    switch: float = 0.5

    def __post_init__(self) -> None:
        if not self.mixup and not self.cutmix:
            raise ConfigError(
                "mixing", "mixup and cutmix are both 0", "one of them above 0", "leave mixing out", reason="conflict"
            )

    def draw(self, height: int, width: int, rng: np.random.Generator) -> Mix | None:
        """Draw the mix of the next batch; None if the batch is not mixed."""
        if rng.random() >= self.probability:
            return None
        cut = self.cutmix > 0 and (not self.mixup or rng.random() < self.switch)
        alpha = self.cutmix if cut else self.mixup
        share = float(rng.beta(alpha, alpha))
        if not cut:
            return Mix(share, None)
        side = np.sqrt(1 - share)
        half_h, half_w = int(height * side) // 2, int(width * side) // 2
        y, x = int(rng.integers(height)), int(rng.integers(width))
        # A box near the border is cut off there, and the share counts the pixels that remain.
        top, bottom = max(y - half_h, 0), min(y + half_h, height)
        left, right = max(x - half_w, 0), min(x + half_w, width)
        kept = 1 - (bottom - top) * (right - left) / (height * width)
        return Mix(kept, (left, top, right - left, bottom - top))


def mix_clips(video: Tensor, mix: Mix) -> Tensor:
    """Mix uint8 (B, 3, T, H, W) into a new batch. Blends are rounded to whole levels and commute with the linear normalisation."""
    result = video.clone()
    if mix.box is not None:
        x, y, w, h = mix.box
        result[..., y : y + h, x : x + w] = video.flip(0)[..., y : y + h, x : x + w]
        return result
    for number, clip in enumerate(video):  # one by one: a whole batch in float32 takes four times the memory
        blend = torch.lerp(video[len(video) - 1 - number].float(), clip.float(), mix.share)
        result[number] = blend.round_().to(torch.uint8)
    return result


def soft_targets(label: Tensor, *, classes: int, smoothing: float, mix: Mix | None) -> Tensor:
    """Convert labels, int64 (B,), to probabilities, float32 (B, classes), that sum to 1.

    `smoothing` of the target is spread evenly over all classes; the partner's label is weighted by its share of the pixels.
    """
    even = smoothing / classes
    target = torch.full((len(label), classes), even, device=label.device)
    target.scatter_(1, label[:, None], 1 - smoothing + even)
    return target if mix is None else target * mix.share + target.flip(0) * (1 - mix.share)
