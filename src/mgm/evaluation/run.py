"""Probes of a finished run on labelled videos: the function behind `mgm probe`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from mgm.data.clips.source import ClipSource, left_out
from mgm.data.items import VideoItem, VideoSet, paths_of
from mgm.data.judging import unprobeable
from mgm.evaluation.feature_cache import FEATURES_FOLDER, FeatureCache
from mgm.evaluation.low_shot import LowShot
from mgm.evaluation.probing import (
    Comparison,
    ProbeScores,
    compare_probes,
    describe_needs,
    probe_encoder,
    untrained_encoder,
)
from mgm.evaluation.protocol import accuracy_metric, probe_protocol
from mgm.evaluation.ranks import Ranks
from mgm.models import Encoder
from mgm.models.networks.network import VideoNetwork
from mgm.notebook import Table, Tabled
from mgm.training.checkpoint import open_features
from mgm.training.config import Config
from mgm.training.results import (
    METRIC_HEADINGS,
    PROBE_FILE,
    Metric,
    ModelRecord,
    Result,
    check_results,
    describe_model,
    describe_set,
    describe_videos,
    keep_result,
    metric_row,
    result_file,
)
from mgm.training.run import open_source
from mgm.training.shared_set import shared_set


@dataclass(frozen=True, slots=True)
class ProbeReport(Tabled):
    """Scores of an encoder; `comparisons` with the untrained encoder and its low-shot curve are empty unless requested."""

    scores: ProbeScores
    comparisons: list[Comparison]
    untrained_curve: tuple[LowShot, ...] = ()

    def __repr__(self) -> str:
        top1 = ", ".join(f"{name} {float(hits.mean()):.1%}" for name, hits in self.scores.hits.items())
        return f"ProbeReport(top-1 on {len(self.scores.tested)} videos: {top1}; chance {self.scores.chance:.1%})"

    def as_table(self) -> Table:
        """The accuracy of each probe, and its gain over the untrained encoder."""
        gains = {one.name: one for one in self.comparisons}
        rows = []
        for metric in self._top1():
            name = metric.name.removesuffix(" top-1")
            gain = gains.get(name)
            rows.append((*metric_row(metric), "" if gain is None else f"{gain.gain.value:+.1%}, {gain.verdict}"))
        title = f"top-1 of frozen features; chance {self.scores.chance:.1%}"
        return Table(title, (*METRIC_HEADINGS, "over the untrained encoder"), tuple(rows))

    def result(self, videos: VideoSet, model: ModelRecord, config: Config) -> Result:
        """The record for probe.json, of the set `videos` as given."""
        unreadable, tested = self.scores.unreadable, len(self.scores.tested)
        return Result(
            kind="probe",
            set=describe_set(videos),
            model=model,
            protocol=probe_protocol(config),
            videos=describe_videos(videos, judged=tested, unreadable=unreadable),
            metrics=(*self._top1(), *self._low_shot()),
            details={
                "classes": list(self.scores.classes),
                "chance": self.scores.chance,
                "against untrained": {c.name: c.to_dict() for c in self.comparisons},
                "attentive probe": self._attentive(),
                "low shot": [point.to_dict() for point in self.scores.curve],
                "low shot, untrained": [point.to_dict() for point in self.untrained_curve],
            },
        )

    def _top1(self) -> Iterator[Metric]:
        for name, hits in self.scores.hits.items():
            yield accuracy_metric(f"{name} top-1", hits)

    def _low_shot(self) -> Iterator[Metric]:
        for point in self.scores.curve:
            name = f"linear probe top-1, {point.shots} labels per class"
            yield Metric(name=name, value=point.mean, count=len(self.scores.tested))

    def _attentive(self) -> dict[str, Any] | None:
        """The settings that were tried, the chosen one first."""
        chosen = self.scores.setting
        if chosen is None:
            return None
        return {"chosen": asdict(chosen), "tried": [asdict(one) for one in self.scores.tried]}


def probe(
    run: str | Path,
    data: str | Path | VideoSet,
    *,
    overrides: tuple[str, ...] = (),
    recipe: str | Path | None = None,
    untrained: bool = True,
    source: ClipSource | None = None,
    progress: Callable[[str], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> ProbeReport:
    """The probes of `probe.heads` on a frozen encoder; written to `probe.json` in the run's folder, beside those on other sets.

    With `probe.cache`, the features are kept in `features/` there, and not computed again while they stay the same.

    Under torchrun the ranks share the videos, and each returns the whole result once the first one has written it.

    Args:
        run: the folder of `mgm pretrain`, or external weights (see `mgm.load_encoder`; with the override `model.network=NAME`
            those of a network of `mgm models`). For a single file the result is written
            beside it, under its name with `.probe.json`.
        data: a set with labels, see `load_set`.
        overrides: `key=value` settings, for example `probe.steps=800`.
        recipe: recipe to use instead of the run's own settings; None: the run's own, or mgm-vitb-k400 for external weights.
        untrained: also evaluate the same encoder untrained, on the same videos.
        progress: called with one line of text per stage.
        announce: called with the memory and disk that the probes need, before any video is encoded.

    Raises:
        MgmError: the run does not exist, or no accuracy can be measured on the videos, for example without labels.
    """
    file = result_file(run, PROBE_FILE)
    check_results(file)
    encoder, config = open_features(run, overrides, recipe=recipe)
    videos = shared_set(data)
    if (error := unprobeable(videos)) is not None:
        raise error  # before any video is read
    readable = open_readable(videos, videos.items, config, source, show_progress=progress is not None)
    ranks = Ranks(config.probe.precision)
    cache = FeatureCache(result_file(run, FEATURES_FOLDER)) if config.probe.cache else None
    if announce is not None:
        announce(describe_needs(encoder, readable.videos, config, file.parent))

    def scores_of(encoder: Encoder | VideoNetwork) -> ProbeScores:
        """The scores of an encoder on the readable videos."""
        return probe_encoder(
            encoder,
            readable.videos,
            config,
            readable.source,
            scratch=file.parent,
            cache=cache,
            ranks=ranks,
            progress=progress,
        )

    trained, baseline = scores_of(encoder), None
    if untrained:
        baseline = scores_of(untrained_encoder(config, readable.videos.train, readable.source))
    comparisons = [] if baseline is None else compare_probes(trained, baseline)
    scores = replace(trained, unreadable={**readable.unreadable, **trained.unreadable})
    report = ProbeReport(scores, comparisons, () if baseline is None else baseline.curve)

    def write() -> None:  # hashes the weights and the names of the set
        """Keep the result, for which the weights and the names of the set are hashed."""
        keep_result(file, report.result(videos, describe_model(run, encoder, config, recipe=recipe), config))

    ranks.from_first(write)
    return report


class ReadableSet(NamedTuple):
    """The readable videos of a set, the source of their clips, and path -> message of the others."""

    videos: VideoSet
    source: ClipSource
    unreadable: Mapping[str, str]


def open_readable(
    videos: VideoSet,
    items: Sequence[VideoItem],
    config: Config,
    source: ClipSource | None,
    *,
    show_progress: bool,
) -> ReadableSet:
    """Open the source of `items`, a part of the set."""
    items, source = open_source(items, config, motion=False, source=source, show_progress=show_progress)
    if len(items) < len(videos.train) + len(videos.test):
        videos = videos.only(paths_of(items))
    return ReadableSet(videos, source, left_out(source))
