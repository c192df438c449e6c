"""Synthetic labelled video of known motion, in which the motion alone determines the class, or does not matter.

Three tasks: in `HEADINGS` one large object moves in one of eight directions, 45 degrees apart, which a tiny model learns in a
minute; in `MOTIONS`, the harder one, a smaller object moves in one of four directions, grows, shrinks or turns. In `TEXTURES` the
class is the coarseness of the background's texture, and the object of `HEADINGS` moves in any direction: the motion distracts.

Where the motion determines the class, a single frame is independent of it:

* The look (shape, colours, textures, first position, size and angle) is drawn from one random stream, motion from another.
* In every class, the object's centre is uniform on the torus of the frame at every frame: a uniform start stays uniform
  under any translation.
* In every class, its size is log-uniform in the same range at every frame. A growing object sweeps the range
  exponentially and jumps back, from a uniform phase; a shrinking one does the reverse; all others keep their size.
* In every class, its angle is uniform at every frame; turning does not change that, and no shape is round.
* The background's motion does not depend on the class.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mgm.data.synthetic.rendering import BACKGROUND_CELLS, Track, draw_appearance, render
from mgm.errors import DataError
from mgm.files.atomic import atomic_write
from mgm.files.json_text import read_json
from mgm.video.transcode.write import write_video

_SPLITS = ("train", "test")
_PARAMETERS = "synthetic.json"
"""File of the arguments that a set was made with."""


@dataclass(frozen=True)
class Task:
    """The classes of a synthetic set.

    ``headings``: the class of each direction, clockwise from "right" in equal steps. ``others``: classes of an object that stays
    in its place. ``radius``: range of the object's radius, as a share of the frame's side; its shape fills about .58 of the disc.
    ``textures``: class -> points of the background's texture along two sides of a frame; the object moves in any direction.
    """

    name: str
    headings: tuple[str, ...]
    others: tuple[str, ...]
    radius: tuple[float, float]
    textures: Mapping[str, int] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """All classes, in the order in which clips take turns."""
        return (*self.headings, *self.others, *self.textures)


_EIGHT = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")
HEADINGS = Task("headings", _EIGHT, (), (0.26, 0.36))
# Wide enough for growth to be visible; larger objects leave too little still background for a tiny model to learn from.
MOTIONS = Task(
    "motions", ("right", "down", "left", "up"), ("growing", "shrinking", "turning_cw", "turning_ccw"), (0.21, 0.31)
)
TEXTURES = Task(
    "textures", (), (), HEADINGS.radius, {f"texture-{points:02d}": points for points in (3, 4, 5, 7, 9, 12, 16, 20)}
)

# Lengths are shares of the frame's side, rates are per frame.
_SPEED = (2 / 48, 3.5 / 48)
_DIRECTION_JITTER = math.radians(6)
_SWEEP_FRAMES = (9, 14)
_TURN = (math.radians(10), math.radians(15))
_PAN_SPEED = (0.4 / 48, 1.2 / 48)


@dataclass(frozen=True)
class SyntheticClip:
    """One clip and its ground truth.

    ``frames``: uint8 (T, size, size, 3) RGB. ``boxes``: per frame int64 (n, 4), ``x0, y0, x1, y1`` in pixels, one box
    for each of the 1 to 4 pieces into which the frame's border cuts the object. ``velocity``, ``pan``: (dx, dy) of the
    object and of the background in pixels per frame. ``growth``: factor of its size per frame between two jumps.
    ``turn``: radians per frame, clockwise positive.
    """

    label: str
    frames: npt.NDArray[np.uint8]
    boxes: list[npt.NDArray[np.int64]]
    velocity: tuple[float, float]
    growth: float
    turn: float
    pan: tuple[float, float]


@dataclass(frozen=True)
class SyntheticDataset:
    """A complete data set on disk. ``train``, ``test``: the videos, ``root/<split>/<class>/NNNN.mp4``, with the classes in
    turn. ``made``: number of videos that this call made."""

    root: Path
    train: tuple[Path, ...]
    test: tuple[Path, ...]
    made: int


def make_dataset(
    root: str | Path,
    task: Task = MOTIONS,
    *,
    train: int = 1536,
    test: int = 256,
    frames: int = 16,
    size: int = 128,
    fps: float = 12,
    seed: int = 0,
    pan: float = 0.5,
    workers: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> SyntheticDataset:
    """Write class folders of H.264 video in which one object moves, and the ground truth beside each video.

    The class, one of ``task.classes``, is the motion, which a single frame does not show, or, in `TEXTURES`, the background
    (see the module's docstring). Where it is the motion, mirroring a clip changes its class.

    ``NNNN.json`` beside ``NNNN.mp4`` holds ``class``, ``velocity`` and ``pan`` (dx, dy in pixels per frame),
    ``growth`` (factor per frame), ``turn`` (radians per frame, clockwise) and ``frames``, a list of
    ``{"frame": i, "boxes_xyxy": [[x0, y0, x1, y1], ...]}``. The ground truth is one file per video, so that it moves with
    the video, and a killed run leaves none without the other.

    A directory that an earlier call with the same arguments made is completed: an interrupted run continues. The pixels
    depend on the arguments alone, not on ``workers``.

    Args:
        root: a new or empty directory, or one that this function made.
        train, test: clips in each split; classes are balanced to within one clip.
        frames: frames per clip. size: side of the square frame in pixels, even. fps: frames per second.
        pan: share of the clips with a moving background, 0 to 1, the same in every class.
        workers: threads; two per core are best. Rendering and encoding release the interpreter's lock, so threads are as
            fast as processes and start at once.
        progress: called with (clips done, clips to make) after each clip.

    Raises:
        DataError: an argument is out of range, or ``root`` contains anything else; then nothing in it is changed.
    """
    root = Path(root)
    parameters = {"train": train, "test": test, "frames": frames, "size": size, "fps": fps, "seed": seed, "pan": pan}
    _check_arguments({**parameters, "workers": workers})
    _claim_folder(root, {"maker": "mgm.data.synthetic", "version": 2, "task": task.name, **parameters})
    classes = task.classes
    videos = {
        split: tuple(root / split / classes[i % len(classes)] / f"{i // len(classes):04d}.mp4" for i in range(count))
        for split, count in (("train", train), ("test", test))
    }
    missing = [
        (split, i, path)
        for split in _SPLITS
        for i, path in enumerate(videos[split])
        if not (path.exists() and path.with_suffix(".json").exists())
    ]

    def make(job: tuple[str, int, Path]) -> None:
        """Write the video of (split, number, path) and its ground truth."""
        split, index, path = job
        key = (seed, _SPLITS.index(split), index)
        clip = draw_labelled_clip(path.parent.name, task, frames=frames, size=size, pan=pan, seed=key)
        # The ground truth first, so that no video is without it.
        _write_json(path.with_suffix(".json"), _ground_truth(clip))
        write_video(path, clip.frames, fps=fps, options={"preset": "medium", "crf": 23})

    pool = ThreadPoolExecutor(workers)
    try:
        for done, _ in enumerate(pool.map(make, missing), start=1):
            if progress is not None:
                progress(done, len(missing))
    finally:
        pool.shutdown(cancel_futures=True)
    return SyntheticDataset(root, videos["train"], videos["test"], len(missing))


_LIMITS: Final[Mapping[str, tuple[Callable[[float], bool], str]]] = {
    "train": (lambda count: count >= 0, "0 or more"),
    "test": (lambda count: count >= 0, "0 or more"),
    "frames": (lambda count: count >= 1, "1 or more"),
    "size": (lambda side: side >= 32 and side % 2 == 0, "an even number, 32 or more"),
    "fps": (lambda rate: rate > 0, "more than 0"),
    "seed": (lambda seed: seed >= 0, "0 or more"),
    "pan": (lambda share: 0 <= share <= 1, "a share from 0 to 1"),
    "workers": (lambda count: count >= 1, "1 or more"),
}
"""Argument -> whether a value is valid, and what is expected."""


def _check_arguments(values: Mapping[str, float]) -> None:
    """Raise DataError for the first argument that is out of range."""
    for name, value in values.items():
        is_valid, expected = _LIMITS[name]
        if not is_valid(value):
            raise DataError(name, f"{value}", expected, reason="invalid_value")


def draw_labelled_clip(
    label: str, task: Task = MOTIONS, *, frames: int, size: int, pan: float, seed: Sequence[int]
) -> SyntheticClip:
    """Draw and render one clip of a class; its background moves with the probability ``pan``.

    The same arguments give the same pixels. Another label with the same seed gives the same first frame, unless the label is the
    background's texture.
    """
    look_seed, motion_seed = np.random.SeedSequence(seed).spawn(2)
    look, motion = np.random.default_rng(look_seed), np.random.default_rng(motion_seed)
    appearance = draw_appearance(look, task.textures.get(label, BACKGROUND_CELLS))
    start, angle, level = look.random(2) * size, look.uniform(0, 2 * math.pi), look.random()

    speed = motion.uniform(*_SPEED) * size
    heading = motion.uniform(-_DIRECTION_JITTER, _DIRECTION_JITTER)
    sweep, turn = 1 / motion.uniform(*_SWEEP_FRAMES), motion.uniform(*_TURN)
    pan_speed, pan_heading = motion.uniform(*_PAN_SPEED) * size, motion.uniform(0, 2 * math.pi)
    pan_velocity = _polar(pan_speed if motion.random() < pan else 0.0, pan_heading)

    velocity = (0.0, 0.0)
    if label in task.headings:
        velocity = _polar(speed, heading + 2 * math.pi * task.headings.index(label) / len(task.headings))
    elif label in task.textures:
        velocity = _polar(speed, motion.uniform(0, 2 * math.pi))
    sweep *= {"growing": 1, "shrinking": -1}.get(label, 0)
    turn *= {"turning_cw": 1, "turning_ccw": -1}.get(label, 0)
    time = np.arange(frames, dtype=np.float64)
    span = task.radius[1] / task.radius[0]
    track = Track(
        centre=start + time[:, None] * velocity,
        radius=size * task.radius[0] * span ** ((level + sweep * time) % 1),
        angle=angle + turn * time,
        offset=time[:, None] * pan_velocity,
    )
    pictures, boxes = render(appearance, track, size=size)
    return SyntheticClip(label, pictures, boxes, velocity, span**sweep, turn, pan_velocity)


def _polar(length: float, angle: float) -> tuple[float, float]:
    return length * math.cos(angle), length * math.sin(angle)


def _ground_truth(clip: SyntheticClip) -> dict[str, object]:
    return {
        "class": clip.label,
        "velocity": clip.velocity,
        "growth": clip.growth,
        "turn": clip.turn,
        "pan": clip.pan,
        "frames": [{"frame": i, "boxes_xyxy": boxes.tolist()} for i, boxes in enumerate(clip.boxes)],
    }


def _claim_folder(root: Path, parameters: dict[str, object]) -> None:
    """Write the parameters into a new or empty directory; accept one with the same parameters, refuse any other."""
    file = root / _PARAMETERS
    if file.is_file():
        try:
            found = dict(read_json(file.read_text()))
        except (ValueError, TypeError) as error:
            raise DataError(
                file,
                f"not the parameters of a data set ({error})",
                advice="choose another directory",
                reason="malformed",
            ) from error
        names = [name for name in {**parameters, **found} if found.get(name) != parameters.get(name)]
        if names:
            raise DataError(
                root,
                f"exists as a synthetic data set with {', '.join(f'{name}={found.get(name)}' for name in names)}",
                ", ".join(f"{name}={parameters.get(name)}" for name in names),
                "choose another directory, or remove it",
                reason="exists",
            )
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(
            root,
            f"not empty and not a synthetic data set ({_PARAMETERS} is missing)",
            advice="choose a new directory",
            reason="exists",
        )
    else:
        root.mkdir(parents=True, exist_ok=True)
        _write_json(file, parameters)


def _write_json(path: Path, content: dict[str, object]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(content).encode())
