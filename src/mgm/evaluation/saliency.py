"""How well motion marks the objects of a set: its magnitude inside the true boxes / outside (Fan et al. 2023, section 4.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from mgm.data.annotations import load_items, load_set
from mgm.data.box_formats import BoxFile, VideoBoxes, boxes_beside, read_box_file
from mgm.data.clips.images import probe_any, read_any
from mgm.data.clips.sampling import dense_views
from mgm.data.clips.transform import centre_crop
from mgm.data.items import VideoItem, VideoSet, part_length
from mgm.data.unreadable import READ_ERRORS, Unreadable
from mgm.errors import ConfigError, DataError
from mgm.evaluation.bootstrap import Sums, bootstrap_interval, mean_interval
from mgm.masks import build_mask, draw_statistics, mask_rng, object_area
from mgm.training.results import (
    Interval,
    Metric,
    Result,
    SettingValue,
    VideosRecord,
    check_results,
    describe_set,
    keep_result,
)
from mgm.video.clip.whole_video import motion_chunks
from mgm.video.motion.field import CELL_PIXELS, MotionField
from mgm.video.motion.names import CameraModel, Policy, Reading

_DRAWS = 20
"""Masks of each clip."""
_MASKS = "With pixels as the only target use mask mgm; with the motion as a second target, tube (docs/evidence.md)."
"""A score above 1 does not say that a mask that follows the motion helps: in the experiments the target decides."""


@dataclass(frozen=True, slots=True)
class MaskClip:
    """The clips in the middle of the videos, on which masks are graded: frames, their distance, pixels, and the tokens."""

    frames: int = 16
    stride: int = 4
    size: int = 224
    patch: int = 16
    tubelet: int = 2
    ratio: float = 0.75

    @property
    def grid(self) -> tuple[int, int, int]:
        """(t, h, w) tokens."""
        return self.frames // self.tubelet, self.size // self.patch, self.size // self.patch


@dataclass(frozen=True, slots=True)
class MaskShares:
    """What a mask hides, mean over clips: fractions of the motion and of the area of the true boxes; of `clips` clips."""

    name: str
    motion: float
    objects: float
    clips: int


@dataclass(frozen=True, slots=True, eq=False)
class Saliency:
    """The figures of one set under one model of the camera.

    Attributes:
        camera: the motion of the camera that was subtracted.
        paths: of the V videos with boxes and motion.
        sums: float64 (V, 4): magnitude x area inside the boxes, their area, magnitude x area outside, that area.
        frames: annotated frames with motion.
        masks: the masks that were graded.
    """

    camera: CameraModel
    paths: tuple[str, ...]
    sums: npt.NDArray[np.float64]
    frames: int
    masks: tuple[MaskShares, ...] = ()

    @property
    def ratio(self) -> float:
        """Mean magnitude inside the boxes / outside, over all frames of all videos."""
        return float(saliency_ratio(self.sums.sum(0, keepdims=True))[0])

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95% interval, by a bootstrap over videos."""
        return bootstrap_interval(self.sums, saliency_ratio)

    @property
    def of_videos(self) -> npt.NDArray[np.float64]:
        """The ratio of each video, float64 (V,)."""
        return saliency_ratio(self.sums)

    @property
    def median(self) -> float:
        """The median over the videos: few videos of fast motion do not decide it."""
        return float(np.median(self.of_videos))


@dataclass(frozen=True, slots=True, eq=False)
class SaliencyReport:
    """The figures of a set.

    Attributes:
        found: one for each model of the camera.
        without: videos without boxes or without motion, with the reason.
    """

    found: tuple[Saliency, ...]
    without: Mapping[str, str]
    results: tuple[Result, ...]

    @property
    def advice(self) -> str:
        """One sentence on the mask that fits the set."""
        return advise({one.camera: (one.ratio, one.interval) for one in self.found})


def saliency(
    data: str | Path | VideoSet,
    *,
    boxes: str | Path | None = None,
    cameras: Sequence[CameraModel] = ("none", "affine"),
    masks: Sequence[str] = (),
    clip: MaskClip | None = None,
    policy: Policy = "window_sum",
    reading: Reading = "clean",
    out: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> SaliencyReport:
    """The saliency of the motion of a set: mean magnitude inside the union of the true boxes of a frame / outside of it.

    Frames without boxes, and frames without a measured vector (keyframes), are left out.

    Args:
        data: a set, see `load_set`, or one video.
        boxes: a file with the boxes of all videos, see `mgm.data.box_formats`; None: those beside each video.
        cameras: the models of camera motion to subtract, each by itself.
        masks: names of masks to grade by the motion and the area of the boxes that they hide, on clips as `clip` has them.
        policy, reading: of the motion, see `mgm.read_clip`.
        out: a file for the records of the results, beside those of other sets and settings.
        progress: called with one line of text per video.

    Raises:
        DataError: the file of boxes cannot be used, or no video has both boxes and motion.
    """
    if out is not None:
        check_results(Path(out))
    clip = clip or MaskClip()
    videos = data if isinstance(data, VideoSet) else _open(str(data))
    box_file = None if boxes is None else read_box_file(boxes)
    without: dict[str, str] = {}
    found = []
    for camera in cameras:
        boxed = _BoxedSet(videos, box_file, camera, policy, reading, progress)
        one, left_out = boxed.measure()
        found.append(replace(one, masks=boxed.grade(masks, clip, one.paths)))
        without |= left_out
    settings: dict[str, SettingValue] = {"policy": policy, "reading": reading}
    settings["boxes"] = "beside the videos" if box_file is None else box_file.format
    results = tuple(_result(videos, one, without, settings) for one in found)
    if out is not None:
        for result in results:
            keep_result(Path(out), result)
    return SaliencyReport(tuple(found), without, results)


@dataclass(frozen=True, slots=True)
class _BoxedSet:
    """A set with the true boxes of its videos, whose motion is read under one model of the camera.

    Attributes:
        box_file: the boxes of all videos; None: they are beside each video.
    """

    videos: VideoSet
    box_file: BoxFile | None
    camera: CameraModel
    policy: Policy
    reading: Reading
    progress: Callable[[str], None] | None

    def measure(self) -> tuple[Saliency, dict[str, str]]:
        """The figures of the set, and path -> reason of the videos that are left out."""
        sums: dict[str, npt.NDArray[np.float64]] = {}
        without: dict[str, str] = {}
        frames = 0
        for number, item in enumerate(self.videos.items):
            self._report(f"{number:,}")
            try:
                of_frames = self._sums_of(item)
            except READ_ERRORS as error:
                without[item.path] = Unreadable.from_error(item.path, error).message
                continue
            if of_frames is None:
                without[item.path] = "no boxes"
            elif not _usable(of_frames.sum(0)):
                without[item.path] = "no annotated frame with motion outside of the boxes and an area inside"
            else:
                sums[item.path] = sums.get(item.path, np.zeros(4)) + of_frames.sum(0)  # a set may list parts of a file
                frames += len(of_frames)
        if not sums:
            raise self._no_boxes(without)
        return Saliency(self.camera, tuple(sums), np.stack(list(sums.values())), frames), without

    def grade(self, masks: Sequence[str], clip: MaskClip, paths: Sequence[str]) -> tuple[MaskShares, ...]:
        """Draw each mask on the middle clip of every video of `paths`, or of each listed part of one."""
        measured = set(paths)
        shares: dict[str, list[tuple[float, float]]] = {name: [] for name in masks}
        extent = (float(clip.size), float(clip.size))
        for number, item in enumerate(self.videos.items if masks else ()):
            found = self._boxes_of(item.path) if item.path in measured else None
            if found is None:
                continue
            self._report(f"masks of {number:,}")
            info = probe_any(item.path)
            (middle,) = dense_views(part_length(item, info), frames=clip.frames, stride=clip.stride, views=1)
            index = item.start + middle
            read = read_any(
                item.path,
                frame_indices=index,
                size=clip.size,
                motion="auto",
                policy=self.policy,
                reading=self.reading,
                camera=self.camera,
            )
            native = centre_crop(info.height, info.width, size=clip.size)
            none = np.empty((0, 4))
            seen = [native.boxes(found.frames.get(frame, none)) for frame in index.tolist()]
            for name in masks:
                rule = build_mask(name)
                draws = (mask_rng(0, draw, number, 0) for draw in range(_DRAWS))
                drawn = [rule.draw(clip.grid, clip.ratio, read.motion, rng) for rng in draws]
                one = draw_statistics(drawn, motion=read.motion, boxes=seen, extent=extent)
                if one.motion_share is not None and one.object_share is not None:
                    shares[name].append((one.motion_share, one.object_share))
        means = {name: np.mean(found, axis=0) for name, found in shares.items() if found}
        return tuple(MaskShares(name, float(m), float(o), len(shares[name])) for name, (m, o) in means.items())

    def _report(self, done: str) -> None:
        if self.progress is not None:
            count = len(self.videos.train) + len(self.videos.test)
            self.progress(f"camera {self.camera}: {done} of {count:,} videos")

    def _boxes_of(self, path: str) -> VideoBoxes | None:
        found = boxes_beside(path) if self.box_file is None else self.box_file.find(path)
        if found is None:
            return None
        info = probe_any(path)
        return found.scaled(info.height, info.width)

    def _sums_of(self, item: VideoItem) -> npt.NDArray[np.float64] | None:
        """The sums of every annotated frame with motion, float64 (frames, 4); None without boxes."""
        found = self._boxes_of(item.path)
        if found is None:
            return None
        parts = [np.empty((0, 4))]
        for chunk in motion_chunks(item.path, policy=self.policy, reading=self.reading, camera=self.camera):
            numbers, motion = chunk.frame_indices.tolist(), chunk.motion
            chosen = [
                place
                for place, number in enumerate(numbers)
                if motion.valid[place].any()
                and len(found.frames.get(number, ()))
                and item.start <= number < (number + 1 if item.end is None else item.end)
            ]
            if chosen:
                part = MotionField(motion.vectors[chosen], motion.valid[chosen], motion.source, motion.extent)
                parts.append(frame_saliency(part, [found.frames[numbers[place]] for place in chosen]))
        return np.concatenate(parts)

    def _no_boxes(self, without: Mapping[str, str]) -> DataError:
        """The error if no video has boxes and motion."""
        beside = "give boxes in NAME.json or boxes.json beside each video, or by --boxes FILE"
        return DataError(
            self.videos.root if self.box_file is None else self.box_file.path,
            f"none of {len(self.videos.items):,} videos has boxes and motion",
            "true boxes of the objects",
            f"the first: {next(iter(without.values()), 'the set is empty')}; "
            f"{beside if self.box_file is None else 'check the names of the videos'}",
            reason="missing_value",
        )


def frame_saliency(motion: MotionField, boxes: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """The four sums of `Saliency` for each frame, float64 (T, 4). Cells count by their exact area inside and outside the boxes.

    Args:
        boxes: of each frame, (n, 4) in pixels of the field's extent.
    """
    height, width = motion.extent
    steps, rows, columns = motion.valid.shape
    clipped = [np.clip(found, 0, [width, height, width, height]) for found in boxes]
    cells = (float(rows * CELL_PIXELS), float(columns * CELL_PIXELS))  # the last ones extend beyond the frame
    inside = object_area(clipped, grid=(steps, rows, columns), extent=cells)
    down, across = (
        np.diff(np.minimum(np.arange(count + 1) * CELL_PIXELS, side))
        for count, side in ((rows, height), (columns, width))
    )
    outside = np.outer(down, across) - inside
    magnitude = motion.magnitude.astype(np.float64)
    return np.stack(
        [
            (magnitude * inside).sum((1, 2)),
            inside.sum((1, 2)),
            (magnitude * outside).sum((1, 2)),
            outside.sum((1, 2)),
        ],
        axis=1,
    )


def saliency_ratio(sums: Sums) -> npt.NDArray[np.float64]:
    """Mean magnitude inside / outside from the four sums, (n, 4) -> (n,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: npt.NDArray[np.float64] = (sums[:, 0] / sums[:, 1]) / (sums[:, 2] / sums[:, 3])
    return ratio


def advise(ratios: Mapping[CameraModel, tuple[float, tuple[float, float]]]) -> str:
    """One sentence on the mask for a set, from camera -> (ratio, its interval)."""
    raw = ratios.get("none")
    best = max(ratios, key=lambda camera: ratios[camera][0])
    ratio, (low, high) = ratios[best]
    if low <= 1 <= high or ratio <= 1:
        return (
            f"Motion does not mark these objects (at best {ratio:.2f} [{low:.2f}, {high:.2f}]): a mask that follows it hides "
            "them no more than chance; use mask random, or check the boxes."
        )
    if best == "none" or (raw is not None and ratio < 1.1 * raw[0]):
        return f"Motion marks the objects, and subtracting the camera adds little: keep data.camera=none. {_MASKS}"
    return (
        f"The camera moves: motion marks the objects best after subtracting it ({ratio:.2f}"
        f"{'' if raw is None else f' against {raw[0]:.2f}'}): set data.camera={best}. {_MASKS}"
    )


def check_cameras(names: str) -> tuple[CameraModel, ...]:
    """Names of models of the camera, separated by commas.

    Raises:
        ConfigError: an unknown name.
    """
    known: dict[str, CameraModel] = {name: name for name in get_args(CameraModel)}
    for name in names.split(","):
        if name not in known:
            raise ConfigError("camera", f"found {name!r}", f"any of {', '.join(known)}", reason="unknown_name")
    return tuple(known[name] for name in names.split(","))


def _open(data: str) -> VideoSet:
    """A set, or one video as a set."""
    items = load_items(data)
    if [item.path for item in items] == [data]:
        return VideoSet(data, tuple(items), (), (), "one video")
    return load_set(data)


def _usable(sums: npt.NDArray[np.float64]) -> bool:
    return bool(sums[1] > 0 and sums[3] > 0 and sums[2] > 0)


def _result(
    videos: VideoSet, one: Saliency, without: Mapping[str, str], settings: Mapping[str, SettingValue]
) -> Result:
    low, high = one.interval
    pooled = Interval(low=low, high=high, method=f"bootstrap over {len(one.paths)} videos")
    mean_low, mean_high = mean_interval(one.of_videos)
    shares = [
        Metric(name=f"{what} hidden by {mask.name}", value=value, count=mask.clips)
        for mask in one.masks
        for what, value in (("motion", mask.motion), ("objects", mask.objects))
    ]
    return Result(
        kind="saliency",
        set=describe_set(videos),
        protocol={"camera": one.camera, **settings},
        videos=VideosRecord(
            expected=len(videos.items), judged=len(one.paths), missing=videos.missing, unreadable=dict(without)
        ),
        metrics=(
            Metric(
                name="r_bbox / r_non_bbox", value=one.ratio, count=len(one.paths), unit="ratio", intervals=(pooled,)
            ),
            Metric(
                name="r_bbox / r_non_bbox, median of the videos", value=one.median, count=len(one.paths), unit="ratio"
            ),
            Metric(
                name="r_bbox / r_non_bbox, mean of the videos",
                value=float(one.of_videos.mean()),
                count=len(one.paths),
                unit="ratio",
                intervals=(Interval(low=mean_low, high=mean_high, method=pooled.method),),
            ),
            *shares,
        ),
        details={"videos": dict(zip(one.paths, one.of_videos.tolist(), strict=True)), "frames": one.frames},
    )
