"""Mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019): clips of a batch mixed in pairs, and their labels with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgm.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Mix:
    """How a batch is mixed.

    Attributes:
        share: what a clip keeps of itself, in pixels and in its label; the rest comes from its partner, the clip at the same place
            counted from the end.
        box: (x, y, width, height) that is the partner's, in every frame (CutMix); None: all pixels are blended (mixup).
    """

    share: float
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class Mixing:
    """One draw for a whole batch (timm's mode "batch").

    Attributes:
        mixup, cutmix: alpha of the Beta distribution that the share is drawn from; 0 leaves that kind out.
        probability: that a batch is mixed at all.
        switch: that it is by CutMix, where both kinds are in use.
    """

    mixup: float = 0.8
    cutmix: float = 1.0
    probability: float = 1.0
    switch: float = 0.5

    def __post_init__(self) -> None:
        if not self.mixup and not self.cutmix:
            raise ConfigError("mixup 0 and cutmix 0: nothing to mix by, expected one of them above 0; leave mixing out")

    def draw(self, height: int, width: int, rng: np.random.Generator) -> Mix | None:
        """How the next batch is mixed; None: not at all."""
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
        # A box around a place near the border loses what hangs over it, and the share says so.
        top, bottom = max(y - half_h, 0), min(y + half_h, height)
        left, right = max(x - half_w, 0), min(x + half_w, width)
        kept = 1 - (bottom - top) * (right - left) / (height * width)
        return Mix(kept, (left, top, right - left, bottom - top))


def mix_clips(video: Tensor, mix: Mix) -> Tensor:
    """uint8 (B, 3, T, H, W) to a new batch. Blends are rounded to whole levels; they commute with normalising, which is linear."""
    result = video.clone()
    if mix.box is not None:
        x, y, w, h = mix.box
        result[..., y : y + h, x : x + w] = video.flip(0)[..., y : y + h, x : x + w]
        return result
    for number, clip in enumerate(video):  # one by one: a batch in floating point takes four times the memory
        blend = torch.lerp(video[len(video) - 1 - number].float(), clip.float(), mix.share)
        result[number] = blend.round_().to(torch.uint8)
    return result


def soft_targets(label: Tensor, *, classes: int, smoothing: float, mix: Mix | None) -> Tensor:
    """Labels int64 (B,) to probabilities float32 (B, classes) that sum to 1: `smoothing` of the target is spread evenly over all
    classes, and the partner's label takes the share of its pixels."""
    even = smoothing / classes
    target = torch.full((len(label), classes), even, device=label.device)
    target.scatter_(1, label[:, None], 1 - smoothing + even)
    return target if mix is None else target * mix.share + target.flip(0) * (1 - mix.share)
