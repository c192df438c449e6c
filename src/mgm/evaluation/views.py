"""Features and predictions of a model for every view of every video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.data.loading.dataset import ViewPlaces, Views, ViewSet
from mgm.data.loading.loader import read_views
from mgm.errors import DataError, ModelError
from mgm.evaluation.pooling import TokenPooling, pool_tokens
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.token_file import TokenFile
from mgm.models import Encoder

_VIDEOS_AT_ONCE = 16
"""Videos whose views are in memory at the same time."""

_CLIPS_AT_ONCE = 32
"""Clips per forward pass, for any number of views per video."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The pooled tokens of every view of every video.

    Attributes:
        pooled: float32 (V, dim), V views in the order of their videos; see `pool_tokens`.
        owner: int64 (V,), position in `label` of the video of each view.
        label: int64 (videos,).
        row: int64 (V,), the row of each view in a `TokenFile`.
        logits: float32 (V, classes) of the attentive probe; None without one.
        unreadable: path -> message, of videos that could not be read; they have no views and no label here.
        index: indexes of these videos in the set, ascending.
        places: of the views in their videos; None for features from elsewhere.
    """

    pooled: Tensor
    owner: Tensor
    label: Tensor
    row: Tensor
    logits: Tensor | None = None
    unreadable: dict[str, str] = field(default_factory=dict)
    index: tuple[int, ...] = ()
    places: ViewPlaces | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Class probabilities of videos, averaged over their views.

    Attributes:
        probability: float64 (videos, classes).
        label: int64 (videos,).
        unreadable: path -> message, of videos that could not be read; they are left out, not counted as wrong.
        index: indexes of the others in the set, ascending.
        seconds: float64 (videos, 2), presentation times of the first and the last frame that the model saw.
    """

    probability: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64]
    unreadable: dict[str, str] = field(default_factory=dict)
    index: tuple[int, ...] = ()
    seconds: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))


def encode_views(
    encoder: Encoder,
    views: ViewSet,
    *,
    block: int | None = None,
    pooling: TokenPooling = "mean",
    tokens: TokenFile | None = None,
    probe: nn.Module | None = None,
    ranks: Ranks | None = None,
    workers: int = 0,
    timeout: float = 60,
    progress: Callable[[int], None] | None = None,
) -> Features:
    """The features of every view, from a frozen encoder. Its tokens are in memory for one batch at a time.

    Args:
        block: see `Encoder.forward`.
        pooling: of the tokens of a view into its feature, see `pool_tokens`.
        tokens: stores the tokens after a layer norm without gain and shift, the input of an attentive probe.
        probe: a trained attentive probe, which reads these tokens.
        ranks: the processes that share the views; None: this one alone.
        workers, timeout: of reading, see `mgm.data.loading.loader.batches`.
        progress: called with the number of finished videos, on the first rank.

    Raises:
        DataError: no video could be read. FileError: the tokens cannot be written.
    """
    ranks = ranks or Ranks()
    if probe is not None:
        probe.to(ranks.device).eval()

    def features(clips: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        with ranks.autocast():
            found = encoder(clips, block=block).float()
        pooled = pool_tokens(found, pooling)
        if tokens is None and probe is None:
            return (pooled,)
        normed = F.layer_norm(found, found.shape[2:])
        if tokens is not None:
            tokens.write(rows, normed.cpu())
        return (pooled,) if probe is None else (pooled, probe(normed))

    (pooled, *logits), judged = _run(encoder, features, views, ranks, workers, timeout, progress)
    return Features(
        pooled,
        judged.owner,
        judged.label,
        judged.row,
        next(iter(logits), None),
        judged.unreadable,
        judged.index,
        judged.places,
    )


def predict_views(
    classifier: nn.Module,
    views: ViewSet,
    *,
    ranks: Ranks | None = None,
    workers: int = 0,
    timeout: float = 60,
    progress: Callable[[int], None] | None = None,
) -> Predictions:
    """Softmax of every view, averaged over the views of a video (the multi-view protocol: K temporal x 3 spatial).

    Arguments and errors as in `encode_views`.
    """
    ranks = ranks or Ranks()

    def logits(clips: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        with ranks.autocast():
            return (classifier(clips).float(),)

    (output,), judged = _run(classifier, logits, views, ranks, workers, timeout, progress)
    probability = average_views(output.softmax(-1), judged.owner, len(judged.label))
    times = judged.places.pts_seconds
    of_video = [times[(judged.owner == video).numpy()] for video in range(len(judged.label))]
    seconds = np.array([[views.min(), views.max()] for views in of_video])
    return Predictions(probability, judged.label.numpy(), judged.unreadable, judged.index, seconds)


def average_views(probability: Tensor, owner: Tensor, videos: int) -> npt.NDArray[np.float64]:
    """Mean over the views of each video: (V, classes), (V,) -> float64 (videos, classes)."""
    total = torch.zeros(videos, probability.shape[1], dtype=torch.float64).index_add_(0, owner, probability.double())
    count = torch.bincount(owner, minlength=videos)[:, None]
    result: npt.NDArray[np.float64] = (total / count).numpy()
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """Which views a model has seen; the attributes are those of `Features`."""

    owner: Tensor
    label: Tensor
    row: Tensor
    unreadable: dict[str, str]
    index: tuple[int, ...]
    places: ViewPlaces


@dataclass(frozen=True, slots=True, eq=False)
class _Video:
    """What a model returned for the views of a video: tensors with a first dimension of the views."""

    index: int
    label: int
    row: Tensor
    outputs: tuple[Tensor, ...]
    places: ViewPlaces


_Forward = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""From clips on the device and their rows to float32 outputs with one row per clip."""


@torch.no_grad()
def _run(
    model: nn.Module,
    forward: _Forward,
    views: ViewSet,
    ranks: Ranks,
    workers: int,
    timeout: float,
    progress: Callable[[int], None] | None,
) -> tuple[tuple[Tensor, ...], _Judged]:
    """The outputs for all views, on the CPU of every rank. The model then returns to its device.

    Each rank runs the model on its groups of videos.
    """
    home = next((p.device for p in model.parameters()), ranks.device)
    model.to(ranks.device).eval()
    mine = ranks.share(len(views), group=_VIDEOS_AT_ONCE)
    read = read_views(views.part(mine), workers=workers, timeout=timeout)
    videos: list[_Video] = []
    unreadable: dict[str, str] = {}
    try:
        while group := list(islice(read, _VIDEOS_AT_ONCE)):
            unreadable |= {views.items[mine[v.index]].path: v.problem for v in group if v.problem is not None}
            readable = [(mine[v.index], v) for v in group if v.problem is None]
            videos += _outputs(forward, readable, views, ranks.device)
            if progress is not None and ranks.is_first:
                progress(min((len(videos) + len(unreadable)) * ranks.count, len(views)))
    finally:
        model.to(home)
    return _joined(ranks.gather((videos, unreadable)), len(views))


def _outputs(
    forward: _Forward, group: Sequence[tuple[int, Views]], views: ViewSet, device: torch.device
) -> list[_Video]:
    """Run a model on the views of a group of videos, given with their indexes in the set."""
    if not group:
        return []
    clips = [clip for _, video in group for clip in video.video]
    each = [torch.arange(len(video.video)) + index * views.most for index, video in group]
    all_rows = torch.cat(each)
    batches = [slice(first, first + _CLIPS_AT_ONCE) for first in range(0, len(clips), _CLIPS_AT_ONCE)]
    parts = [forward(torch.stack(clips[batch]).to(device), all_rows[batch]) for batch in batches]
    outputs = [torch.cat([output.cpu() for output in found]) for found in zip(*parts, strict=True)]
    if not all(output.isfinite().all() for output in outputs):  # the argmax of NaNs is class 0
        raise ModelError(
            views.items[group[0][0]].path,
            "the model returned NaN or infinity",
            advice="check whether its training diverged",
            reason="diverged",
        )
    by_video = zip(*(torch.split(output, [len(rows) for rows in each]) for output in outputs), strict=True)
    return [  # cloned, as what is sent to other ranks would include the whole group
        _Video(index, video.label, rows, tuple(output.clone() for output in found), video.places)
        for (index, video), rows, found in zip(group, each, by_video, strict=True)
        if video.places is not None  # the videos of a group were read
    ]


def _joined(parts: Sequence[tuple[list[_Video], dict[str, str]]], count: int) -> tuple[tuple[Tensor, ...], _Judged]:
    """The videos of all ranks, in the order of the set, which has `count`."""
    videos = sorted((video for found, _ in parts for video in found), key=lambda video: video.index)
    unreadable = {path: message for _, found in parts for path, message in found.items()}
    if not videos:
        first = next(iter(unreadable.values()), "the set is empty")
        raise DataError(
            "", f"none of {count} videos could be read", advice=f"the first: {first}", reason="too_many_failures"
        )
    lengths = torch.tensor([len(video.row) for video in videos])
    judged = _Judged(
        torch.arange(len(videos)).repeat_interleave(lengths),
        torch.tensor([video.label for video in videos]),
        torch.cat([video.row for video in videos]),
        unreadable,
        tuple(video.index for video in videos),
        ViewPlaces.joined([video.places for video in videos]),
    )
    outputs = zip(*(video.outputs for video in videos), strict=True)
    return tuple(torch.cat(output) for output in outputs), judged
