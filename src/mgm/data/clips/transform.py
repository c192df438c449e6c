"""One geometric transform for pixels, motion and boxes: crop, resize, flip."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from mgm.video import MotionField
from mgm.video.clip.options import Box

CropName = Literal["centre", "multiscale", "random_resized"]

_ASPECT_RATIOS = (3 / 4, 4 / 3)


@dataclass(frozen=True, slots=True)
class Geometry:
    """A crop, its scaling and an optional horizontal flip.

    Attributes:
        frame: (height, width) of the upright frame that `box` refers to.
        box: (x, y, width, height) of the crop, in pixels of `frame`; x and y even, since chroma has half the resolution.
        size: (height, width) of the result.
        flip: mirror left to right.
    """

    frame: tuple[int, int]
    box: Box
    size: tuple[int, int]
    flip: bool = False

    def frames(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Apply to frames uint8 (T, height, width, 3) of shape `frame`; bilinear, averaged if it shrinks."""
        x, y, w, h = self.box
        part = frames[:, y : y + h, x : x + w]
        if (h, w) != self.size:
            import torch  # here: boxes and motion are transformed without it
            import torch.nn.functional as F

            # a view of channels-last memory, for which torch has a fast uint8 kernel
            pixels = torch.from_numpy(np.ascontiguousarray(part)).permute(0, 3, 1, 2)
            part = F.interpolate(pixels, size=self.size, mode="bilinear", antialias=True).permute(0, 2, 3, 1).numpy()
        return mirrored(part) if self.flip else np.ascontiguousarray(part)

    def motion(self, field: MotionField) -> MotionField:
        """Apply to the motion field of the whole frame. The resulting vectors are in pixels of the result: dx and dy are scaled by
        separate factors, and a flip changes the sign of dx. The field may have another resolution than `frame` (small frames in
        memory, motion as coded)."""
        rows, columns = field.extent
        x, y, w, h = self.box
        sy, sx = rows / self.frame[0], columns / self.frame[1]
        region = (round(x * sx), round(y * sy), max(round(w * sx), 1), max(round(h * sy), 1))
        part = field.crop(region) if region != (0, 0, columns, rows) else field
        return part.scaled(self.size[1] / (w * sx), self.size[0] / (h * sy), flip=self.flip)

    def boxes(self, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Apply to boxes (n, 4) of [x0, y0, x1, y1] in pixels of `frame`; clipped to the result; boxes outside it are dropped."""
        x, y, w, h = self.box
        scale = np.array([self.size[1] / w, self.size[0] / h] * 2)
        moved = (np.asarray(boxes, np.float64).reshape(-1, 4) - [x, y, x, y]) * scale
        moved = np.clip(moved, 0, [self.size[1], self.size[0]] * 2)
        if self.flip:
            moved[:, [0, 2]] = self.size[1] - moved[:, [2, 0]]
        inside = (moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])
        kept: npt.NDArray[np.float64] = moved[inside]
        return kept


def mirrored(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Mirror uint8 (T, H, W, 3) left to right, in a seventh of numpy's time: torch has a kernel for this layout."""
    import torch  # see `Geometry.frames`

    turned = torch.from_numpy(frames).permute(0, 3, 1, 2).flip(-1).permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(turned)


def draw_geometry(
    crop: CropName, height: int, width: int, *, size: int, flip: bool, rng: np.random.Generator
) -> Geometry:
    """Draw the geometry of one training clip by the name of its crop in a recipe; see the functions of those names. A centre crop
    may be mirrored, too."""
    if crop == "centre":
        return replace(centre_crop(height, width, size=size), flip=_draw_flip(flip, rng))
    if crop == "multiscale":
        return multi_scale_crop(height, width, size=size, flip=flip, rng=rng)
    return random_resized_crop(height, width, size=size, flip=flip, rng=rng)


def short_side(height: int, width: int, *, size: int) -> Geometry:
    """The whole frame, its shorter side scaled to `size`, its aspect ratio kept."""
    scale = size / min(height, width)
    return Geometry((height, width), (0, 0, width, height), (round(height * scale), round(width * scale)))


def centre_crop(height: int, width: int, *, size: int) -> Geometry:
    """The largest centred square, scaled to `size`."""
    side = min(height, width)
    return Geometry(
        (height, width), (_even((width - side) // 2), _even((height - side) // 2), side, side), (size, size)
    )


def spatial_views(height: int, width: int, *, size: int) -> list[Geometry]:
    """The three crops of the multi-view protocol: squares of the shorter side's length at both ends and in the middle of the longer
    side. A square video has one."""
    side = min(height, width)
    slack = max(height, width) - side
    views = []
    for offset in sorted({0, _even(slack // 2), _even(slack)}):
        x, y = (offset, 0) if width >= height else (0, offset)
        views.append(Geometry((height, width), (x, y, side, side), (size, size)))
    return views


_SCALES = (1.0, 0.875, 0.75, 0.66)
_SNAP = 3
"""Pixels: a side of a multi-scale crop that differs less from the result's side is set to it, so that it need not be scaled."""


def multi_scale_crop(height: int, width: int, *, size: int, flip: bool, rng: np.random.Generator) -> Geometry:
    """VideoMAE's pretraining crop (from TSN): one of ten shapes at one of 13 fixed positions, stretched to `size` x `size`.

    Sides are 1, .875, .75 or .66 of the shorter one; neighbours of that list form ten pairs, with aspect ratios up to 4:3. The
    stretching scales motion by another factor in x than in y.

    Args:
        flip: mirror half of the clips, at random. Not for labels that distinguish left from right (Something-Something).
    """
    base = min(height, width)
    sides = [_snapped(int(base * scale), size, base) for scale in _SCALES]
    pairs = [(w, h) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= 1]
    w, h = pairs[rng.integers(len(pairs))]
    quarter_x, quarter_y = (width - w) // 4, (height - h) // 4
    corners_and_edges = [(i, j) for i in (0, 2, 4) for j in (0, 2, 4)]
    quarters = [(1, 1), (3, 1), (1, 3), (3, 3)]
    positions = corners_and_edges + quarters
    i, j = positions[rng.integers(len(positions))]
    box = (_even(i * quarter_x), _even(j * quarter_y), w, h)
    return Geometry((height, width), box, (size, size), _draw_flip(flip, rng))


def random_resized_crop(
    height: int,
    width: int,
    *,
    size: int,
    flip: bool,
    rng: np.random.Generator,
    scale: tuple[float, float] = (0.08, 1.0),
) -> Geometry:
    """The crop of fine-tuning (from Inception): a region of random area, aspect ratio and position, stretched to
    `size` x `size`.

    Args:
        scale: smallest and largest fraction of the frame's area, drawn uniformly.

    Width / height is drawn uniformly in the logarithm, from 3/4 to 4/3. After ten draws that do not fit into the frame: the largest
    centred region with such an aspect ratio.
    """
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        shape = math.exp(rng.uniform(*np.log(_ASPECT_RATIOS)))
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            break
    else:
        w, h = min(width, round(height * _ASPECT_RATIOS[1])), min(height, round(width / _ASPECT_RATIOS[0]))
        x, y = (width - w) // 2, (height - h) // 2
    return Geometry((height, width), (_even(x), _even(y), w, h), (size, size), _draw_flip(flip, rng))


def _draw_flip(flip: bool, rng: np.random.Generator) -> bool:
    return bool(flip and rng.random() < 0.5)


def _snapped(side: int, size: int, limit: int) -> int:
    return size if abs(side - size) < _SNAP and size <= limit else side


def _even(value: int) -> int:
    return value - value % 2
