"""Scores of a frozen encoder: three probes on a labelled set, compared with the same encoder untrained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mgm.data.clips.sampling import Sampler
from mgm.data.clips.source import ClipSource
from mgm.data.items import VideoItem, VideoSet
from mgm.data.loading.dataset import ViewSet
from mgm.errors import DataError
from mgm.evaluation.metrics import Accuracy, AccuracyGain, Verdict, accuracy, accuracy_gain, correct, verdict
from mgm.evaluation.probes import attentive_probe, linear_probe, nearest_neighbours
from mgm.evaluation.views import TokenBank, encode_views
from mgm.models import Encoder
from mgm.training.config import Config
from mgm.training.run import reading_workers

Hits = npt.NDArray[np.bool_]
"""bool (videos,), True = classified correctly."""


@dataclass(frozen=True, slots=True)
class ProbeScores:
    """The results of all probes of one encoder.

    Attributes:
        hits: name of the probe -> hits of the test videos.
        classes: names of the classes.
        unreadable: path -> message, of videos that could not be read.
        tested: indexes of the test videos that the hits belong to, ascending.
    """

    hits: Mapping[str, Hits]
    classes: tuple[str, ...]
    unreadable: dict[str, str]
    tested: tuple[int, ...]

    @property
    def chance(self) -> float:
        """Accuracy of guessing among equally likely classes."""
        return 1 / len(self.classes)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Accuracy of one probe on a pretrained encoder and on the same encoder untrained."""

    name: str
    pretrained: Accuracy
    untrained: Accuracy
    gain: AccuracyGain
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """For metrics.json."""
        return {
            "pretrained": self.pretrained.to_dict(),
            "untrained": self.untrained.to_dict(),
            "gain": {
                "value": self.gain.value,
                "low": self.gain.low,
                "high": self.gain.high,
                "verdict": self.verdict,
            },
        }


def probe_encoder(
    encoder: Encoder,
    videos: VideoSet,
    config: Config,
    source: ClipSource,
    *,
    progress: Callable[[str], None] | None = None,
) -> ProbeScores:
    """Attentive probe, linear probe and k-NN on a frozen encoder, over all views of the test videos.

    Args:
        progress: called with one line of text per stage and per group of videos.

    Raises:
        DataError: the set has no labels or no test videos.
    """
    check_labels(videos)
    report = progress or (lambda text: None)
    probe, total = config.probe, len(videos.train) + len(videos.test)

    def encode(views: ViewSet, done: int) -> TokenBank:
        return encode_views(
            encoder,
            views,
            workers=reading_workers(config, source),
            timeout=config.data.read_timeout,
            progress=video_progress(progress, "encoding", total, done=done),
        )

    report("encoding")
    train = encode(training_views(videos.train, config, source), 0)
    test = encode(evaluation_views(videos.test, config, source, config.sampler(probe.sampling)), len(videos.train))
    classes = len(videos.classes)
    heads = encoder.spec.encoder.heads
    report("attentive probe")
    attentive = attentive_probe(train, test, classes=classes, heads=heads, config=probe, seed=config.seed)
    report("linear probe")
    linear = linear_probe(train, test, classes=classes)
    report("k-NN")
    votes = nearest_neighbours(train, test, classes=classes, k=probe.neighbours)
    label = test.label.numpy()
    hits = {
        "attentive probe": correct(attentive, label),
        "linear probe": correct(linear, label),
        f"{probe.neighbours}-NN": correct(votes, label),
    }
    return ProbeScores(hits, videos.classes, train.unreadable | test.unreadable, test.index)


def untrained_encoder(config: Config) -> Encoder:
    """The encoder of a recipe as initialised, the baseline of pretraining."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        return Encoder(config.model_spec()).eval()


def compare(pretrained: ProbeScores, untrained: ProbeScores) -> list[Comparison]:
    """Compare two encoders probe by probe, on the videos that both were tested on: reading a video may fail once and succeed later.

    Raises:
        DataError: no video was tested with both encoders.
    """
    both = np.intersect1d(pretrained.tested, untrained.tested)
    if not len(both):
        raise DataError(
            "",
            "no test video could be read for both encoders",
            advice="check the set with 'mgm scan'",
            reason="too_many_failures",
        )
    after, before = np.searchsorted(pretrained.tested, both), np.searchsorted(untrained.tested, both)
    pairs = {name: (hits[after], untrained.hits[name][before]) for name, hits in pretrained.hits.items()}
    return [_comparison(name, new, old, pretrained.chance) for name, (new, old) in pairs.items()]


def _comparison(name: str, new: Hits, old: Hits, chance: float) -> Comparison:
    after, gain = accuracy(new), accuracy_gain(new, old)
    return Comparison(name, after, accuracy(old), gain, verdict(after, gain, chance))


def video_progress(
    progress: Callable[[str], None] | None, activity: str, total: int, *, done: int = 0
) -> Callable[[int], None] | None:
    """A callback for numbers of videos that reports text: `number` videos are finished besides `done` others, out of `total`."""
    return None if progress is None else lambda number: progress(f"{activity} {done + number:,} of {total:,} videos")


def training_views(items: tuple[VideoItem, ...], config: Config, source: ClipSource) -> ViewSet:
    """The views on which probes are trained: centre crops of `probe.clips_per_video` clips of each video."""
    settings, sampler = config.clip_settings(motion=False), config.sampler(config.probe.sampling)
    return ViewSet(items, source, settings, temporal=config.probe.clips_per_video, spatial=1, sampler=sampler)


def evaluation_views(items: tuple[VideoItem, ...], config: Config, source: ClipSource, sampler: Sampler) -> ViewSet:
    """The views of the multi-view protocol."""
    probe = config.probe
    settings = config.clip_settings(motion=False)
    return ViewSet(items, source, settings, temporal=probe.temporal_views, spatial=probe.spatial_views, sampler=sampler)


def check_labels(videos: VideoSet) -> None:
    """Raise DataError unless the set has labelled training and test videos."""
    if not videos.classes:
        raise DataError(
            videos.root, "has no labels, which evaluation needs", "class folders or annotations", reason="missing_value"
        )
    if not videos.test or not videos.train:
        raise DataError(
            videos.root,
            f"{len(videos.train)} training and {len(videos.test)} test videos",
            "at least one of each",
            "add videos or a test/ folder",
            reason="missing_value",
        )
    check_all_labelled(videos.root, videos.train + videos.test)


def check_all_labelled(root: str, items: tuple[VideoItem, ...]) -> None:
    """Raise DataError if a video has no label: it would count as wrong."""
    unlabelled = sum(item.label is None for item in items)
    if unlabelled:
        raise DataError(
            root,
            f"{unlabelled} of {len(items)} videos have no label",
            "one for each",
            "leave them out",
            reason="missing_value",
        )
