"""Random erasing (Zhong et al., 2020): noise in a box, the same box in every frame of a clip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Erased:
    """A drawn box, (x, y, width, height) in pixels, and the seed of its noise."""

    box: tuple[int, int, int, int]
    seed: int


@dataclass(frozen=True, slots=True)
class RandomErasing:
    """Erases one box of a clip with a given probability: timm's mode "pixel", count 1, as a cube through time.

    Attributes:
        mean, std: mean and standard deviation of the noise for each of the three channels, in 0..1. Clips are normalised by the
            same values, so that the normalised noise has mean 0 and variance 1. Noise is clipped to the levels 0 to 255; one value
            in thirty is outside.
        probability: probability that a clip is erased at all.
        area: smallest and largest area of the box, as a share of the frame's.
        shape: smallest and largest height / width, uniform in the logarithm.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    probability: float = 0.25
    area: tuple[float, float] = (0.02, 1 / 3)
    shape: tuple[float, float] = (0.3, 1 / 0.3)

    def draw(self, height: int, width: int, rng: np.random.Generator) -> Erased | None:
        """Draw the box of a clip; None if the clip is not erased, also when ten boxes in a row do not fit into the frame."""
        if rng.random() >= self.probability:
            return None
        for _ in range(10):
            area = height * width * rng.uniform(*self.area)
            shape = math.exp(rng.uniform(*np.log(self.shape)))
            h, w = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < h < height and 0 < w < width:
                x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
                return Erased((x, y, w, h), int(rng.integers(2**63)))
        return None

    def apply(self, clip: Tensor, erased: Erased) -> Tensor:
        """Erase the box of uint8 (3, T, H, W), on any device; returns a new clip. Noise differs between kinds of devices."""
        x, y, w, h = erased.box
        generator = torch.Generator(clip.device).manual_seed(erased.seed)
        noise = torch.randn((3, clip.shape[1], h, w), generator=generator, device=clip.device)
        # One by one: copying a tensor of the values would synchronise with a GPU.
        for channel, mean, std in zip(noise, self.mean, self.std, strict=True):
            channel.mul_(std).add_(mean)
        result = clip.clone()
        result[..., y : y + h, x : x + w] = (noise * 255).round_().clamp_(0, 255).to(torch.uint8)
        return result
