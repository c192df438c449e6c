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
from torch import Tensor, nn

from mgm.data.clips.sampling import Sampler
from mgm.data.clips.source import ClipSource, FileSource
from mgm.data.items import VideoItem, VideoSet
from mgm.data.judging import unprobeable
from mgm.data.loading.views import ViewSet
from mgm.data.unreadable import LEAVE_OUT_ADVICE
from mgm.errors import DataError
from mgm.evaluation.attentive import AttentiveSetting, ChosenProbe, ProbeShape, attentive_probe, choose_attentive_probe
from mgm.evaluation.feature_cache import FeatureCache, feature_key
from mgm.evaluation.holdout import held_out
from mgm.evaluation.linear import LINEAR_PROTOCOLS, linear_probe, trained_linear_probe
from mgm.evaluation.low_shot import LowShot, low_shot_curve
from mgm.evaluation.metrics import Accuracy, AccuracyGain, Verdict, accuracy, accuracy_gain, correct, verdict
from mgm.evaluation.nearest import block_bytes, nearest_neighbours, usable_neighbours
from mgm.evaluation.pooling import feature_shape
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.token_file import TokenFile, token_bytes, token_file
from mgm.evaluation.views import Features, encode_views
from mgm.models import Encoder
from mgm.models.networks.network import VideoNetwork
from mgm.models.tokens import TokenShape, token_shape
from mgm.terminal import byte_size
from mgm.training.config import Config
from mgm.training.networks import build_network
from mgm.training.run import reading_workers
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
        curve: accuracies of a linear probe from few labels; empty if none were asked for.
        tried: the settings of the attentive probe, with their accuracies on held-out training videos; empty without one.
        setting: the one that was chosen.
    """

    hits: Mapping[str, Hits]
    classes: tuple[str, ...]
    unreadable: dict[str, str]
    tested: tuple[int, ...]
    curve: tuple[LowShot, ...] = ()
    tried: tuple[AttentiveSetting, ...] = ()
    setting: AttentiveSetting | None = None

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
    encoder: Encoder | VideoNetwork,
    videos: VideoSet,
    config: Config,
    source: ClipSource,
    *,
    scratch: str | Path | None = None,
    cache: FeatureCache | None = None,
    ranks: Ranks | None = None,
    progress: Callable[[str], None] | None = None,
) -> ProbeScores:
    """The probes of `config.probe.heads` on a frozen encoder, over all views of the test videos.

    Args:
        scratch: a folder for the tokens of the training clips, which only the attentive probe needs; None: the system's temporary
            one.
        cache: of features. Without an attentive probe, an encoder is not run again on videos whose features it has.
        ranks: the processes that share the videos; None: this one alone.
        progress: called with one line of text per stage and per group of videos.

    Raises:
        DataError: no accuracy can be measured on the set. FileError: the disk has no room for the tokens.
    """
    error = unprobeable(videos)
    if error is not None:
        raise error
    ranks = ranks or Ranks(config.probe.precision)
    run = _Encoding(encoder, videos, config, source, ranks, progress, cache)
    run.report("encoding")
    chosen = None
    if "attentive" in config.probe.heads:
        train, chosen = run.train_attentive(Path(scratch or tempfile.gettempdir()))
        test = run.encode(run.test_views, done=len(videos.train), probe=chosen.probe)
    else:
        train = run.encode(run.train_views)
        test = run.encode(run.test_views, done=len(videos.train))
    return ranks.from_first(lambda: _scores(_of_first(train), _of_first(test), chosen, run))


@dataclass(frozen=True, slots=True)
class _Encoding:
    """An encoder on the videos of a set."""

    encoder: Encoder | VideoNetwork
    videos: VideoSet
    config: Config
    source: ClipSource
    ranks: Ranks
    progress: Callable[[str], None] | None
    cache: FeatureCache | None

    def report(self, text: str) -> None:
        if self.progress is not None:
            self.progress(text)

    @property
    def train_views(self) -> ViewSet:
        return training_views(self.videos.train, self.config, self.source)

    @property
    def test_views(self) -> ViewSet:
        sampler = self.config.sampler(self.config.probe.sampling)
        return evaluation_views(self.videos.test, self.config, self.source, sampler)

    def encode(
        self, views: ViewSet, *, done: int = 0, tokens: TokenFile | None = None, probe: nn.Module | None = None
    ) -> Features | None:
        """The features of views on the first rank; from the cache, if neither tokens nor a probe need the encoder."""
        cache, ranks = self.cache, self.ranks
        key = None if cache is None else ranks.from_first(lambda: self._key(views))
        if cache is not None and key is not None and tokens is None and probe is None:
            found = ranks.on_first(lambda: cache.load(key, views.items))
            if ranks.from_first(lambda: found is not None):
                return found
        encoded = encode_views(
            self.encoder,
            views,
            pooling=self.config.probe.pooling,
            tokens=tokens,
            probe=probe,
            ranks=ranks,
            workers=reading_workers(self.config, self.source),
            timeout=self.config.data.read_timeout,
            progress=video_progress(self.progress, "encoding", len(self.videos.items), done=done),
        )
        if cache is not None and key is not None:
            ranks.on_first(lambda: cache.save(key, _of_first(encoded)))
        return encoded

    def _key(self, views: ViewSet) -> str | None:
        return feature_key(self.encoder, views, self.config.probe.pooling, self.ranks)

    def train_attentive(self, scratch: Path) -> tuple[Features | None, ChosenProbe]:
        """The training features on the first rank, and an attentive probe that was trained on their tokens."""
        found, views = _shape(self.encoder, self.config), self.train_views
        size = (len(views) * views.most, found.tokens, found.dim)
        with token_file(scratch, size, self.ranks) as tokens:
            train = self.encode(views, tokens=tokens)
            self.report("attentive probe")
            shape = ProbeShape(found.dim, found.heads, len(self.videos.classes), self.config.probe.depth)
            chosen = self.ranks.from_first(
                lambda: choose_attentive_probe(
                    _of_first(train),
                    tokens,
                    shape=shape,
                    config=self.config.probe,
                    seed=self.config.seed,
                    held=self.held_out(_of_first(train)),
                    device=self.ranks.device,
                )
            )
        return train, chosen

    def held_out(self, train: Features) -> Tensor:
        """Which of the readable training videos are held out to choose settings."""
        return held_out([self.videos.train[index] for index in train.index])


def _of_first(found: Features | None) -> Features:
    """Features, in a function that the first rank alone calls."""
    assert found is not None
    return found


def _scores(train: Features, test: Features, chosen: ChosenProbe | None, run: _Encoding) -> ProbeScores:
    hits, curve = _hits(train, test, run), _curve(train, test, run)
    unreadable = train.unreadable | test.unreadable
    tried, setting = ((), None) if chosen is None else (chosen.tried, chosen.setting)
    return ProbeScores(hits, run.videos.classes, unreadable, test.index, curve, tried, setting)


def _hits(train: Features, test: Features, run: _Encoding) -> dict[str, Hits]:
    """Name of each probe -> its hits."""
    label, classes, probe = test.label.numpy(), len(run.videos.classes), run.config.probe
    hits: dict[str, Hits] = {}
    if "attentive" in probe.heads:
        hits["attentive probe"] = correct(attentive_probe(test), label)
    if "linear" in probe.heads:
        run.report("linear probe")
        hits["linear probe"] = correct(linear_probe(train, test, classes=classes, held=run.held_out(train)), label)
    for name, protocol in LINEAR_PROTOCOLS.items():
        if name in probe.heads:
            run.report(name)
            found = trained_linear_probe(train, test, classes=classes, protocol=protocol, seed=run.config.seed)
            hits[f"{name} probe"] = correct(found, label)
    if "knn" in probe.heads:
        run.report("k-NN")
        neighbours = usable_neighbours(probe.neighbour_counts, len(train.owner))
        votes = nearest_neighbours(train, test, classes=classes, neighbours=neighbours)
        hits |= {f"{k}-NN": correct(found, label) for k, found in votes.items()}
    return hits


def _curve(train: Features, test: Features, run: _Encoding) -> tuple[LowShot, ...]:
    probe = run.config.probe
    if probe.shots:
        run.report("few labels")
    return low_shot_curve(
        train, test, classes=len(run.videos.classes), shots=probe.shots, draws=probe.draws, seed=run.config.seed
    )


def _shape(encoder: Encoder | VideoNetwork, config: Config) -> TokenShape:
    return token_shape(encoder, frames=config.data.frames, size=config.data.size)


def describe_needs(encoder: Encoder | VideoNetwork, videos: VideoSet, config: Config, scratch: str | Path) -> str:
    """One line on the memory and the disk that the probes need beside the model and the clips that are being read."""
    probe, shape = config.probe, _shape(encoder, config)
    train, test = (
        len(videos.train) * probe.clips_per_video,
        len(videos.test) * probe.temporal_views * probe.spatial_views,
    )
    (width,) = feature_shape(shape.tokens, shape.dim, probe.pooling)
    # Features, standardised ones, and their part that is not held out; a block of similarities; logits and probabilities.
    memory = 4 * width * (2 * (train + test) + train) + block_bytes(train) + 20 * len(videos.classes) * test
    line = f"{train:,} training and up to {test:,} test views of {width:,} numbers: up to {byte_size(memory)} of memory"
    if "attentive" in probe.heads:
        size = token_bytes((train, shape.tokens, shape.dim))
        line += f"; tokens: {byte_size(size)} in a temporary file in {scratch}"
    return line


def untrained_encoder(
    config: Config, items: Sequence[VideoItem] = (), source: ClipSource | None = None
) -> Encoder | VideoNetwork:
    """The encoder of a recipe as initialised, the baseline of pretraining.

    Args:
        items, source: the videos whose patches `model.patch_init=whitened` reads; other starts need none.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        if config.model.network is not None:
            return build_network(config, classes=1).eval()
        encoder = Encoder(config.model_spec())
        start_from_videos(encoder, items, config, source or FileSource())
        return encoder.eval()


def compare_probes(pretrained: ProbeScores, untrained: ProbeScores) -> list[Comparison]:
    """Compare two encoders probe by probe, on the videos that both were tested on: reading a video may fail once and succeed later.

    Raises:
        DataError: no video was tested with both encoders.
    """
    both = np.intersect1d(pretrained.tested, untrained.tested)
    if not len(both):
        raise DataError(
            "",
            "no test video could be read for both encoders",
            advice=LEAVE_OUT_ADVICE,
            reason="too_many_failures",
        )
    after, before = np.searchsorted(pretrained.tested, both), np.searchsorted(untrained.tested, both)
    pairs = {name: (hits[after], untrained.hits[name][before]) for name, hits in pretrained.hits.items()}
    return [_comparison(name, new, old, pretrained.chance) for name, (new, old) in pairs.items()]


def _comparison(name: str, new: Hits, old: Hits, chance: float) -> Comparison:
    after, gain = accuracy(new), accuracy_gain(new, old)
    return Comparison(name, after, accuracy(old), gain, verdict(gain, above_chance=after.low > chance))


def video_progress(
    progress: Callable[[str], None] | None, activity: str, total: int, *, done: int = 0
) -> Callable[[int], None] | None:
    """A callback for numbers of videos that reports text: `number` videos are finished besides `done` others, out of `total`."""
    return None if progress is None else lambda number: progress(f"{activity} {done + number:,} of {total:,} videos")


def training_views(items: Sequence[VideoItem], config: Config, source: ClipSource) -> ViewSet:
    """The views on which probes are trained: centre crops of `probe.clips_per_video` clips of each video."""
    settings, sampler = config.clip_settings(motion=False), config.sampler(config.probe.sampling)
    return ViewSet(items, source, settings, temporal=config.probe.clips_per_video, spatial=1, sampler=sampler)


def evaluation_views(items: Sequence[VideoItem], config: Config, source: ClipSource, sampler: Sampler) -> ViewSet:
    """The views of the multi-view protocol."""
    probe = config.probe
    settings = config.clip_settings(motion=False)
    return ViewSet(items, source, settings, temporal=probe.temporal_views, spatial=probe.spatial_views, sampler=sampler)
