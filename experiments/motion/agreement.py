"""How well a motion field agrees with dense optical flow: maps of 14 x 14 magnitudes and three measures of two maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

import mgm
from mgm.masks.cell_motion import motion_energy
from mgm.video import MotionField
from mgm.video.container.metadata import read_video_info

GRID, MASK = 14, 7
"""Patches a side of the paper's grid, and of the square that a mask of a quarter of it hides."""

Anchor = Literal["earlier", "later"]
Maps = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Per pair of maps, float64 (n,): cosine, distance of the peaks in patches, overlap of the masks around the peaks."""

    cosine: npt.NDArray[np.float64]
    distance: npt.NDArray[np.float64]
    overlap: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cosine)


def samples(path: Path, *, stride: int, most: int) -> int:
    """Number of frames of a clip of `stride` in the first `most` frames of a video."""
    return (min(read_video_info(path).frames, most) - 1) // stride + 1


def grey_frames(path: Path, *, stride: int, most: int) -> list[npt.NDArray[np.uint8]]:
    """The sampled frames at their own size, uint8 (H, W)."""
    count = samples(path, stride=stride, most=most)
    clip = mgm.read_clip(path, frames=count, stride=stride, size=None, crop=None, motion=None)
    return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.frames]


def dis_maps(frames: list[npt.NDArray[np.uint8]], *, anchor: Anchor) -> Maps:
    """Magnitudes of dense flow between neighbours by DIS medium at full size, float64 (n - 1, 14, 14), in pixels.

    Args:
        anchor: "earlier": flow from t - stride to t, placed at the pixels of the earlier frame. "later": flow from t to t - stride,
            placed at the pixels of the later frame, as in codecs. The sign does not matter for magnitudes.
    """
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return _flow_maps(frames, anchor, lambda first, second: estimator.calc(first, second, None))


def farneback_maps(frames: list[npt.NDArray[np.uint8]], *, anchor: Anchor) -> Maps:
    """As `dis_maps`, by Farneback's method in OpenCV: the agreement of two dense flows bounds the accuracy of the first."""
    return _flow_maps(
        frames,
        anchor,
        lambda first, second: cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 4, 15, 3, 5, 1.2, 0),
    )


def _flow_maps(
    frames: list[npt.NDArray[np.uint8]],
    anchor: Anchor,
    flow_of: Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
) -> Maps:
    maps = []
    for before, after in pairwise(frames):
        flow = flow_of(before, after) if anchor == "earlier" else flow_of(after, before)
        magnitude = np.hypot(flow[..., 0], flow[..., 1]).astype(np.float64)
        maps.append(cv2.resize(magnitude, (GRID, GRID), interpolation=cv2.INTER_AREA))
    return np.stack(maps)


def field_maps(field: MotionField) -> Maps:
    """Magnitudes of a field without its first frame, which has no frame before it: float64 (n - 1, 14, 14)."""
    return motion_energy(field, (len(field.vectors), GRID, GRID))[1:]


def agree(maps: Maps, truth: Maps) -> Scores:
    """Compare map by map; a map of zeros has cosine 0."""
    flat, other = maps.reshape(len(maps), -1), truth.reshape(len(truth), -1)
    length = np.linalg.norm(flat, axis=1) * np.linalg.norm(other, axis=1)
    cosine = np.divide((flat * other).sum(axis=1), length, out=np.zeros(len(flat)), where=length > 0)
    peaks = [np.stack(np.unravel_index(m.argmax(axis=1), (GRID, GRID)), axis=1) for m in (flat, other)]
    distance = np.linalg.norm(peaks[0] - peaks[1], axis=1)
    corners = [np.clip(peak - MASK // 2, 0, GRID - MASK) for peak in peaks]
    shared = np.maximum(MASK - np.abs(corners[0] - corners[1]), 0).prod(axis=1)
    return Scores(cosine, distance, shared / (2 * MASK**2 - shared))
