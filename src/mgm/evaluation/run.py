"""Judging a finished run on a folder of labelled videos: what `mgm probe` and `mgm evaluate` do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mgm.data.annotations import VideoItem, VideoSet, load_set
from mgm.data.clips.source import ClipSource, MemorySource
from mgm.errors import DataError
from mgm.evaluation.probing import (
    Comparison,
    Judgement,
    check_all_labelled,
    check_labels,
    compare,
    evaluate_classifier,
    evaluation_dict,
    probe_encoder,
    untrained_encoder,
)
from mgm.training.checkpoint import holds_settings, open_classifier, open_encoder
from mgm.training.config import Config
from mgm.training.run import open_source


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """The verdict on an encoder; `comparisons` is empty where the untrained encoder was not asked for."""

    judgement: Judgement
    comparisons: list[Comparison]

    def to_dict(self) -> dict[str, Any]:
        """For probe.json."""
        return {
            "classes": list(self.judgement.classes),
            "chance": self.judgement.chance,
            "top1": {name: float(hits.mean()) for name, hits in self.judgement.hits.items()},
            "against untrained": {c.name: c.to_dict() for c in self.comparisons},
            "unreadable": self.judgement.problems,
        }


def probe(
    run: str | Path,
    data: str | Path | VideoSet,
    *,
    overrides: tuple[str, ...] = (),
    recipe: str | Path | None = None,
    untrained: bool = True,
    source: ClipSource | None = None,
    progress: Callable[[str], None] | None = None,
) -> ProbeReport:
    """Attentive probe, linear probe and k-NN of a frozen encoder; written to `probe.json` in the run's folder.

    Args:
        run: the folder of `mgm pretrain`, or weights from elsewhere (see `mgm.load_encoder`); of a single file the result is
            written beside it, under its name with `.probe.json`.
        data: a set with labels, see `load_set`.
        overrides: `key=value` settings, for example `probe.steps=800`.
        recipe: whose settings are taken for weights from elsewhere; None: mgm-vitb-k400.
        untrained: judge the same encoder untrained too, on the same videos.

    Raises:
        MgmError: no such run, or the videos have no labels.
    """
    encoder, config = open_encoder(run, overrides, recipe=recipe)
    videos = data if isinstance(data, VideoSet) else load_set(data)
    check_labels(videos)  # before they are read
    videos, source, left_out = _readable(videos, videos.items, config, source)
    trained = probe_encoder(encoder, videos, config, source, progress=progress)
    comparisons = []
    if untrained:
        comparisons = compare(
            trained, probe_encoder(untrained_encoder(config), videos, config, source, progress=progress)
        )
    report = ProbeReport(replace(trained, problems={**left_out, **trained.problems}), comparisons)
    _write(Path(run), "probe.json", report.to_dict())
    return report


def evaluate(
    run: str | Path,
    data: str | Path | VideoSet,
    *,
    overrides: tuple[str, ...] = (),
    recipe: str | Path | None = None,
    source: ClipSource | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Multi-view accuracy of a fine-tuned classifier on the test videos; written to `evaluation.json` in its folder.

    Args:
        run: the folder of `mgm finetune`, or a classifier from elsewhere that names its classes (Hugging Face's).
        data: a set (see `load_set`) whose classes are among those that it was trained on; it chooses among all that it knows.
        overrides, recipe: as of `probe`.

    Raises:
        MgmError: no such run, or other classes.
    """
    classifier, config = open_classifier(run, overrides, recipe=recipe)
    classes = classifier.labels
    if classes is None:
        raise DataError(
            f"{run}: does not name its {classifier.head.out_features} classes, expected names to compare with the labels; "
            "export it to hf and write them into config.json as id2label"
        )
    videos = (data if isinstance(data, VideoSet) else load_set(data)).with_classes(classes)
    if not videos.test:
        raise DataError(f"{videos.root}: no test videos ({videos.split_rule}), expected some; give them with test=FILE")
    check_all_labelled(videos.root, videos.test)
    videos, source, left_out = _readable(videos, videos.test, config, source)
    predictions = evaluate_classifier(classifier, videos, config, source, progress=progress)
    result = evaluation_dict(replace(predictions, problems={**left_out, **predictions.problems}), classes)
    _write(Path(run), "evaluation.json", result)
    return result


def _readable(
    videos: VideoSet, items: tuple[VideoItem, ...], config: Config, source: ClipSource | None
) -> tuple[VideoSet, ClipSource, Mapping[str, str]]:
    """Of `items`, a part of the set, the videos that can be read, where their clips come from, and path -> problem of the rest."""
    items, source = open_source(items, config, motion=False, source=source)
    left_out = source.unreadable if isinstance(source, MemorySource) else {}
    return videos.only(item.path for item in items), source, left_out


def result_file(run: str | Path, name: str) -> Path:
    """Where a result about `run` is written: in its folder; of a file of weights from elsewhere beside it, under its name."""
    place = Path(run)
    if place.is_dir():
        return place / name
    return place.with_name(name if holds_settings(place) else f"{place.name}.{name}")


def _write(run: Path, name: str, content: dict[str, Any]) -> None:
    result_file(run, name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
