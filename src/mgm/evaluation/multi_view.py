"""The multi-view protocol: what a fine-tuned classifier answers on the test videos, and the figures of it (`mgm evaluate`)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np

from mgm.data.annotations import read_labels
from mgm.data.clips.source import ClipSource
from mgm.data.groups import read_groups
from mgm.data.items import VideoItem, VideoSet
from mgm.data.judging import untestable
from mgm.errors import DataError
from mgm.evaluation.bootstrap import class_mean_interval, mean_interval
from mgm.evaluation.classification import calibration_error, confusion_matrix, log_loss, mean_class_accuracy
from mgm.evaluation.metrics import correct, top_k_hits
from mgm.evaluation.prediction_blocks import Predictions
from mgm.evaluation.prediction_journal import PredictionJournal
from mgm.evaluation.prediction_table import JudgedVideos, read_predictions, video_names, write_predictions
from mgm.evaluation.probing import evaluation_views, video_progress
from mgm.evaluation.protocol import view_protocol, wilson_interval
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.run import ReadableSet, open_readable
from mgm.evaluation.views import predict_views
from mgm.files.journal import Journal
from mgm.files.lock import BRIEF_WAIT_SECONDS, locked
from mgm.machine import machine, versions
from mgm.models import Classifier
from mgm.models.cost import encoder_multiply_accumulates
from mgm.models.networks.network import VideoNetwork
from mgm.notebook import Table, Tabled
from mgm.training.checkpoint import open_classifier
from mgm.training.config import Config
from mgm.training.networks import entry_of
from mgm.training.results import (
    EVALUATION_FILE,
    Interval,
    Metric,
    ModelRecord,
    Result,
    SetRecord,
    SettingValue,
    check_results,
    describe_model,
    describe_set,
    describe_videos,
    keep_result,
    read_results,
    result_file,
)
from mgm.training.run import reading_workers
from mgm.training.shared_set import shared_set

PREDICTIONS: Final = "predictions"
"""Folder of a run with a folder per evaluation."""
COSTS: Final = "costs.jsonl"
"""File of a run with the time and machine of each measurement, which results do not contain."""

_CONFUSIONS = 10
"""Most frequent pairs of classes that a result names."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation(Tabled):
    """A result, and what is behind it: of several processes the first one alone has the videos.

    Attributes:
        predictions: of the videos that could be read.
        items: these videos.
        judged: the predictions by name of the video.
        folder: files of them.
    """

    result: Result
    predictions: Predictions
    items: Sequence[VideoItem]
    judged: JudgedVideos
    folder: Path

    def __repr__(self) -> str:
        return f"Evaluation({self.result!r}, files in {self.folder})"

    def as_table(self) -> Table:
        """The metrics with their intervals."""
        return self.result.as_table()


def evaluate(
    run: str | Path,
    data: str | Path | VideoSet,
    *,
    overrides: tuple[str, ...] = (),
    recipe: str | Path | None = None,
    labels: str | Path | None = None,
    groups: str | None = None,
    source: ClipSource | None = None,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Multi-view accuracy of a fine-tuned classifier on the test videos.

    The result is written to `evaluation.json` in the run's folder, beside those on other sets and with other views; the predictions
    of every video to a folder below `predictions/`. A stopped evaluation continues where it was, to the same files. Ranks share the
    videos, as in `probe`, and give the files of one process.

    Args:
        run: the folder of `mgm finetune`, or an external classifier with names of its classes (Hugging Face's); with the override
            `model.network=NAME` published weights of a network of `mgm models`.
        data: a set (see `load_set`) whose classes are among those of the classifier, which always chooses among all of its classes.
        labels: file with the names of its classes in the order of its outputs, where the weights have none.
        groups: test videos that are alike, see `read_groups`: intervals then cover the choice of groups.
        overrides, recipe, progress: as in `probe`.

    Raises:
        MgmError: the run does not exist, or the classes differ.
    """
    began = time.perf_counter()
    file = result_file(run, EVALUATION_FILE)
    check_results(file)
    task = _open(run, data, overrides, recipe, labels)
    if groups is not None:
        read_groups(groups, task.videos.test)  # before the work
    readable = open_readable(task.videos, task.videos.test, task.config, source, show_progress=progress is not None)
    folder = result_file(run, PREDICTIONS) / task.folder_name
    ranks = task.ranks
    checksum = ranks.from_first(lambda: describe_set(readable.videos).checksum)
    state = [task.model.weights, task.model.settings, checksum, *map(list, versions())]
    journal = PredictionJournal(folder.with_name(f".{folder.name}-{_key(*state)}"))

    alone = locked(folder, advice="wait for its evaluation to end", replaces=True) if ranks.is_first else nullcontext()
    with alone:
        predictions = evaluate_classifier(
            task.classifier,
            readable.videos,
            task.config,
            readable.source,
            journal=journal,
            ranks=ranks,
            progress=progress,
        )

        def judge() -> Evaluation:
            """Write the figures and the predictions, and remove unfinished ones."""
            found = _judge(task, readable, predictions, groups, folder)
            write_predictions(folder, found.judged, found.predictions, task.videos.classes)
            keep_result(file, found.result)
            _keep_cost(result_file(run, COSTS), found.result, ranks, time.perf_counter() - began)
            for unfinished in folder.parent.glob(f".{folder.name}-*"):
                PredictionJournal(unfinished).remove()
            return found

        evaluation = ranks.on_first(judge)
    result = ranks.from_first(lambda: None if evaluation is None else evaluation.result)
    if evaluation is not None:
        return evaluation
    assert result is not None
    return Evaluation(result, predictions, (), JudgedVideos((), predictions.probability, predictions.label), folder)


def _judge(
    task: _Task, readable: ReadableSet, predictions: Predictions, groups: str | None, folder: Path
) -> Evaluation:
    predictions = replace(predictions, unreadable={**readable.unreadable, **predictions.unreadable})
    items = tuple(readable.videos.test[index] for index in predictions.index)
    group = None if groups is None else read_groups(groups, items)
    names = _names(task.videos.test, readable.videos.test, predictions.index)
    judged = JudgedVideos(names, predictions.probability, predictions.label, group)
    details = {"predictions": f"{PREDICTIONS}/{folder.name}", "groups": groups}
    return Evaluation(_result(task, predictions, group, details), predictions, items, judged, folder)


def stored_evaluation(
    run: str | Path, videos: VideoSet, *, overrides: tuple[str, ...] = ()
) -> tuple[Result, JudgedVideos] | None:
    """An earlier evaluation of the same weights on the same set with the same protocol, if there is one; on the first rank.

    All ranks must call it; None on the others.
    """
    task = _open(run, videos, overrides, None, None)
    wanted = (task.model.weights, task.about.checksum, task.protocol)

    def find() -> tuple[Result, JudgedVideos] | None:
        """The evaluation with the same weights, set and protocol, if its predictions exist."""
        for result in read_results(result_file(run, EVALUATION_FILE)):
            found = result.model
            if found is not None and (found.weights, result.set.checksum, result.protocol) == wanted:
                folder = result_file(run, str(result.details["predictions"]))
                return (result, read_predictions(folder)) if folder.exists() else None
        return None

    return task.ranks.on_first(find)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is evaluated, and by which processes.

    Attributes:
        given: the set as given. videos: the same, with labels that index the classes of the classifier.
        model, about, protocol: for the record.
    """

    ranks: Ranks
    classifier: Classifier | VideoNetwork
    config: Config
    given: VideoSet
    videos: VideoSet
    model: ModelRecord
    about: SetRecord
    protocol: dict[str, SettingValue]

    @property
    def folder_name(self) -> str:
        """Of the predictions: set and protocol are in its key, and for people in its name."""
        views = f"{self.protocol['temporal views']}x{self.protocol['spatial views']}"
        return f"{_slug(self.about.name)}-{views}-{_key(self.about.checksum, self.protocol)}"


def _open(
    run: str | Path,
    data: str | Path | VideoSet,
    overrides: tuple[str, ...],
    recipe: str | Path | None,
    labels: str | Path | None,
) -> _Task:
    classifier, config = open_classifier(run, overrides, recipe=recipe, labels=read_labels(labels))
    given = shared_set(data)
    videos = given.with_classes(_class_names(run, classifier))
    if (error := untestable(videos)) is not None:
        raise error
    ranks = Ranks(config.probe.precision)
    # Weights and names are hashed, which takes seconds for millions.
    model, about = ranks.from_first(
        lambda: (describe_model(run, classifier, config, recipe=recipe), describe_set(given))
    )
    protocol = view_protocol(config, config.finetune.sampling, config.finetune.sampling_rule)
    return _Task(ranks, classifier, config, given, videos, model, about, protocol)


def _names(items: Sequence[VideoItem], readable: Sequence[VideoItem], index: Sequence[int]) -> tuple[str, ...]:
    """The names of the judged videos, at `index` of the readable ones, among all.

    The common folder of those that can be read today may be another one tomorrow.
    """
    kept = {item.path for item in readable}
    names = [name for name, item in zip(video_names(items), items, strict=True) if item.path in kept]
    return tuple(names[i] for i in index)


def _result(task: _Task, predictions: Predictions, group: Sequence[str] | None, details: dict[str, Any]) -> Result:
    return Result(
        kind="evaluation",
        set=task.about,
        model=task.model,
        protocol=task.protocol,
        videos=describe_videos(task.given, judged=len(predictions.label), unreadable=predictions.unreadable),
        metrics=evaluation_metrics(predictions, group),
        details=_details(predictions, task.videos.classes) | details,
        cost=_cost(predictions, task.classifier, task.config),
    )


def _class_names(run: str | Path, classifier: Classifier | VideoNetwork) -> tuple[str, ...]:
    if classifier.labels is None:
        raise DataError(
            run,
            f"does not name its {classifier.head.out_features} classes",
            "names to compare with the labels",
            "pass a file with a name per class, in the order of its outputs: --labels FILE, labels=",
            reason="missing_value",
        )
    return classifier.labels


def evaluate_classifier(
    classifier: Classifier | VideoNetwork,
    videos: VideoSet,
    config: Config,
    source: ClipSource,
    *,
    journal: PredictionJournal | None = None,
    ranks: Ranks | None = None,
    progress: Callable[[str], None] | None = None,
) -> Predictions:
    """Class probabilities of the test videos, averaged over their views, which are sampled as in the classifier's training."""
    sampler = config.sampler(config.finetune.sampling, config.finetune.sampling_rule)
    views = evaluation_views(videos.test, config, source, sampler)
    return predict_views(
        classifier,
        views,
        journal=journal,
        ranks=ranks,
        workers=reading_workers(config, source),
        timeout=config.data.read_timeout,
        progress=video_progress(progress, "classifying", len(views)),
    )


def evaluation_metrics(predictions: Predictions, groups: Sequence[str] | None = None) -> tuple[Metric, ...]:
    """Top-1, top-5 among more than five classes, mean class accuracy, log loss and calibration, with intervals.

    Args:
        groups: of each video; the intervals then cover the choice of groups, and Wilson's are not given.
    """
    probability, label = predictions.probability, predictions.label
    count, classes = probability.shape
    method = "bootstrap over videos" if groups is None else f"bootstrap over {len(set(groups))} groups"

    def resampled(bounds: tuple[float, float]) -> Interval:
        """An interval of the bootstrap."""
        return Interval(low=bounds[0], high=bounds[1], method=method)

    metrics = []
    for k in (1, 5) if classes > 5 else (1,):
        hits = top_k_hits(probability, label, k)
        # Wilson's first: the bootstrap of a few videos that are all correct has no width.
        intervals = (
            *((wilson_interval(hits),) if groups is None else ()),
            resampled(mean_interval(hits, groups=groups)),
        )
        metrics.append(Metric(name=f"top-{k}", value=float(hits.mean()), count=count, intervals=intervals))
    of_classes = resampled(class_mean_interval(correct(probability, label), label, classes, groups=groups))
    balanced = mean_class_accuracy(confusion_matrix(probability, label))
    losses = log_loss(probability, label)
    of_losses = resampled(mean_interval(losses, groups=groups))
    return (
        *metrics,
        Metric(name="mean class accuracy", value=balanced, count=count, intervals=(of_classes,)),
        Metric(name="log loss", value=float(losses.mean()), count=count, unit="nats", intervals=(of_losses,)),
        Metric(name="calibration error", value=calibration_error(probability, label), count=count),
    )


def _details(predictions: Predictions, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy per class, and the pairs of classes that are most often confused."""
    confusion = confusion_matrix(predictions.probability, predictions.label)
    videos = confusion.sum(1)
    per_class = [
        {"class": name, "videos": int(videos[i]), "top-1": float(confusion[i, i] / videos[i]) if videos[i] else None}
        for i, name in enumerate(classes)
    ]
    wrong = np.where(np.eye(len(classes), dtype=bool), 0, confusion)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [divmod(int(place), len(classes)) for place in order if wrong.flat[place]]
    confused = [{"class": classes[i], "predicted": classes[j], "videos": int(wrong[i, j])} for i, j in pairs]
    return {"classes": list(classes), "per class": per_class, "most confused": confused}


def _cost(predictions: Predictions, classifier: Classifier | VideoNetwork, config: Config) -> dict[str, int | float]:
    clips = sum(predictions.views)
    if isinstance(classifier, VideoNetwork):
        entry = entry_of(config)
        published = (entry.frames, entry.size) == (config.data.frames, config.data.size)
        each = round(entry.gmacs * 1e9) if published else None
    else:
        each = encoder_multiply_accumulates(classifier.encoder.spec)
    return {"clips": clips, **({} if each is None else {"multiply-accumulates": clips * each})}


def _keep_cost(file: Path, result: Result, ranks: Ranks, seconds: float) -> None:
    """Append the time of a measurement, which differs between two measurements of one result."""
    place = {"processes": ranks.count, "device": str(ranks.device.type), "machine": machine()}
    record = {"kind": result.kind, "set": result.set.name, "protocol": dict(result.protocol), **result.cost}
    with locked(file, wait_seconds=BRIEF_WAIT_SECONDS), Journal(file) as journal:
        journal.append({**record, "seconds": round(seconds, 2), **place})


def _key(*parts: object) -> str:
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=4).hexdigest()


def _slug(name: str) -> str:
    """A name for a folder: letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:60] or "set"
