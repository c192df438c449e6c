"""The most probable classes of videos that need no labels: files, folders, URLs, long videos in windows, standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from av.video.frame import VideoFrame

from mgm.data.annotations import load_items, read_labels
from mgm.data.clips.images import read_any
from mgm.data.clips.source import ClipSource
from mgm.data.items import VideoItem, part_length
from mgm.data.loading.tensors import to_video
from mgm.data.unreadable import READ_ERRORS, Unreadable
from mgm.errors import ConfigError, VideoError
from mgm.evaluation.probing import evaluation_views, video_progress
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.views import predict_views
from mgm.files.atomic import atomic_write
from mgm.files.table import TableRow, check_table_suffix, write_table
from mgm.models import Classifier
from mgm.models.networks.network import VideoNetwork
from mgm.notebook import Table, Tabled
from mgm.training.checkpoint import open_classifier
from mgm.training.config import Config
from mgm.training.run import file_source, reading_workers
from mgm.video.clip.rgb import FrameConverter
from mgm.video.container.stream import OpenVideo, decode_all, open_pipe

_RATE = 25.0
"""Assumed frames per second of a video without presentation times."""

_RATE_FRAMES = 25
"""Frames over which the rate is measured: containers round their times, some to a millisecond."""

_COLUMNS = {"path": str, "begin": float, "end": float, "rank": int, "class": str, "probability": float}


@dataclass(frozen=True, slots=True)
class Prediction:
    """The most probable classes of a video, or of a window of it.

    Attributes:
        path: of the video.
        begin, end: presentation times in seconds of the first and the last frame that the model saw; NaN: unknown.
        classes: names, the most probable one first.
        probabilities: of these classes, averaged over the views.
    """

    path: str
    begin: float
    end: float
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PredictionReport(Tabled):
    """The predictions of several videos, in their order; of several processes the first one alone has them.

    Attributes:
        unreadable: path -> message, of videos that could not be read.
    """

    predictions: tuple[Prediction, ...]
    unreadable: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"PredictionReport({len(self.predictions)} predictions, {len(self.unreadable)} unreadable videos)"

    def as_table(self) -> Table:
        """The most probable classes of each video or window."""
        rows = tuple(
            (
                Path(found.path).name,
                "" if np.isnan(found.begin) else f"{found.begin:.2f} to {found.end:.2f}",
                ", ".join(f"{name} {p:.0%}" for name, p in zip(found.classes, found.probabilities, strict=True)),
            )
            for found in self.predictions
        )
        return Table(f"{len(self.unreadable)} unreadable videos", ("video", "seconds", "classes"), rows)

    def save(self, path: str | Path) -> None:
        """Write a table with a row per prediction and class, as .csv, .jsonl or .parquet.

        Raises:
            FileError: another suffix, or the file cannot be written.
        """
        path = Path(path)
        check_table_suffix(path)
        with atomic_write(path) as file:
            write_table(file, path.suffix, _COLUMNS, self._rows())

    def _rows(self) -> Iterator[TableRow]:
        for found in self.predictions:
            begin, end = (None if np.isnan(time) else time for time in (found.begin, found.end))
            for rank, (name, probability) in enumerate(zip(found.classes, found.probabilities, strict=True), start=1):
                values = (found.path, begin, end, rank, name, probability)
                yield dict(zip(_COLUMNS, values, strict=True))


def predict(
    run: str | Path,
    videos: Sequence[str | Path],
    *,
    top: int = 5,
    window: float | None = None,
    overrides: tuple[str, ...] = (),
    recipe: str | Path | None = None,
    labels: str | Path | None = None,
    source: ClipSource | None = None,
    progress: Callable[[str], None] | None = None,
) -> PredictionReport:
    """The `top` most probable classes of each video, from the views of `mgm.evaluate`.

    Args:
        run: the folder of `mgm finetune`, or an external classifier (see `mgm.load_pretrained`); classes without names are numbers.
        videos: files, URLs, folders, annotation files or specifications of sets, whose labels are ignored.
        window: seconds; each video is divided into windows of this length, the last one up to half as long again, and every window
            is predicted by itself. None: the video as a whole.
        labels: file with the names of its classes, where the weights have none.
        overrides, recipe, progress: as in `mgm.probe`.

    Raises:
        MgmError: the run does not exist or is not a classifier, `window` is not positive, or no video can be read.
    """
    _check_window(window)
    classifier, config = open_classifier(run, overrides, recipe=recipe, labels=read_labels(labels))
    source = source or file_source(config)
    items: Sequence[VideoItem] = tuple(item for given in videos for item in load_items(str(given)))
    unreadable: dict[str, str] = {}
    if window is not None:
        items, unreadable = _divide(items, source, window)
    if len(items) == 1 and window is None:  # its own error says more than a count
        part_length(items[0], source.info(items[0].path))
    sampler = config.sampler(config.finetune.sampling, config.finetune.sampling_rule)
    views = evaluation_views(items, config, source, sampler)
    found = predict_views(
        classifier,
        views,
        ranks=Ranks(config.probe.precision),
        workers=reading_workers(config, source) if len(items) > 1 else 0,
        timeout=config.data.read_timeout,
        progress=video_progress(progress, "classifying", len(views)),
    )
    names = class_names(classifier)
    paths = (items[index].path for index in found.index)
    rows = zip(paths, found.seconds.tolist(), found.probability, strict=True)
    predictions = tuple(_prediction(path, begin, end, row, names, top) for path, (begin, end), row in rows)
    return PredictionReport(predictions, unreadable | found.unreadable)


def predict_stream(
    run: str | Path,
    stream: BinaryIO,
    *,
    top: int = 5,
    window: float | None = None,
    overrides: tuple[str, ...] = (),
    recipe: str | Path | None = None,
    labels: str | Path | None = None,
    name: str = "standard input",
) -> Iterator[Prediction]:
    """The predictions of a video that arrives in order, each as soon as its window has arrived.

    Args:
        stream: a binary file object of a container that can be read without seeking, such as yuv4mpegpipe, Matroska or MPEG-TS.
        window: seconds; None: the length of a clip of the model. What is left at the end is predicted if it is half a window, or
            all there is.
        top, run, overrides, recipe, labels: as in `predict`. The views are centre crops.

    Raises:
        MgmError: as `predict`. VideoError: not a video, or a damaged one.
    """
    _check_window(window)
    classifier, config = open_classifier(run, overrides, recipe=recipe, labels=read_labels(labels))
    if config.data.input != "pixels":
        advice = "give the file itself: motion is read from it"
        raise ConfigError("data.input", f"found {config.data.input}", "pixels", advice, reason="unsupported")
    classify = _WindowClassifier(classifier, config, name, top)
    with open_pipe(stream, name) as video:
        rate = video.rate or _RATE
        length = config.data.frames * config.data.stride if window is None else max(round(window * rate), 1)
        convert = FrameConverter(config.data.size, "centre", name)
        frames: list[npt.NDArray[np.uint8]] = []
        times: list[float] = []
        first = True
        for number, picture in enumerate(_in_order(video)):
            frames.append(convert(picture))
            times.append(video.seconds(number, picture.pts))
            if len(frames) == length:
                yield classify(frames, times)
                frames, times, first = [], [], False
        if frames and (first or 2 * len(frames) >= length):
            yield classify(frames, times)


def _in_order(video: OpenVideo) -> Iterator[VideoFrame]:
    """The pictures of a stream.

    Raises:
        VideoError: it is damaged, or needs to be read from its end, such as an MP4 whose index is there.
    """
    pictures = decode_all(video)
    try:
        first = next(pictures)
    except VideoError as error:
        raise error.advising(
            "or give the file itself: a stream must be readable without seeking, such as Matroska or MPEG-TS"
        ) from error
    yield from chain([first], pictures)


def _check_window(seconds: float | None) -> None:
    """Raise ConfigError for a window without length."""
    if seconds is not None and not seconds > 0:
        raise ConfigError("window", f"found {seconds} seconds", "more than 0", reason="invalid_value")


class _WindowClassifier:
    """Predicts the classes of windows of a video, which are in memory.

    Args:
        path: the name of the video.
        top: number of classes.
    """

    def __init__(self, classifier: Classifier | VideoNetwork, config: Config, path: str, top: int) -> None:
        self._ranks = Ranks(config.probe.precision)
        self._classifier = classifier.to(self._ranks.device).eval()
        self._sampler = config.sampler(config.finetune.sampling, config.finetune.sampling_rule)
        self._views = config.probe.temporal_views
        self._names, self._path, self._top = class_names(classifier), path, top

    @torch.no_grad()
    def __call__(self, frames: Sequence[npt.NDArray[np.uint8]], times: Sequence[float]) -> Prediction:
        """The prediction of a window. frames: uint8 (H, W, 3) each. times: of each, in seconds."""
        chosen = self._sampler.views(len(frames), count=self._views)
        clips = torch.stack([to_video(np.stack([frames[i] for i in view])) for view in chosen])
        with self._ranks.autocast():
            probability = self._classifier(clips.to(self._ranks.device)).float().softmax(-1).double().mean(0)
        seen = [times[i] for view in chosen for i in view]
        return _prediction(self._path, min(seen), max(seen), probability.cpu().numpy(), self._names, self._top)


def class_names(classifier: Classifier | VideoNetwork) -> tuple[str, ...]:
    """The names of the classes; their numbers if the model does not contain names."""
    return classifier.labels or tuple(str(number) for number in range(classifier.head.out_features))


def _prediction(
    path: str, begin: float, end: float, probability: npt.NDArray[np.float64], names: Sequence[str], top: int
) -> Prediction:
    best = np.argsort(-probability, kind="stable")[:top].tolist()
    return Prediction(path, begin, end, tuple(names[i] for i in best), tuple(float(probability[i]) for i in best))


def _divide(
    items: Sequence[VideoItem], source: ClipSource, seconds: float
) -> tuple[Sequence[VideoItem], dict[str, str]]:
    """The windows of all items, and path -> message of the videos that could not be read.

    Raises:
        VideoError: the only video cannot be read.
    """
    windows: list[VideoItem] = []
    unreadable: dict[str, str] = {}
    for item in items:
        try:
            total = part_length(item, source.info(item.path))
            length = max(round(seconds * _frame_rate(item.path)), 1)
        except READ_ERRORS as error:
            if len(items) == 1 and isinstance(error, VideoError):
                raise
            unreadable[item.path] = Unreadable.from_error(item.path, error).message
            continue
        edges = [item.start + length * number for number in range(max(round(total / length), 1))]
        windows += [replace(item, start=a, end=b) for a, b in pairwise([*edges, item.start + total])]
    return tuple(windows), unreadable


def _frame_rate(path: str) -> float:
    """Frames per second at the beginning of a video."""
    times = read_any(path, frames=_RATE_FRAMES, stride=1, size=8, motion=None).pts_seconds
    times = np.unique(times[np.isfinite(times)])
    return (len(times) - 1) / float(times[-1] - times[0]) if len(times) > 1 else _RATE
