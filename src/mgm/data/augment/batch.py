"""Augmentation of a batch of clips for fine-tuning, besides crop and flip: RandAugment, erasing, mixing, soft targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgm.data.augment.erasing import RandomErasing
from mgm.data.augment.mixing import Mixing, mix_clips, soft_targets
from mgm.data.augment.randaugment import RandAugment

# Last number of each generator's seed: it keeps these random streams apart from each other, and from those of clips and orders.
_CLIP_STREAM, _BATCH_STREAM = 4, 5


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Changes a batch on the batch's own device. A GPU does it in a fraction of the time that reading processes would need.

    Attributes:
        classes: number of labels.
        smoothing: share of the target that is spread over all classes.
        seed: seed of the run. The change of a clip depends on this and on the clip's own key, the change of a batch on this and
            on the key of its first clip: the same with any number of reading processes, and after resuming.
    """

    classes: int
    smoothing: float
    seed: int
    randaugment: RandAugment | None = None
    erasing: RandomErasing | None = None
    mixing: Mixing | None = None

    @torch.no_grad()
    def __call__(self, video: Tensor, label: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Apply RandAugment, then erasing, then mixing, in the order of the reference.

        Args:
            video: uint8 (B, 3, T, H, W); not modified.
            label: int64 (B,), none of them -1.
            keys: int64 (B, n), the numbers that each clip was drawn from (epoch, index, repeat), on the CPU.

        Returns:
            (uint8 (B, 3, T, H, W), target float32 (B, classes), probabilities).
        """
        if self.randaugment is not None or self.erasing is not None:
            changed = torch.empty_like(video)
            for clip, key, result in zip(video, keys.tolist(), changed, strict=True):
                result.copy_(self._change_clip(clip, np.random.default_rng([self.seed, *key, _CLIP_STREAM])))
            video = changed
        mix = None
        if self.mixing is not None:
            rng = np.random.default_rng([self.seed, *keys[0].tolist(), _BATCH_STREAM])
            mix = self.mixing.draw(video.shape[-2], video.shape[-1], rng)
        if mix is not None:
            video = mix_clips(video, mix)
        return video, soft_targets(label, classes=self.classes, smoothing=self.smoothing, mix=mix)

    def _change_clip(self, clip: Tensor, rng: np.random.Generator) -> Tensor:
        if self.randaugment is not None:
            clip = self.randaugment.apply(clip, self.randaugment.draw(rng))
        if self.erasing is not None:
            erased = self.erasing.draw(clip.shape[-2], clip.shape[-1], rng)
            clip = clip if erased is None else self.erasing.apply(clip, erased)
        return clip
