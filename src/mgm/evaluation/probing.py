"""The verdict on an encoder: every judgement, against the same encoder untrained, on the same videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mgm.data.annotations import VideoItem, VideoSet
from mgm.data.clips.sampling import Sampler
from mgm.data.clips.source import ClipSource
from mgm.data.loading.dataset import ViewSet
from mgm.errors import DataError
from mgm.evaluation.knn import nearest_neighbours
from mgm.evaluation.metrics import Accuracy, Difference, accuracy, correct, difference, top_k
from mgm.evaluation.probes import attentive_probe, linear_probe
from mgm.evaluation.views import Predictions, encode_views, predict_views
from mgm.models import Classifier, Encoder
from mgm.training.config import Config
from mgm.training.run import reading_workers

Hits = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One judgement of a pretrained encoder and of the same one untrained."""

    name: str
    pretrained: Accuracy
    untrained: Accuracy
    gain: Difference

    def to_dict(self) -> dict[str, Any]:
        """For metrics.json."""
        return {
            "pretrained": _accuracy_dict(self.pretrained),
            "untrained": _accuracy_dict(self.untrained),
            "gain": {
                "value": self.gain.value,
                "low": self.gain.low,
                "high": self.gain.high,
                "verdict": self.gain.verdict,
            },
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """Per judgement the hits of every test video; `problems` names those that could not be read.

    tested: which of the test videos the hits are of, ascending.
    """

    hits: Mapping[str, Hits]
    classes: tuple[str, ...]
    problems: dict[str, str]
    tested: tuple[int, ...]

    @property
    def chance(self) -> float:
        """Accuracy of guessing among equally likely classes."""
        return 1 / len(self.classes)


def probe_encoder(
    encoder: Encoder,
    videos: VideoSet,
    config: Config,
    source: ClipSource,
    *,
    progress: Callable[[str], None] | None = None,
) -> Judgement:
    """Attentive probe, linear probe and k-NN of a frozen encoder, over all views of the test videos.

    Raises:
        DataError: the set has no labels, or nothing to test on.
    """
    check_labels(videos)
    settings = config.probe
    say = progress or (lambda text: None)
    say("encoding")
    learn = views_to_learn(videos.train, config, source)
    ask = views_to_test(videos.test, config, source, config.sampler(settings.sampling))
    reading = _reading(config, source)
    count = len(videos.train) + len(videos.test)
    train = encode_views(encoder, learn, progress=counted(progress, "encoding", count), **reading)
    test = encode_views(encoder, ask, progress=counted(progress, "encoding", count, done=len(videos.train)), **reading)
    classes = len(videos.classes)
    heads = encoder.spec.encoder.heads
    say("attentive probe")
    attentive = attentive_probe(train, test, classes=classes, heads=heads, config=settings, seed=config.seed)
    say("linear probe")
    linear = linear_probe(train, test, classes=classes)
    say("k-NN")
    votes = nearest_neighbours(train, test, classes=classes, k=settings.neighbours)
    label = test.label.numpy()
    hits = {
        "attentive probe": correct(attentive, label),
        "linear probe": correct(linear, label),
        f"{settings.neighbours}-NN": correct(votes, label),
    }
    return Judgement(hits, videos.classes, train.problems | test.problems, test.index)


def untrained_encoder(config: Config) -> Encoder:
    """The encoder of a recipe as initialised: what pretraining is measured against."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        return Encoder(config.model_spec()).eval()


def compare(pretrained: Judgement, untrained: Judgement) -> list[Comparison]:
    """Both judged on the same videos, name by name: a video that hangs once may be read the next time, and pairs with none."""
    both = np.intersect1d(pretrained.tested, untrained.tested)
    if not len(both):
        raise DataError("no test video could be read both times, expected the same ones; check the set with 'mgm scan'")
    after, before = np.searchsorted(pretrained.tested, both), np.searchsorted(untrained.tested, both)
    pairs = {name: (hits[after], untrained.hits[name][before]) for name, hits in pretrained.hits.items()}
    return [Comparison(name, accuracy(new), accuracy(old), difference(new, old)) for name, (new, old) in pairs.items()]


def evaluate_classifier(
    classifier: Classifier,
    videos: VideoSet,
    config: Config,
    source: ClipSource,
    *,
    progress: Callable[[str], None] | None = None,
) -> Predictions:
    """Probabilities of the test videos, averaged over their views, which are taken as the classifier was trained."""
    sampler = config.sampler(config.finetune.sampling, config.finetune.sampling_rule)
    views = views_to_test(videos.test, config, source, sampler)
    said = counted(progress, "judging", len(views))
    return predict_views(classifier, views, progress=said, **_reading(config, source))


def counted(
    progress: Callable[[str], None] | None, what: str, count: int, *, done: int = 0
) -> Callable[[int], None] | None:
    """From how many videos are done beside `done` others to words about all of them."""
    return None if progress is None else lambda number: progress(f"{what} {done + number:,} of {count:,} videos")


def _reading(config: Config, source: ClipSource) -> dict[str, Any]:
    """How views are read: as in training, by processes that a video may hang or kill."""
    return {"workers": reading_workers(config, source), "timeout": config.data.read_timeout}


def evaluation_dict(predictions: Predictions, classes: tuple[str, ...]) -> dict[str, Any]:
    """Top-1 and top-5 with what they were measured on, for metrics.json."""
    result = accuracy(correct(predictions.probability, predictions.label))
    return {
        "top1": _accuracy_dict(result),
        "top5": top_k(predictions.probability, predictions.label, 5) if len(classes) > 5 else None,
        "classes": len(classes),
        "unreadable": len(predictions.problems),
    }


def views_to_learn(items: tuple[VideoItem, ...], config: Config, source: ClipSource) -> ViewSet:
    """Centre crops of `probe.clips_per_video` clips of each training video."""
    settings, sampler = config.clip_settings(motion=False), config.sampler(config.probe.sampling)
    return ViewSet(items, source, settings, temporal=config.probe.clips_per_video, spatial=1, sampler=sampler)


def views_to_test(items: tuple[VideoItem, ...], config: Config, source: ClipSource, sampler: Sampler) -> ViewSet:
    """The views of the multi-view protocol."""
    probe = config.probe
    settings = config.clip_settings(motion=False)
    return ViewSet(items, source, settings, temporal=probe.temporal_views, spatial=probe.spatial_views, sampler=sampler)


def check_labels(videos: VideoSet) -> None:
    """Raises DataError where there is nothing to judge by."""
    if not videos.classes:
        raise DataError(f"{videos.root}: has no labels, expected class folders or annotations; judging needs them")
    if not videos.test or not videos.train:
        raise DataError(
            f"{videos.root}: {len(videos.train)} training and {len(videos.test)} test videos, expected some of each; "
            "add videos or a test/ folder"
        )
    check_all_labelled(videos.root, videos.train + videos.test)


def check_all_labelled(root: str, items: tuple[VideoItem, ...]) -> None:
    """Raises DataError where a video has no label: it would count as wrong."""
    bare = sum(item.label is None for item in items)
    if bare:
        raise DataError(f"{root}: {bare} of {len(items)} videos have no label, expected one for each; leave them out")


def _accuracy_dict(value: Accuracy) -> dict[str, Any]:
    return {"top1": value.top1, "low": value.low, "high": value.high, "videos": value.count}
