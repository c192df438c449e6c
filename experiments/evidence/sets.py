"""The sets of the experiments: synthetic ones in which motion alone decides, and real clips split by source and by camera."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from mgm.data.annotations import load_set
from mgm.data.clips.source import ClipSource, MemorySource
from mgm.data.items import VideoItem, VideoSet
from mgm.data.synthetic.labelled import HEADINGS, MOTIONS, TEXTURES, Task, make_dataset
from mgm.demo.plan import CLIP_FRAMES, LABELS, SYNTHETIC_SETTINGS
from mgm.training import Config, load_config

TRAIN, TEST = 1024, 1024
"""Synthetic videos: test videos cost little, and narrow the intervals."""


@dataclass(frozen=True)
class Judged:
    """An opened set.

    Attributes:
        pool: videos of pretraining, classes in turn.
        labelled: seed -> the judged sets by name, with the labels that probes may use.
        recipe, settings: of all arms. pixels, motion_target: settings of either target.
        read: reads the videos with another source of motion.
    """

    pool: Sequence[VideoItem]
    labelled: Callable[[int], dict[str, VideoSet]]
    source: ClipSource
    recipe: str
    settings: tuple[str, ...]
    pixels: tuple[str, ...]
    motion_target: tuple[str, ...]
    read: Callable[[Config], MemorySource] | None = None

    def source_of(self, config: Config) -> ClipSource:
        """The clips with the motion of a configuration."""
        kept, wanted = self.source, (config.clip_settings(motion=True).motion, config.data.reading)
        if self.read is None or not isinstance(kept, MemorySource) or wanted == (kept.motion, kept.reading):
            return kept
        return self.read(config)

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """The labels of the test videos of every judged set."""
        return {name: np.array([item.label for item in videos.test]) for name, videos in self.labelled(0).items()}


@dataclass(frozen=True)
class Synthetic:
    """One object that moves.

    Attributes:
        pan: share of the clips whose background moves.
        labels: numbers of training videos whose labels the probes may use; the test videos are judged once for each.
        settings: of all arms, on top of the demo's.
        minutes: of a core for a cell.
        seed: of the videos.
    """

    task: Task
    pan: float
    labels: tuple[int, ...]
    settings: tuple[str, ...]
    minutes: float
    seed: int = 0

    @property
    def test_videos(self) -> dict[str, int]:
        """Name of the judged set -> number of test videos."""
        return {self.name(labels): TEST for labels in self.labels}

    @property
    def all_settings(self) -> tuple[str, ...]:
        """Of all arms, on top of the recipe `debug`."""
        return ("data.memory=true", *SYNTHETIC_SETTINGS, *self.settings)

    def name(self, labels: int) -> str:
        """For tables."""
        return f"{self.task.name}, {self.pan:.0%} of the backgrounds move, {labels:,} labels"

    def open(self, out: Path, data: Path | None, *, read: bool) -> Judged:
        """Make the videos where they are missing."""
        place = out / "videos" / f"{self.task.name}-{self.pan:g}-{self.seed}"
        make_dataset(
            place, self.task, train=TRAIN, test=TEST, frames=CLIP_FRAMES, size=96, pan=self.pan, seed=self.seed
        )
        videos = load_set(place)
        config = load_config("debug", self.all_settings)
        source = _in_memory(videos.items, config.data.size, config, read=read)
        by_class = sorted(range(len(videos.train)), key=lambda i: (_rank(videos.train, i), videos.train[i].label))
        return Judged(
            tuple(videos.train[i] for i in by_class),
            lambda seed: {
                self.name(labels): videos.with_few_labels(labels, seed=seed) if labels < TRAIN else videos
                for labels in self.labels
            },
            source,
            "debug",
            self.all_settings,
            pixels=("model.target=normalised-pixels",),
            motion_target=("model.target={normalised-pixels: 1.0, motion: 20.0}",),
            read=lambda asked: _in_memory(videos.items, config.data.size, asked, read=True),
        )


@dataclass(frozen=True)
class Real:
    """Both sets of real clips are the pool, and both are judged.

    Attributes:
        test_videos: name of the judged set -> number of test videos.
        minutes: of a core for a cell.
    """

    test_videos: Mapping[str, int]
    minutes: float = 6

    def open(self, out: Path, data: Path | None, *, read: bool) -> Judged:
        """Read the clips into memory."""
        if data is None:
            raise SystemExit("the set of real clips needs --data")
        sets = _real().load_sets(data)
        items = tuple(item for videos in sets.values() for item in videos.items)
        pixels = ("model.target=normalised-pixels", "model.visible_target=null")
        return Judged(
            tuple(item for videos in sets.values() for item in videos.train),
            lambda seed: sets,
            _in_memory(items, _SIDE, load_config("laptop"), read=read),
            "laptop",
            (),
            pixels=pixels,
            motion_target=(),
            read=lambda asked: _in_memory(items, _SIDE, asked, read=True),
        )


_SIDE = 72
"""Shorter side of real frames in memory, from which crops of 64 px are taken."""
_MUON = "pretrain.optimiser=muon"
_HEADINGS = {"labels": (512, TRAIN), "settings": (_MUON, "pretrain.steps=800"), "minutes": 2.2}
_MOTIONS = {"labels": (LABELS,), "settings": (_MUON,), "minutes": 1.0}
_TEXTURES = {"labels": (LABELS, 512), "settings": (_MUON, "pretrain.steps=800"), "minutes": 2.2}
"""Settings in which something is learned and no arm is perfect, found on the pilots' videos: pixels alone need 800 steps and many
labels; the motion as a target makes `headings` perfect, and `motions` not."""

SETS: dict[str, Synthetic | Real] = {
    "headings-still": Synthetic(HEADINGS, 0.0, **_HEADINGS),
    "headings-pan": Synthetic(HEADINGS, 1.0, **_HEADINGS),
    "motions-still": Synthetic(MOTIONS, 0.0, **_MOTIONS),
    "motions-pan": Synthetic(MOTIONS, 1.0, **_MOTIONS),
    "textures-still": Synthetic(TEXTURES, 0.0, **_TEXTURES),
    "pilot-headings": Synthetic(HEADINGS, 0.0, **_HEADINGS, seed=1),
    "pilot-motions": Synthetic(MOTIONS, 0.0, **_MOTIONS, seed=1),
    "pilot-textures": Synthetic(TEXTURES, 0.0, **_TEXTURES, seed=1),
    "real": Real({"surv_fights": 71, "tank_wagon": 155}),
}


def _in_memory(items: Sequence[VideoItem], side: int, config: Config, *, read: bool) -> MemorySource:
    source = MemorySource(side, config.clip_settings(motion=True).motion, config.data.reading)
    if read:
        source.load([item.path for item in items])
    return source


def _rank(items: Sequence[VideoItem], index: int) -> int:
    """How many items of the same class come before an item."""
    return sum(items[i].label == items[index].label for i in range(index))


def _real() -> ModuleType:
    """The splits of experiments/real."""
    file = Path(__file__).parents[1] / "real" / "sets.py"
    spec = importlib.util.spec_from_file_location("real_sets", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
