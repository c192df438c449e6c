"""Frame sampling: the frames of a clip, in training and in testing.

Every function returns frame numbers, int64 (T,), ascending; numbers repeat if a video is too short. `total` is the number of
frames of the video, or of its annotated part. Random choices come from the generator that is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mgm.clip_kinds import ClipSampling
from mgm.errors import DataError
from mgm.video.clip.plan import clip_frames

Frames = npt.NDArray[np.int64]
"""Frame numbers of a clip, int64 (T,), ascending."""

Sampling = Literal[ClipSampling, "segments"]
"""How those of several clips of a video are chosen: "segments": each from its own part of the video."""
SamplingRule = Literal["exact", "reference"]


@dataclass(frozen=True, slots=True)
class Sampler:
    """Chooses the frames of clips.

    Attributes:
        frames: number of frames of a clip.
        stride: distance of its frames; ignored by `sparse`.
        sampling: `dense`: consecutive frames at `stride` (Kinetics); `sparse`: one frame from each of `frames` equal parts of the
            whole video (TSN; Something-Something); `segments`: dense clips, each from its own part (V-JEPA's evaluation).
        rule: `reference` chooses exactly VideoMAE's frames, including their irregularities; see `reference_dense_clip`.
    """

    frames: int
    stride: int
    sampling: Sampling = "dense"
    rule: SamplingRule = "exact"

    def __post_init__(self) -> None:
        if self.rule == "reference" and self.sampling == "segments":
            raise DataError(
                "sampling",
                "'segments' with rule 'reference', which has no segments",
                advice="use rule 'exact'",
                reason="conflict",
            )

    def train(self, total: int, *, rng: np.random.Generator, step: int = 1) -> Frames:
        """One random clip. `step`: see `random_start`; ignored by the reference and by sparse clips."""
        reference = self.rule == "reference"
        if self.sampling == "sparse":
            draw = reference_sparse_clip if reference else sparse_clip
            return draw(total, frames=self.frames, rng=rng)
        if reference:
            return reference_dense_clip(total, frames=self.frames, stride=self.stride, rng=rng)
        return dense_clip(total, frames=self.frames, stride=self.stride, rng=rng, step=step)

    def views(self, total: int, *, count: int) -> list[Frames]:
        """The temporal views of a video, without random choices. Fewer than `count` if some would be equal."""
        if self.sampling == "sparse":
            return sparse_views(total, frames=self.frames, views=count)
        if self.sampling == "segments":
            return segment_clips(total, frames=self.frames, stride=self.stride, clips=count)
        views = reference_dense_views if self.rule == "reference" else dense_views
        return views(total, frames=self.frames, stride=self.stride, views=count)


def dense_clip(total: int, *, frames: int, stride: int, rng: np.random.Generator, step: int = 1) -> Frames:
    """A clip from a random start: pretraining, and fine-tuning on Kinetics, UCF101 and HMDB51. See `random_start`. At the end of
    the video the clip stops advancing and repeats the last frame that it has reached (VideoMAE's padding):

        total=10, frames=4, stride=4
        f . . . f . . . f .           0, 4, 8, 8

    """
    start = random_start(total, frames=frames, stride=stride, rng=rng, step=step)
    return clip_frames(total, start=start, frames=frames, stride=stride)


def random_start(total: int, *, frames: int, stride: int, rng: np.random.Generator, step: int = 1) -> int:
    """A start from which the whole clip fits, drawn uniformly; 0 if no start fits (VideoMAE's pretraining rule, which omits the
    last `stride - 1` of these starts). With `step`, only its multiples: files prepared for strides read fastest from there:

        total=12, frames=2, stride=4: the clip spans 5 frames, starts 0..7
        . . . . . . . . . . . .
        f       f
                      f       f

    """
    free = total - clip_span(frames, stride)
    return int(rng.integers(free // step + 1)) * step if free > 0 else 0


def clip_span(frames: int, stride: int) -> int:
    """Frames of video from the first to the last frame of a clip, both included."""
    return (frames - 1) * stride + 1


def reference_dense_clip(total: int, *, frames: int, stride: int, rng: np.random.Generator) -> Frames:
    """VideoMAE's training clip of fine-tuning, frame for frame, to compare with its results.

    Irregularities: 16 frames are spread over 64 frames, ends included, so that they are 64 / 15 = 4.27 apart, not 4, and the
    spacing differs between training and testing; the last start is never drawn:

        total=20, frames=4, stride=4, end=18: four frames spread over 2..18, ends included
        . . f . . . . f . . . . f . . . . f . .        2, 7, 12, 17

    A video of at most `frames * stride` frames is spread over as many frames as it has strides; the last frame fills the rest.
    """
    length = frames * stride
    if total <= length:
        found = total // stride
        start, end = 0, total
        positions = np.concatenate([np.linspace(0, total, found), np.full(frames - found, float(total))])
    else:
        end = int(rng.integers(length, total))
        start = end - length
        positions = np.linspace(start, end, frames)
    index: Frames = np.clip(positions, start, end - 1).astype(np.int64)
    return index


def sparse_clip(total: int, *, frames: int, rng: np.random.Generator) -> Frames:
    """One random frame of each of `frames` equal parts of the video (TSN): training on Something-Something:

        total=12, frames=4
        . . . | . . . | . . . | . . .
          f         f   f       f          1, 5, 6, 9

    A part that is shorter than a frame takes the frame at its beginning, so that a short video is sampled as a whole, evenly.
    """
    edges = np.arange(frames + 1, dtype=np.int64) * total // frames
    lengths = np.diff(edges)
    index: Frames = edges[:-1] + rng.integers(np.maximum(lengths, 1))
    return index


def reference_sparse_clip(total: int, *, frames: int, rng: np.random.Generator) -> Frames:
    """VideoMAE's training clip of Something-Something, frame for frame.

    Irregularities: all parts have total // frames frames, so that up to `frames - 1` frames at the end are never sampled, and of a
    video with fewer frames than the clip only the first frame is:

        total=15, frames=4: parts of 3 frames
        . . . | . . . | . . . | . . .   never: . . .

    """
    length = total // frames
    if not length:
        return np.zeros(frames, np.int64)
    index: Frames = np.arange(frames, dtype=np.int64) * length + rng.integers(length, size=frames)
    return index


def dense_views(total: int, *, frames: int, stride: int, views: int) -> list[Frames]:
    """`views` clips spread evenly over the video, first to last; a single one is centred: testing on Kinetics, and validation:

        total=12, frames=2, stride=3, views=3
        f     f . . . . . . . .
        . . . . f     f . . . .
        . . . . . . . . f     f

    Equal clips are returned once, so a video that is not longer than the clip has one view.
    """
    starts = view_starts(total, frames=frames, stride=stride, views=views)
    return [clip_frames(total, start=start, frames=frames, stride=stride) for start in starts]


def middle_start(total: int, *, frames: int, stride: int) -> int:
    """The first frame of the clip in the middle of a video."""
    return max(total - clip_span(frames, stride), 0) // 2


def view_starts(total: int, *, frames: int, stride: int, views: int) -> list[int]:
    """First frames of the clips of `dense_views`."""
    if views == 1:
        return [middle_start(total, frames=frames, stride=stride)]
    free = max(total - clip_span(frames, stride), 0)
    return sorted({round(k * free / (views - 1)) for k in range(views)})


def reference_dense_views(total: int, *, frames: int, stride: int, views: int) -> list[Frames]:
    """VideoMAE's test clips of Kinetics, frame for frame: windows of `frames` out of the frames 0, stride,
    2 * stride, ..., so that every start is a multiple of the stride and the last frames may never be sampled. Equal clips are
    repeated:

        total=12, frames=2, stride=4, views=2
        f . . . f . . . . . . .
        . . . . f . . . f . . .

    """
    kept = np.arange(0, total, stride, dtype=np.int64)
    kept = np.concatenate([kept, np.full(max(frames - len(kept), 0), kept[-1])])
    free = (len(kept) - frames) / max(views - 1, 1)
    return [kept[start : start + frames] for start in (int(view * free) for view in range(views))]


def sparse_views(total: int, *, frames: int, views: int) -> list[Frames]:
    """`views` clips of one frame from each of `frames` equal parts, each view further into the parts: testing on
    Something-Something, where two views are VideoMAE's and n are VideoMAE V2's:

        total=16, frames=4, views=2: parts of 4 frames
        f . . . f . . . f . . . f . . .
        . . f . . . f . . . f . . . f .

    Equal clips are returned once.
    """
    tick = total / frames
    places = np.arange(frames)
    clips = [(view * tick / views + tick * places).astype(np.int64) for view in range(views)]
    return [clip for number, clip in enumerate(clips) if number == 0 or not np.array_equal(clip, clips[number - 1])]


def segment_clips(
    total: int, *, frames: int, stride: int, clips: int, rng: np.random.Generator | None = None
) -> list[Frames]:
    """One dense clip from each of `clips` equal parts of the video: V-JEPA's evaluation, which joins the tokens of all clips:

        total=20, frames=3, stride=2, clips=2; without a generator each is in the middle of its part
        . . f   f   f . . . | . . f   f   f . . .

    Args:
        rng: draws the position of a clip in its part, uniformly; None: the middle.

    A clip that is longer than its part is centred on it and shifted into the video: neighbours then overlap.
    """
    length = clip_span(frames, stride)
    edges = np.arange(clips + 1) * total // clips
    found = []
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        free = end - first - length
        offset = int(rng.integers(free + 1)) if rng is not None and free > 0 else free // 2
        start = min(max(first + offset, 0), max(total - length, 0))
        found.append(clip_frames(total, start=start, frames=frames, stride=stride))
    return found
