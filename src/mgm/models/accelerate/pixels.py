"""The target normalised-pixels of uint8 clips with channels last in memory, as videos are decoded, in one pass."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgm.compiled import compiled
from mgm.models.accelerate.threads import for_each
from mgm.models.targets.pixels import EPSILON, NormalisedPixels


@dataclass(frozen=True)
class OnePassPixels(NormalisedPixels):
    """`NormalisedPixels`, computed by `normalised_pixels` where it reads the video."""

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim)."""
        if not can_normalise(source):
            return super().__call__(source, tokens)
        sizes = {"tubelet": self.spec.tubelet, "patch": self.spec.patch}
        with torch.no_grad():
            return normalised_pixels(source, tokens, **sizes, epsilon=255 * EPSILON)


def can_normalise(video: Tensor) -> bool:
    """Whether `normalised_pixels` reads this video: uint8 (B, 3, T, H, W) on the CPU, channels last in memory."""
    return video.device.type == "cpu" and video.dtype == torch.uint8 and video.permute(0, 2, 3, 4, 1).is_contiguous()


def normalised_pixels(video: Tensor, tokens: Tensor, *, tubelet: int, patch: int, epsilon: float) -> Tensor:
    """(x - mean) / (sqrt(var) + epsilon) per token and channel, unbiased variance, flattened channel-last.

    Args:
        video: as in `can_normalise`.
        tokens: int64 (B, n), row-major (t, h, w).
        tubelet, patch: frames and pixels of a token.
        epsilon: in the video's unit, 1/255.

    Returns:
        float32 (B, n, 3 * tubelet * patch * patch).
    """
    operation = _opaque if torch.compiler.is_compiling() else _normalised
    out: Tensor = operation(video, tokens, tubelet, patch, epsilon)
    return out


def _normalised(video: Tensor, tokens: Tensor, tubelet: int, patch: int, epsilon: float) -> Tensor:
    out = torch.empty(*tokens.shape, tubelet * patch, 3 * patch)
    clips, indices, values = video.permute(0, 2, 3, 4, 1).flatten(3).numpy(), tokens.numpy(), out.numpy()
    for_each(lambda i: _normalise_clip(clips[i], indices[i], tubelet, patch, epsilon, values[i]), len(clips))
    return out.flatten(2)


@torch.library.custom_op("mgm::normalised_pixels", mutates_args=())
def _opaque(video: Tensor, tokens: Tensor, tubelet: int, patch: int, epsilon: float) -> Tensor:
    return _normalised(video, tokens, tubelet, patch, epsilon)


@_opaque.register_fake
def _(video: Tensor, tokens: Tensor, tubelet: int, patch: int, epsilon: float) -> Tensor:
    return torch.empty(*tokens.shape, 3 * tubelet * patch * patch)


def compile_pixels() -> None:
    """Compile the kernel and cache it, so that no training step has to."""
    _normalised(
        torch.zeros(1, 2, 2, 2, 3, dtype=torch.uint8).permute(0, 4, 1, 2, 3),
        torch.zeros(1, 1, dtype=torch.int64),
        2,
        2,
        1.0,
    )


@compiled(nogil=True)
def _normalise_clip(clip, tokens, tubelet, p, epsilon, out):  # type: ignore[no-untyped-def]
    """clip: uint8 (T, H, W * 3). tokens: int64 (n,). out: float32 (n, tubelet * p, p * 3).

    Sums of integers are exact, so one pass gives a flat patch the variance 0. The inner loops run along a line of a patch,
    whose 3 p values, channels in turn, are adjacent.
    """
    width = 3 * p
    rows, columns = clip.shape[1] // p, clip.shape[2] // width
    number = tubelet * p * p
    mean, scale = np.empty(width, np.float32), np.empty(width, np.float32)
    for row, token in enumerate(tokens):
        frame, y, x = token // (rows * columns) * tubelet, token // columns % rows * p, token % columns * width
        total, squares = np.zeros(width, np.int32), np.zeros(width, np.int32)
        for line in range(tubelet * p):
            pixels = clip[frame + line // p, y + line % p, x : x + width]
            for i in range(width):
                value = np.int32(pixels[i])
                total[i] += value
                squares[i] += value * value
        for channel in range(3):
            one, two = np.int64(0), np.int64(0)
            for i in range(channel, width, 3):
                one += total[i]
                two += squares[i]
            variance = (two * number - one * one) / (number * max(1, number - 1))
            for i in range(channel, width, 3):
                mean[i], scale[i] = one / number, 1 / (np.sqrt(variance) + epsilon)
        for line in range(tubelet * p):
            pixels = clip[frame + line // p, y + line % p, x : x + width]
            for i in range(width):
                out[row, line, i] = (np.float32(pixels[i]) - mean[i]) * scale[i]
