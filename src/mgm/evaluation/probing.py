"""Scores of a frozen encoder: three probes on a labelled set, compared with the same encoder untrained."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mgm.data.clips.sampling import Sampler
from mgm.data.clips.source import ClipSource, FileSource
from mgm.data.items import VideoItem, VideoSet
from mgm.data.judging import unprobeable
from mgm.data.loading.dataset import ViewSet
from mgm.errors import DataError
from mgm.evaluation.metrics import Accuracy, AccuracyGain, Verdict, accuracy, accuracy_gain, correct, verdict
from mgm.evaluation.probes import attentive_probe, linear_probe, nearest_neighbours, train_attentive_probe
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.token_file import TokenFile, token_file
from mgm.evaluation.views import Features, encode_views
from mgm.models import Encoder
from mgm.training.config import Config
from mgm.training.run import reading_workers
from mgm.training.sections import ProbeConfig
from mgm.training.whitening import start_from_videos

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
    scratch: str | Path | None = None,
    ranks: Ranks | None = None,
    progress: Callable[[str], None] | None = None,
) -> ProbeScores:
    """The probes of `config.probe.heads` on a frozen encoder, over all views of the test videos.

    Args:
        scratch: a folder for the tokens of the training clips, which only the attentive probe needs; None: the system's temporary
            one.
        ranks: the processes that share the videos; None: this one alone.
        progress: called with one line of text per stage and per group of videos.

    Raises:
        DataError: no accuracy can be measured on the set. FileError: the disk has no room for the tokens.
    """
    error = unprobeable(videos)
    if error is not None:
        raise error
    ranks = ranks or Ranks(config.probe.precision)
    report = progress or (lambda text: None)
    probe, total, classes = config.probe, len(videos.train) + len(videos.test), len(videos.classes)

    def encode(views: ViewSet, done: int, tokens: TokenFile | None = None, pooler: nn.Module | None = None) -> Features:
        return encode_views(
            encoder,
            views,
            pooling=probe.pooling,
            tokens=tokens,
            probe=pooler,
            ranks=ranks,
            workers=reading_workers(config, source),
            timeout=config.data.read_timeout,
            progress=video_progress(progress, "encoding", total, done=done),
        )

    report("encoding")
    views, pooler = training_views(videos.train, config, source), None
    if "attentive" in probe.heads:
        spec = encoder.spec
        shape = (len(views) * views.most, spec.tokens, spec.encoder.dim)
        with token_file(Path(scratch or tempfile.gettempdir()), shape, ranks) as tokens:
            train = encode(views, 0, tokens)
            report("attentive probe")
            dim, heads, seed = spec.encoder.dim, spec.encoder.heads, config.seed
            pooler = ranks.from_first(
                lambda: train_attentive_probe(
                    train, tokens, dim=dim, classes=classes, heads=heads, config=probe, seed=seed
                )
            )
    else:
        train = encode(views, 0)
    sampler = config.sampler(probe.sampling)
    test = encode(evaluation_views(videos.test, config, source, sampler), len(videos.train), pooler=pooler)
    hits = ranks.from_first(lambda: _hits(train, test, classes=classes, config=probe, report=report))
    return ProbeScores(hits, videos.classes, train.unreadable | test.unreadable, test.index)


def _hits(
    train: Features, test: Features, *, classes: int, config: ProbeConfig, report: Callable[[str], None]
) -> dict[str, Hits]:
    """Name of each probe -> its hits."""
    label = test.label.numpy()
    hits: dict[str, Hits] = {}
    if "attentive" in config.heads:
        hits["attentive probe"] = correct(attentive_probe(test), label)
    if "linear" in config.heads:
        report("linear probe")
        hits["linear probe"] = correct(linear_probe(train, test, classes=classes), label)
    if "knn" in config.heads:
        report("k-NN")
        votes = nearest_neighbours(train, test, classes=classes, k=config.neighbours)
        hits[f"{config.neighbours}-NN"] = correct(votes, label)
    return hits


def untrained_encoder(config: Config, items: Sequence[VideoItem] = (), source: ClipSource | None = None) -> Encoder:
    """The encoder of a recipe as initialised, the baseline of pretraining.

    Args:
        items, source: the videos whose patches `model.patch_init=whitened` reads; other starts need none.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        encoder = Encoder(config.model_spec())
        start_from_videos(encoder, items, config, source or FileSource())
        return encoder.eval()


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
