"""Reads the boxes of objects of many videos from one file: csv, MOT, or the JSON of Something-Else, COCO and mgm."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from mgm.data.boxes import read_boxes
from mgm.errors import DataError, in_words
from mgm.files.json_text import read_json
from mgm.files.regular import open_regular

_CORNERS = (("x0", "y0", "x1", "y1"), ("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"))
_SIDES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))
_VIDEO_COLUMNS = ("video", "path", "name", "file")

_EXPECTED = (
    "csv with the columns video, frame, x0, y0, x1, y1; MOT's gt.txt; or JSON of Something-Else, COCO for video, or "
    '{"frames": [...]}'
)

Boxes = npt.NDArray[np.float64]
"""float64 (n, 4), x0, y0, x1, y1 in pixels, far edges exclusive."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoBoxes:
    """The boxes of one video.

    Attributes:
        frames: number of a frame, from 0 -> its boxes. Other frames are not annotated.
        size: (height, width) of the frames that the boxes refer to; None: those of the video.
    """

    frames: Mapping[int, Boxes]
    size: tuple[int, int] | None = None

    def scaled(self, height: int, width: int) -> VideoBoxes:
        """The boxes in pixels of frames of another size."""
        if self.size is None or self.size == (height, width):
            return self
        factor = np.array([width / self.size[1], height / self.size[0]] * 2)
        return VideoBoxes({frame: boxes * factor for frame, boxes in self.frames.items()}, (height, width))


@dataclass(frozen=True, slots=True, eq=False)
class BoxFile:
    """The boxes of a file.

    Attributes:
        format: its name, such as "MOT".
        videos: name of a video -> its boxes; "" is any video.
    """

    path: Path
    format: str
    videos: Mapping[str, VideoBoxes]

    def find(self, video: str) -> VideoBoxes | None:
        """The boxes of a video: by its path, the end of its path, its name, or its name without suffix; None: it has none."""
        parts = PurePath(video).parts
        ends = ["/".join(parts[first:]) for first in range(len(parts))]
        names = [video, *ends, *(str(PurePath(end).with_suffix("")) for end in ends), ""]
        return next((self.videos[name] for name in names if name in self.videos), None)


def read_box_file(file: str | Path) -> BoxFile:
    """Read the boxes of all videos in a file, whose format is recognised by its content.

    Raises:
        DataError: the file cannot be read, has none of the formats, or a line or an entry does not follow it.
    """
    path = Path(file)
    try:
        with open_regular(path) as opened:
            text = opened.read().decode()
    except OSError as error:
        raise DataError.cannot_read(path, error, "a file of boxes") from error
    except UnicodeDecodeError as error:
        raise _malformed(path, "is not text") from error
    try:
        if text.lstrip().startswith(("{", "[")):
            return _read_json(path, read_json(text))
        first = text.lstrip().partition("\n")[0]
        if re.fullmatch(r"[-+0-9.,\seE]+", first):
            return BoxFile(path, "MOT", {_sequence_of(path): _video(_mot(text))})
        return BoxFile(path, "csv", {name: _video(found) for name, found in _by_video(_csv(text)).items()})
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _malformed(path, f"boxes are not valid ({in_words(error)})") from error


def boxes_beside(video: str) -> VideoBoxes | None:
    """The boxes that the synthetic maker writes beside a video, see `mgm.data.boxes.read_boxes`."""
    found = read_boxes(video)
    return None if found is None else _from_frames(found)


def _from_frames(found: list[npt.NDArray[np.float32]]) -> VideoBoxes:
    return VideoBoxes({frame: boxes.astype(np.float64) for frame, boxes in enumerate(found) if len(boxes)})


def _malformed(path: Path, found: str) -> DataError:
    return DataError(path, found, _EXPECTED, "docs/data.md shows each of them", reason="malformed")


_Entry = tuple[str, int, list[float]]
"""Video, frame, box."""


def _by_video(entries: Iterator[_Entry]) -> dict[str, dict[int, list[list[float]]]]:
    videos: dict[str, dict[int, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for video, frame, box in entries:
        videos[video][frame].append(box)
    return videos


def _video(frames: Mapping[int, list[list[float]]]) -> VideoBoxes:
    checked = {frame: np.array(boxes, np.float64).reshape(-1, 4) for frame, boxes in frames.items()}
    for frame, boxes in checked.items():
        if frame < 0:
            raise ValueError(f"frame {frame} is below the first one")
        if not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
            raise ValueError(f"frame {frame} has a box without x0 <= x1 and y0 <= y1: {boxes.tolist()}")
    return VideoBoxes(checked)


def _csv(text: str) -> Iterator[_Entry]:
    rows = csv.DictReader(io.StringIO(text), skipinitialspace=True, strict=True)
    columns = [name.strip().lower() for name in rows.fieldnames or ()]
    rows.fieldnames = columns
    corners = next((c for c in _CORNERS if set(c) <= set(columns)), None)
    sides = next((c for c in _SIDES if set(c) <= set(columns)), None)
    video = next((c for c in _VIDEO_COLUMNS if c in columns), None)
    if "frame" not in columns or (corners is None and sides is None):
        raise ValueError(f"the columns are {', '.join(columns)}")
    for row in rows:
        box = [float(row[name]) for name in corners or sides or ()]
        yield ("" if video is None else row[video]), int(row["frame"]), box if corners else _corners(box)


def _mot(text: str) -> dict[int, list[list[float]]]:
    """Lines of frame, id, left, top, width, height, confidence, ...; frames count from 1; boxes of confidence 0 do not count."""
    frames: dict[int, list[list[float]]] = defaultdict(list)
    for line in filter(str.strip, text.splitlines()):
        parts = re.split(r"[,\s]+", line.strip())
        if len(parts) < 6:
            raise ValueError(f"the line {line.strip()!r} has fewer than 6 columns")
        number, _, left, top, width, height, *more = map(float, parts)
        if not more or more[0] != 0:
            frames[int(number) - 1].append(_corners([left, top, width, height]))
    return frames


def _sequence_of(path: Path) -> str:
    """The name of the sequence in SEQUENCE/gt/gt.txt; "" elsewhere."""
    return path.resolve().parents[1].name if path.parent.name == "gt" else ""


def _corners(box: list[float]) -> list[float]:
    """x, y, width, height -> the corners."""
    x, y, width, height = box
    return [x, y, x + width, y + height]


def _read_json(path: Path, content: Any) -> BoxFile:
    if isinstance(content, dict) and "frames" in content:
        found = read_boxes(path.with_suffix(""), file=path)
        return BoxFile(path, "frames", {"": _from_frames(found or [])})
    if isinstance(content, dict) and "annotations" in content:
        return BoxFile(path, "COCO", _coco(content))
    if isinstance(content, dict) and all(isinstance(value, list) for value in content.values()):
        return BoxFile(path, "Something-Else", {name: _video(found) for name, found in _something_else(content)})
    raise ValueError("an unknown layout")


def _something_else(content: dict[str, Any]) -> Iterator[tuple[str, dict[int, list[list[float]]]]]:
    """{video: [{"name": "video/0001.jpg", "labels": [{"box2d": {"x1": ..., "y1": ..., "x2": ..., "y2": ...}}]}]}, from frame 1."""
    for video, entries in content.items():
        frames: dict[int, list[list[float]]] = defaultdict(list)
        for entry in entries:
            boxes = [[float(label["box2d"][side]) for side in ("x1", "y1", "x2", "y2")] for label in entry["labels"]]
            frames[_number(entry["name"]) - 1] += boxes
        yield video, frames


def _coco(content: dict[str, Any]) -> dict[str, VideoBoxes]:
    """Tracks of a video (YouTube-VIS: `bboxes`, one per frame or null) or of its images (TAO: `image_id` and `bbox`)."""
    videos = {video["id"]: video for video in content.get("videos", ())}
    images = {image["id"]: image for image in content.get("images", ())}
    position = _positions(images.values())
    found: dict[Any, dict[int, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for entry in content["annotations"]:
        if "bboxes" in entry:
            names = videos[entry["video_id"]]["file_names"]
            for name, box in zip(names, entry["bboxes"], strict=True):
                if box:
                    found[entry["video_id"]][_number(name)].append(_corners(list(map(float, box))))
        else:
            image = images[entry["image_id"]]
            frame = image.get("frame_index", image.get("frame_id", position[image["id"]]))
            found[image["video_id"]][int(frame)].append(_corners(list(map(float, entry["bbox"]))))
    return {
        _coco_name(videos.get(number, {}), number): replace(_video(frames), size=_size(videos.get(number, {})))
        for number, frames in found.items()
    }


def _positions(images: Any) -> dict[Any, int]:
    """Place of each image among those of its video, by name."""
    of_video: dict[Any, list[Any]] = defaultdict(list)
    for image in images:
        of_video[image.get("video_id")].append(image)
    name: Callable[[Any], str] = lambda image: str(image.get("file_name", image["id"]))  # noqa: E731
    return {image["id"]: place for group in of_video.values() for place, image in enumerate(sorted(group, key=name))}


def _coco_name(video: Mapping[str, Any], number: Any) -> str:
    if "name" in video:
        return str(video["name"])
    files = video.get("file_names")
    return str(PurePath(files[0]).parent) if files else str(number)


def _size(video: Mapping[str, Any]) -> tuple[int, int] | None:
    return (int(video["height"]), int(video["width"])) if {"height", "width"} <= video.keys() else None


def _number(name: str) -> int:
    """The number of a frame in the name of its picture."""
    return int(re.findall(r"\d+", PurePath(name).stem)[-1])
