"""Synthetic labelled video of known motion, in which only the motion tells the class.

Why a single frame says nothing about the class:

* Look (shape, colours, textures, first position, size and angle) comes from one random stream, motion from another.
* In every class the object's centre is uniform on the torus that the frame's borders close, at every frame: a uniform
  start stays uniform under any translation.
* In every class its size is log-uniform in the same range at every frame. A growing object sweeps the range
  exponentially and snaps back, from a uniform phase; a shrinking one does the reverse; all others keep their draw.
* In every class its angle is uniform at every frame; turning does not change that, and no shape is round.
* Whether the background pans, and how, does not depend on the class.
"""

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mgm.data.synthetic.known_motion import make_translation, translating_frames
from mgm.data.synthetic.rendering import Track, draw_appearance, render
from mgm.errors import DataError
from mgm.files.atomic import atomic_write
from mgm.video.transcode.write import encode

__all__ = [
    "CLASSES",
    "SyntheticClip",
    "SyntheticDataset",
    "draw_clip",
    "encode",
    "make_dataset",
    "make_translation",
    "read_boxes",
    "translating_frames",
]

CLASSES = ("right", "down", "left", "up", "growing", "shrinking", "turning_cw", "turning_ccw")
SPLITS = ("train", "test")
MANIFEST = "synthetic.json"
BOXES = "boxes.json"

# Lengths are shares of the frame's side, rates are for one frame. The shapes fill about .58 of the disc around them: this
# is the area of discs .32 to .47 wide. Between these two sizes there is room for growing to be seen; larger objects leave
# too little still background for a tiny model to learn from.
RADIUS = (0.21, 0.31)
SPEED = (2 / 48, 3.5 / 48)
DIRECTION_JITTER = math.radians(6)
SWEEP_FRAMES = (9, 14)
TURN = (math.radians(10), math.radians(15))
PAN_SPEED = (0.4 / 48, 1.2 / 48)


@dataclass(frozen=True)
class SyntheticClip:
    """One clip and the truth about it.

    ``frames``: uint8 (T, size, size, 3) RGB. ``boxes``: per frame int64 (n, 4), ``x0, y0, x1, y1`` in pixels, one box
    for each of the 1 to 4 pieces in which the frame's border cuts the object. ``velocity``, ``pan``: (dx, dy) of the
    object and of the background in pixels per frame. ``growth``: factor of its size per frame between two snaps.
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
    """A finished data set on disk. ``train``, ``test``: the videos, ``root/<split>/<class>/NNNN.mp4``, in the order of
    their making, in which the classes take turns. ``made``: how many of them this call had to make."""

    root: Path
    train: tuple[Path, ...]
    test: tuple[Path, ...]
    made: int


def make_dataset(
    root: str | Path,
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
    """Write class folders of H.264 video in which one object moves, and beside each video the truth about it.

    The class is the motion, one of ``CLASSES``; the module's docstring says why a single frame does not show it. A
    model that learns from it must see left from right: mirroring a clip changes its class.

    ``NNNN.json`` beside ``NNNN.mp4`` holds ``class``, ``velocity`` and ``pan`` (dx, dy in pixels per frame),
    ``growth`` (factor per frame), ``turn`` (radians per frame, clockwise) and ``frames``, a list of
    ``{"frame": i, "boxes_xyxy": [[x0, y0, x1, y1], ...]}``. The truth is one file per video so that a video moves with
    it, `read_boxes` reads no more than it needs, and a killed run leaves none without the other.

    A directory that an earlier call with the same arguments has made is used again, and what is missing in it is
    made: a killed run goes on where it was. The pixels depend on the arguments alone, not on ``workers``.

    Args:
        root: a new or empty directory, or one that this function has made.
        train, test: clips in each split; classes are balanced to within one clip.
        frames: in each clip. size: side of the square frame in pixels, even. fps: frames per second.
        pan: share of the clips whose background moves, 0 to 1, the same in every class.
        workers: threads; two for each core are best. Rendering and encoding hold no lock, so threads are as fast as
            processes, start at once and ask nothing of the calling script.
        progress: called with (clips done, clips to make) after each clip.

    Raises:
        DataError: an argument is out of range, or ``root`` holds anything else; nothing in it is touched then.
    """
    root = Path(root)
    if train < 0 or test < 0 or frames < 1 or workers < 1 or size < 32 or size % 2 or seed < 0:
        raise DataError(
            f"{root}: cannot make train={train}, test={test} clips of frames={frames}, size={size} from seed={seed} "
            f"with workers={workers}; expected counts and seed >= 0, frames and workers >= 1, an even size >= 32"
        )
    if not 0 <= pan <= 1 or not fps > 0:
        raise DataError(f"{root}: cannot make clips of pan={pan}, fps={fps}; expected pan in 0..1 and fps > 0")
    parameters = {"train": train, "test": test, "frames": frames, "size": size, "fps": fps, "seed": seed, "pan": pan}
    _claim(root, {"maker": "mgm.data.synthetic.labelled", "version": 1, **parameters})
    videos = {
        split: tuple(root / split / CLASSES[i % 8] / f"{i // 8:04d}.mp4" for i in range(count))
        for split, count in (("train", train), ("test", test))
    }
    missing = [
        (split, i, path)
        for split in SPLITS
        for i, path in enumerate(videos[split])
        if not (path.exists() and path.with_suffix(".json").exists())
    ]

    def make(job: tuple[str, int, Path]) -> None:
        split, index, path = job
        key = (seed, SPLITS.index(split), index)
        clip = draw_clip(path.parent.name, frames=frames, size=size, pan=pan, seed=key)
        # The truth first: wherever there is a video, there is its truth.
        _write_json(path.with_suffix(".json"), _truth(clip))
        encode(path, clip.frames, fps=fps, options={"preset": "medium", "crf": 23})

    pool = ThreadPoolExecutor(workers)
    try:
        for done, _ in enumerate(pool.map(make, missing), start=1):
            if progress is not None:
                progress(done, len(missing))
    finally:
        pool.shutdown(cancel_futures=True)
    return SyntheticDataset(root, videos["train"], videos["test"], len(missing))


def read_boxes(video: str | Path, *, file: str | Path | None = None) -> list[npt.NDArray[np.float32]] | None:
    """Read the boxes that lie beside a video, in the file of its name that ends in .json, else in the `boxes.json` of its folder,
    which is that of one sequence, however often it is encoded; or those of another file.

    Returns:
        For each frame up to the last that the file names, float32 (n, 4), ``x0, y0, x1, y1`` in pixels of the video, far
        edges exclusive; n = 0 for a frame that it leaves out. None where there is no such file, or it is about something
        else: many collections keep a JSON file beside each video.

    Raises:
        DataError: the file has ``frames`` but not as ``{"frames": [{"frame": 0, "boxes_xyxy": [[...]]}, ...]}``; or ``file``
            is not there or has none.
    """
    beside = Path(video)
    places = [beside.with_suffix(".json"), beside.with_name(BOXES)] if file is None else [Path(file)]
    found = ((place, _json(place)) for place in places)
    path, content = next(((p, c) for p, c in found if isinstance(c, dict) and "frames" in c), (places[0], None))
    if content is None:
        if file is not None:
            raise DataError(f'{path}: found no boxes, expected a JSON file with {{"frames": [...]}}; give another file')
        return None
    try:
        entries = {entry["frame"]: entry["boxes_xyxy"] for entry in content["frames"]}
        return [np.array(entries.get(i, []), np.float32).reshape(-1, 4) for i in range(max(entries, default=-1) + 1)]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f'{path}: no boxes ({error!r}); expected {{"frames": [{{"frame": 0, "boxes_xyxy": [[x0, y0, x1, y1]]}}]}}'
        ) from error


def _json(path: Path) -> Any:
    """What a file holds; None where that is nothing."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def draw_clip(label: str, *, frames: int, size: int, pan: float, seed: Sequence[int]) -> SyntheticClip:
    """Draw and render one clip of a class, with the share ``pan`` of moving backgrounds.

    The same arguments give the same pixels. Another label under the same seed gives the same first frame.
    """
    look_seed, motion_seed = np.random.SeedSequence(seed).spawn(2)
    look, motion = np.random.default_rng(look_seed), np.random.default_rng(motion_seed)
    appearance = draw_appearance(look)
    start, angle, level = look.random(2) * size, look.uniform(0, 2 * math.pi), look.random()

    speed = motion.uniform(*SPEED) * size
    heading = motion.uniform(-DIRECTION_JITTER, DIRECTION_JITTER) + math.pi / 2 * CLASSES.index(label)
    sweep, turn = 1 / motion.uniform(*SWEEP_FRAMES), motion.uniform(*TURN)
    pan_speed, pan_heading = motion.uniform(*PAN_SPEED) * size, motion.uniform(0, 2 * math.pi)
    pan_velocity = _polar(pan_speed if motion.random() < pan else 0.0, pan_heading)

    velocity = _polar(speed, heading) if label in CLASSES[:4] else (0.0, 0.0)
    sweep *= {"growing": 1, "shrinking": -1}.get(label, 0)
    turn *= {"turning_cw": 1, "turning_ccw": -1}.get(label, 0)
    time = np.arange(frames, dtype=np.float64)
    span = RADIUS[1] / RADIUS[0]
    track = Track(
        centre=start + time[:, None] * velocity,
        radius=size * RADIUS[0] * span ** ((level + sweep * time) % 1),
        angle=angle + turn * time,
        offset=time[:, None] * pan_velocity,
    )
    pictures, boxes = render(appearance, track, size=size)
    return SyntheticClip(label, pictures, boxes, velocity, span**sweep, turn, pan_velocity)


def _polar(length: float, angle: float) -> tuple[float, float]:
    return length * math.cos(angle), length * math.sin(angle)


def _truth(clip: SyntheticClip) -> dict[str, object]:
    return {
        "class": clip.label,
        "velocity": clip.velocity,
        "growth": clip.growth,
        "turn": clip.turn,
        "pan": clip.pan,
        "frames": [{"frame": i, "boxes_xyxy": boxes.tolist()} for i, boxes in enumerate(clip.boxes)],
    }


def _claim(root: Path, parameters: dict[str, object]) -> None:
    """Leave the parameters in a new or empty directory; pass one that has the same, refuse any other."""
    manifest = root / MANIFEST
    if manifest.is_file():
        try:
            found = dict(json.loads(manifest.read_text()))
        except (ValueError, TypeError) as error:
            raise DataError(f"{manifest}: not a data set's parameters ({error}); choose another directory") from error
        other = [
            f"{name}={found.get(name)} (asked: {parameters.get(name)})"
            for name in {**parameters, **found}
            if found.get(name) != parameters.get(name)
        ]
        if other:
            raise DataError(
                f"{root}: holds a synthetic data set with {', '.join(other)}; choose another directory, or remove it"
            )
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(
            f"{root}: is not empty and holds no synthetic data set ({MANIFEST} is missing); choose a new directory"
        )
    else:
        root.mkdir(parents=True, exist_ok=True)
        _write_json(manifest, parameters)


def _write_json(path: Path, content: dict[str, object]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(content).encode())
