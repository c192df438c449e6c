"""The record of a result: what was measured, on which videos, with which weights, and how.

The results about a run are in its folder, one file per command, the newest first:

    {"results": [{"format": "mgm-result-1", "kind": "evaluation", "set": {"name": "ucf101", ...}, "metrics": [...]}, ...]}

A result replaces an earlier one of its kind on the same videos and labels with the same protocol, and no other. Records contain no
times and no number of processes: the same evaluation gives the same file. docs/results.schema.json has the fields, for other
programs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from mgm.data.items import VideoSet
from mgm.errors import ModelError, in_words
from mgm.files.atomic import atomic_write, check_writable
from mgm.files.journal import Journal
from mgm.files.json_text import json_document, read_json
from mgm.files.lock import BRIEF_WAIT_SECONDS, locked
from mgm.machine import versions
from mgm.notebook import Table, Tabled
from mgm.ranks import on_first_rank
from mgm.training.checkpoint import contains_settings
from mgm.training.config import Config
from mgm.training.folder import STATE_FILE, run_of
from mgm.training.resume import fingerprint

Kind = Literal["evaluation", "probe", "baseline", "transfer", "saliency"]
"""The command that measured a result."""
Unit = Literal["fraction", "ratio", "nats"]
SettingValue = bool | int | float | str | None

FORMAT: Final = "mgm-result-1"
PROBE_FILE: Final = "probe.json"
EVALUATION_FILE: Final = "evaluation.json"
RESULT_FILES: Final = (EVALUATION_FILE, PROBE_FILE, "baseline.json", "transfer.json", "saliency.json")

_RESULTS = "results"


class Record(BaseModel):
    """A part of a result: strict, frozen, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Interval(Record):
    """A 95% interval. The method names what it covers, such as "Wilson" or "bootstrap over 46 groups"."""

    low: float
    high: float
    method: str


class Metric(Record):
    """One figure, such as "top-1" or "linear probe top-1"; the first interval is the one to print.

    Attributes:
        count: number of the videos that it is a figure of.
        unit: "fraction" of 1, printed as a percentage; "ratio"; or "nats".
    """

    name: str
    value: float
    count: int
    unit: Unit = "fraction"
    intervals: tuple[Interval, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.figure}"

    @property
    def figure(self) -> str:
        """The value with its interval: "50.0% [25.0%, 75.0%]"."""
        interval = self.intervals[0] if self.intervals else None
        written = self.write(self.value)
        return written if interval is None else f"{written} [{self.write(interval.low)}, {self.write(interval.high)}]"

    @property
    def bounds(self) -> str:
        """The first interval: "25.0% to 75.0%"; "" without one."""
        return f"{self.write(self.intervals[0].low)} to {self.write(self.intervals[0].high)}" if self.intervals else ""

    def write(self, value: float) -> str:
        """A value in the unit of the metric."""
        return f"{value:.1%}" if self.unit == "fraction" else f"{value:.3f}"


METRIC_HEADINGS: Final = ("metric", "value", "95% interval", "videos")


def metric_row(metric: Metric) -> tuple[str, ...]:
    """The cells of a metric under `METRIC_HEADINGS`."""
    between = f"{metric.bounds}, {metric.intervals[0].method}" if metric.intervals else ""
    return metric.name, metric.write(metric.value), between, f"{metric.count:,}"


class SetRecord(Record):
    """The set: `checksum` is that of the relative paths, labels, parts and split of its videos, and of its classes."""

    name: str
    train: int
    test: int
    classes: int
    split: str
    checksum: str


class ModelRecord(Record):
    """The weights and settings that were measured.

    Attributes:
        name: of the run or file.
        weights: checksum of the values of all weights; it does not depend on the format of their file.
        recipe: name of the recipe, if known. settings: checksum of the whole configuration.
    """

    name: str
    weights: str
    recipe: str | None
    settings: str
    seed: int


class VideosRecord(Record):
    """How many videos were to be judged and how many were, and which of them could not be: path -> reason."""

    expected: int
    judged: int
    missing: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = Field(default_factory=dict)

    @property
    def incomplete(self) -> str:
        """ "incomplete (14 of 16)", or "" if every video was judged."""
        return "" if self.judged == self.expected else f"incomplete ({self.judged:,} of {self.expected:,})"


class Result(Record, Tabled):
    """One result.

    Attributes:
        model: None for results about videos alone.
        protocol: every setting that two figures must share to be comparable, such as the numbers of views.
        details: what only this kind of result has.
        cost: of the measurement, in units that do not depend on the machine.
    """

    format: Literal["mgm-result-1"] = FORMAT
    kind: Kind
    set: SetRecord
    model: ModelRecord | None = None
    protocol: Mapping[str, SettingValue] = Field(default_factory=dict)
    videos: VideosRecord
    metrics: tuple[Metric, ...]
    details: Mapping[str, Any] = Field(default_factory=dict)
    versions: Mapping[str, str] = Field(default_factory=lambda: dict(versions()))
    cost: Mapping[str, int | float] = Field(default_factory=dict)

    def __repr__(self) -> str:
        state = f", {self.videos.incomplete}" if self.videos.incomplete else ""
        return f"Result({self.kind} on {self.set.name}: {'; '.join(map(str, self.metrics))}{state})"

    def as_table(self) -> Table:
        """The metrics with their intervals."""
        named = "" if self.model is None else f" of {self.model.name}"
        state = f", {self.videos.incomplete}" if self.videos.incomplete else ""
        rows = tuple(metric_row(metric) for metric in self.metrics)
        return Table(f"{self.kind}{named} on {self.set.name}{state}", METRIC_HEADINGS, rows)

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for results of which the newer one replaces the older."""
        return self.kind, self.set.checksum, tuple(sorted(self.protocol.items()))

    def metric(self, name: str) -> Metric:
        """The metric of a name. Raises KeyError."""
        return {metric.name: metric for metric in self.metrics}[name]


def result_file(run: str | Path, name: str) -> Path:
    """Path of the results about `run`: in its folder; or beside a file of external weights, under the name of that file.

    Those about one checkpoint of a run are in the run's folder, under the checkpoint's name: its own is removed in time.
    """
    path = Path(run)
    if (path / STATE_FILE).is_file():
        return run_of(path) / f"{path.resolve().name}.{name}"
    if path.is_dir():
        return path / name
    return path.with_name(name if contains_settings(path) else f"{path.name}.{name}")


def asked_set(videos: VideoSet) -> dict[str, Any]:
    """The set of a run for its `run.json`: what was asked for, and what was found."""
    return {"asked": _text(videos.root), **describe_set(videos).model_dump(mode="json")}


def describe_set(videos: VideoSet) -> SetRecord:
    """The record of a set."""
    digest = blake2b(fingerprint(videos.items).numpy().tobytes(), digest_size=8)
    digest.update(json.dumps([len(videos.train), videos.classes]).encode())
    name = ", ".join(Path(part).name or Path(part).resolve().name for part in videos.root.split(","))
    return SetRecord(
        name=_text(name),
        train=len(videos.train),
        test=len(videos.test),
        classes=len(videos.classes),
        split=_text(videos.split_rule),
        checksum=digest.hexdigest(),
    )


def describe_model(
    run: str | Path, model: nn.Module, config: Config, *, recipe: str | Path | None = None
) -> ModelRecord:
    """The record of a model, as opened from `run` with the settings `config`."""
    settings = blake2b(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode(), digest_size=8)
    return ModelRecord(
        name=_text(Path(run).name or Path(run).resolve().name),
        weights=weights_checksum(model),
        recipe=None if recipe is None else _text(Path(recipe).name),
        settings=settings.hexdigest(),
        seed=config.seed,
    )


def weights_checksum(model: nn.Module) -> str:
    """Checksum of the names, types, shapes and values of all weights: 16 hexadecimal digits."""
    digest = blake2b(digest_size=8)
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def describe_videos(videos: VideoSet, *, judged: int, unreadable: Mapping[str, str]) -> VideosRecord:
    """The record of the test videos of a set: the number of those that were judged, and the reasons of the others."""
    return VideosRecord(
        expected=len(videos.test) + len(videos.missing),
        judged=judged,
        missing=tuple(map(_text, videos.missing)),
        unreadable={_text(path): _text(message) for path, message in sorted(unreadable.items())},
    )


def read_results(file: Path) -> list[Result]:
    """The results in a file, the newest first; none if there is no file.

    Raises:
        ModelError: the file is damaged, or an earlier release wrote it.
    """
    try:
        if not file.exists():
            return []
        return [Result.model_validate_json(json.dumps(result)) for result in read_json(file.read_bytes())[_RESULTS]]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise damaged_results(file, f"{place}: {first['msg']}") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged_results(file, in_words(error)) from error


def check_results(file: Path) -> None:
    """Raise, before the work, what would keep its result from being written: ModelError or FileError as `keep_result`."""
    read_results(file)
    if on_first_rank():
        check_writable(file)


def keep_result(file: Path, result: Result) -> None:
    """Write a result beside those on other sets or with other protocols.

    One that it replaces, of other weights or versions, is appended to a file beside it first: `probe.earlier.jsonl`. Commands that
    measure on several sets at once write one after the other.

    Raises:
        ModelError: the file is damaged. FileError: it cannot be written.
    """
    with locked(file, wait_seconds=BRIEF_WAIT_SECONDS):
        found = read_results(file)
        others = [other for other in found if other.key != result.key]
        replaced = [other for other in found if other.key == result.key and other != result]
        if replaced:
            with Journal(file.with_suffix(".earlier.jsonl")) as journal:
                for other in replaced:
                    journal.append(other.model_dump(mode="json"))
        content = {_RESULTS: [each.model_dump(mode="json") for each in (result, *others)]}
        with atomic_write(file) as opened:
            opened.write(json_document(content))


def damaged_results(file: Path, cause: str) -> ModelError:
    """The error of a file that does not contain results."""
    found = f"cannot be read as results of this release of mgm ({cause})"
    return ModelError(file, found, advice="delete it, and measure again", reason="malformed")


def _text(name: str) -> str:
    """A name as valid text: those of files need not be."""
    return name.encode("utf-8", "backslashreplace").decode()
