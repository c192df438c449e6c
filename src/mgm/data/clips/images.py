"""Still pictures and folders of frames, read like videos: the same clips and motion fields without a video file."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from mgm.data.shards.members import open_item, parse_member
from mgm.errors import VideoError
from mgm.files.system_names import is_system_name
from mgm.video import Clip, MotionField
from mgm.video.clip.options import Box, ClipOptions, Crop, keywords_of
from mgm.video.clip.plan import frame_strides, sample_frames
from mgm.video.clip.rgb import upright_region
from mgm.video.container.locator import check_file, is_url
from mgm.video.container.metadata import VideoInfo, read_video_info
from mgm.video.container.picture_size import check_picture_size
from mgm.video.motion.camera import remove_camera
from mgm.video.motion.estimators import MotionEstimator, PairwiseMotion, make_estimator, needed_pictures
from mgm.video.motion.field import grid_shape

IMAGE_SUFFIXES = frozenset([".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff"])
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF")
"""Pillow's names of the formats. It knows more, and starts the program Ghostscript for some, whatever the suffix."""
_FEWEST_FRAMES = 8
"""Numbered pictures from which on a folder counts as the frames of a video."""
_RATE = 25.0
"""Assumed pictures per second: pictures have no time stamps, so that only the order of a clip's times has a meaning."""

_NUMBERED = re.compile(r"(.*?)([0-9]+)").fullmatch


def is_picture(path: str) -> bool:
    """Whether a path names a still picture, by its suffix."""
    return path[path.rfind(".") :].lower() in IMAGE_SUFFIXES


def probe_any(path: str) -> VideoInfo:
    """`mgm.video.container.metadata.read_video_info` of a video, a still picture (1 frame) or a folder of frames.

    Raises:
        VideoError: unreadable, or a folder without frames.
    """
    if (pictures := _pictures(path)) is None:
        member = parse_member(path)
        return read_video_info(path) if member is None else member.info
    height, width = _open(pictures[0]).shape[:2]
    return VideoInfo(len(pictures), height, width, motion=False)


@keywords_of(ClipOptions)
def read_any(path: str, options: ClipOptions) -> Clip:
    """`mgm.read_clip` for a video, a still picture or a folder of frames, with the same arguments and result.

    A picture is a video of one frame: it is repeated T times, its motion is zero and valid nowhere, so that masks become
    random. The motion of a folder of frames is measured between them: "auto" and "flow" by optical flow, or "difference".

    Raises:
        VideoError: unreadable, `start` beyond the end, frames of different sizes, or motion="codec" for a folder of frames.
    """
    if (pictures := _pictures(path)) is None:
        with open_item(path) as reader:
            return reader.read(options)[0]
    return _read(path, pictures, options, (options.crop,))[0]


@keywords_of(ClipOptions)
def read_any_clips(path: str, crops: Sequence[Box], options: ClipOptions) -> list[Clip]:
    """`mgm.VideoReader.read_clips` for the same inputs: one clip per region (x, y, width, height), decoded once."""
    if (pictures := _pictures(path)) is None:
        with open_item(path) as reader:
            return reader.read(options, crops)
    return _read(path, pictures, options, crops)


def _read(path: str, pictures: list[str], options: ClipOptions, crops: Sequence[Crop]) -> list[Clip]:
    options.check(path)
    start = options.start if options.start_seconds is None else int(options.start_seconds * _RATE)
    index = sample_frames(path, options, len(pictures), start=start)
    decoded = {number: _open(pictures[number]) for number in set(index.tolist())}
    first = decoded[int(index[0])]
    height, width = first.shape[:2]
    odd = next((n for n, picture in decoded.items() if picture.shape != first.shape), None)
    if odd is not None:
        raise VideoError(
            pictures[odd],
            f"{decoded[odd].shape[1]}x{decoded[odd].shape[0]} pixels",
            f"{width}x{height} like the other frames",
            "resize the frames to one size",
            reason="mismatch",
        )
    field = None
    if options.motion is not None:
        still = is_picture(path)
        field = _still(options, len(index), (height, width)) if still else _measured(path, options, pictures, index)
    clips = []
    for crop in crops:
        box = upright_region(height, width, options.size, crop)
        shown = {number: _crop_and_resize(picture, box, options.size) for number, picture in decoded.items()}
        motion = None
        if field is not None:
            part = field.crop(box) if box != (0, 0, width, height) else field
            motion = remove_camera(part, options.camera)
        clips.append(Clip(path, np.stack([shown[n] for n in index.tolist()]), motion, index / _RATE, index))
    return clips


def picture_folders(root: Path) -> dict[Path, list[str]]:
    """Folder -> sorted names of its pictures, for every folder below `root` with pictures. Links to folders are followed once."""
    found: dict[Path, list[str]] = {}
    seen: set[str] = set()
    for folder, inner, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        inner[:] = sorted(name for name in inner if not is_system_name(name))
        pictures = sorted(_own_pictures(names))
        if pictures:
            found[Path(folder)] = pictures
    return found


def _own_pictures(names: Iterable[str]) -> list[str]:
    return [name for name in names if is_picture(name) and not is_system_name(name)]


def are_frames(names: list[str]) -> bool:
    """Whether pictures are the frames of a video: at least `_FEWEST_FRAMES`, numbered without a gap."""
    try:
        series = _series(names, "")
    except VideoError:
        return False
    numbers = [int(m.group(2)) for name in series if (m := _NUMBERED(Path(name).stem))]
    return len(numbers) == len(series) >= _FEWEST_FRAMES and numbers == list(
        range(numbers[0], numbers[0] + len(numbers))
    )


def _pictures(path: str) -> list[str] | None:
    """Paths of the frames of a picture or of a folder of frames; None for anything else."""
    if is_url(path) or parse_member(path) is not None:  # a member's path may be longer than a file system can look up
        return None
    if is_picture(path):
        return [path]
    if not os.path.isdir(path):  # noqa: PTH112  # Path.is_dir raises an error for a long name
        return None
    try:
        names = _own_pictures(found.name for found in Path(path).iterdir())
    except OSError as error:
        raise VideoError.cannot_read(path, error) from error
    if not names:
        raise VideoError(
            path, "a folder without pictures", "a video or a folder of frames", "check the path", reason="not_video"
        )
    return [str(Path(path) / name) for name in _series(names, path)]


def _series(names: list[str], path: str) -> list[str]:
    """The names sorted by their numbers, without the optical flow that some tools store beside the frames (`flow_x_00001.jpg`)."""
    series: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        match = _NUMBERED(Path(name).stem)
        prefix, number = (match.group(1), int(match.group(2))) if match else (name, 0)
        series.setdefault(prefix, []).append((number, name))
    shown = {prefix: found for prefix, found in series.items() if not prefix.lower().startswith("flow")}
    if len(shown) != 1:
        raise VideoError(
            path,
            f"pictures of the series {', '.join(sorted(series)[:4])}",
            "one numbered series such as img_00001.jpg",
            "put the frames of each video into a separate folder",
            reason="malformed",
        )
    return [name for _, name in sorted(next(iter(shown.values())))]


def _open(path: str) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3) RGB, upright."""
    check_file(path, "a picture")
    try:
        # Warnings are about sizes, which are checked here, and about damaged comments.
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=_FORMATS) as image:
            check_picture_size(path, *image.size)
            ImageOps.exif_transpose(image, in_place=True)
            return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except VideoError:
        raise
    except Exception as error:  # every format of Pillow has its own errors
        raise VideoError(
            path,
            f"cannot be read as a picture ({error})",
            "a picture",
            "copy or download it again",
            reason="unreadable",
        ) from error


def _crop_and_resize(
    picture: npt.NDArray[np.uint8], box: tuple[int, int, int, int], size: int | tuple[int, int] | None
) -> npt.NDArray[np.uint8]:
    """The region `box` = (x, y, width, height), resized bilinearly, averaged if it shrinks."""
    x, y, w, h = box
    rows, columns = (h, w) if size is None else (size, size) if isinstance(size, int) else size
    part = picture[y : y + h, x : x + w]
    if (rows, columns) == part.shape[:2]:
        return part
    return np.asarray(Image.fromarray(part).resize((columns, rows), Image.Resampling.BILINEAR))


def _still(options: ClipOptions, frames: int, size: tuple[int, int]) -> MotionField:
    """Zero motion, valid nowhere, for any source of motion."""
    vectors = np.zeros((frames, *grid_shape(*size), 2), np.float32)
    named = options.motion == "difference"
    return MotionField(vectors, np.zeros(vectors.shape[:3], np.bool_), "difference" if named else "flow", size)


def _measured(path: str, options: ClipOptions, pictures: list[str], index: npt.NDArray[np.int64]) -> MotionField:
    """Motion between sampled frames, measured by `mgm.video.motion.estimators`."""
    if options.motion == "codec":
        raise VideoError(
            path,
            "a folder of frames without motion vectors",
            "a video",
            "measure the motion with motion='auto' (data.motion=auto, --motion auto)",
            reason="no_vectors",
        )
    chosen: Any = options.motion
    source: MotionEstimator = (
        make_estimator("flow" if chosen == "auto" else chosen) if isinstance(chosen, str) else chosen
    )
    strides = np.full(len(index), options.stride)
    if options.frame_indices is not None:
        strides = frame_strides(index, default=options.stride)
    pairs = PairwiseMotion(source, dict(zip(index.tolist(), strides.tolist(), strict=True)))
    size = (0, 0)
    for number in sorted({*needed_pictures(index, strides), int(index[0])}):
        picture = _open(pictures[number])
        size = picture.shape[0], picture.shape[1]
        pairs.grid = grid_shape(*size)
        image = Image.fromarray(picture).convert("L" if source.pixel_format == "gray" else "RGB")
        small = image.resize((-(-size[1] // source.shrink), -(-size[0] // source.shrink)), Image.Resampling.BILINEAR)
        pairs.add(number, np.asarray(small))
    return MotionField.of(pairs.field(index), source.name, size)
