"""What the demo trains and compares, on its synthetic videos and on those of a user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mgm.data.items import VideoSet
from mgm.data.judging import unprobeable
from mgm.data.synthetic.labelled import HEADINGS, MOTIONS, SyntheticDataset, Task, make_dataset
from mgm.demo.systems import Job, System
from mgm.errors import DataError
from mgm.training import Config

TaskName = Literal["headings", "motions"]


@dataclass(frozen=True, slots=True)
class SyntheticVideos:
    """The videos of a task: numbers of clips, size in pixels, share of moving backgrounds."""

    task: Task
    train: int
    test: int
    size: int
    pan: float

    def make(
        self, place: str | Path, *, seed: int = 0, progress: Callable[[int, int], None] | None = None
    ) -> SyntheticDataset:
        """Write the videos, see `mgm.data.synthetic.labelled.make_dataset`."""
        return make_dataset(
            place,
            self.task,
            train=self.train,
            test=self.test,
            frames=CLIP_FRAMES,
            size=self.size,
            pan=self.pan,
            seed=seed,
            progress=progress,
        )


SYNTHETIC = {
    "headings": SyntheticVideos(HEADINGS, train=1024, test=256, size=96, pan=0.0),
    "motions": SyntheticVideos(MOTIONS, train=1024, test=256, size=96, pan=0.25),
}
CLIP_FRAMES = 16
LABELS = 128
"""Labelled training videos of the synthetic sets; pretraining reads all videos."""

_SHORT = ("pretrain.batch=16", "pretrain.base_lr=0.016", "probe.clips_per_video=1", "probe.temporal_views=1")
SYNTHETIC_SETTINGS = (
    *_SHORT,
    "pretrain.steps=400",
    *("finetune.batch=16", "finetune.base_lr=0.016", "finetune.warmup=4"),
)
"""Settings of the recipe `debug`: learning rates of 1e-3 at batches of 16."""

OWN_SETTINGS = (
    *_SHORT,
    "pretrain.steps=700",
    *("data.stride=4", "data.flip=true", "data.crop=multiscale", "data.memory_side=64"),
)
"""For real video; synthetic clips are short, and mirroring changes their class."""

TUNED_STEPS = 40
EQUAL_COMPUTE_STEPS = 240
"""Of fine-tuning: they cost as much as 400 of pretraining and 40 of fine-tuning. A step of fine-tuning, which encodes every token,
costs two of pretraining (docs/results.md)."""

MOTION_AND_PIXELS = System("motion + pixels", {"normalised-pixels": 1.0, "motion": 20.0})
PIXELS = System("pixels alone", "normalised-pixels")
UNTRAINED = System("untrained", None)

LEAST_TEST_VIDEOS = 50
LEAST_VIDEOS_PER_CLASS = 8


def synthetic_jobs() -> list[Job]:
    """The comparison on synthetic videos; the longest jobs first."""
    return [
        Job(MOTION_AND_PIXELS, frozen=True, tuned=(TUNED_STEPS,)),
        Job(PIXELS, frozen=True, tuned=(TUNED_STEPS,)),
        Job(UNTRAINED, tuned=(EQUAL_COMPUTE_STEPS,)),
        Job(UNTRAINED, frozen=True, tuned=(TUNED_STEPS,)),
    ]


def own_jobs(config: Config, *, probed: bool) -> list[Job]:
    """Pretraining on the videos of a user, and the probes if their labels are enough for them."""
    pretrained = Job(System("pretrained", config.model.target), frozen=probed)
    return [pretrained, Job(UNTRAINED, frozen=True)] if probed else [pretrained]


def too_few_to_probe(videos: VideoSet) -> DataError | None:
    """Why a probe of a set says nothing: no labels, or too few videos for an interval that a gain could leave."""
    error = unprobeable(videos)
    if error is not None:
        return error
    per_class = len(videos.train) / len(videos.classes)
    if len(videos.test) >= LEAST_TEST_VIDEOS and per_class >= LEAST_VIDEOS_PER_CLASS:
        return None
    return DataError(
        videos.root,
        f"{len(videos.test):,} test videos and {per_class:.0f} training videos for each class",
        f"at least {LEAST_TEST_VIDEOS} and {LEAST_VIDEOS_PER_CLASS}; below, an interval of 95% spans 27 points or more",
        "'mgm probe' measures it all the same",
        reason="missing_value",
    )
