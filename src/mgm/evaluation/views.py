"""Features and predictions of a model for every view of every video."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.data.loading.loader import read_views
from mgm.data.loading.views import ViewPlaces, Views, ViewSet
from mgm.errors import ModelError
from mgm.evaluation.feature_blocks import FeatureBlocks, SeenViews
from mgm.evaluation.feature_journal import FeatureJournal, SeenGroup, SeenVideo
from mgm.evaluation.pooling import TokenPooling, pool_tokens
from mgm.evaluation.prediction_blocks import PredictionBlocks, Predictions
from mgm.evaluation.prediction_journal import PredictedGroup, PredictionJournal, VideoPrediction
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.token_file import TokenFile
from mgm.models import Encoder
from mgm.models.networks.network import VideoNetwork
from mgm.models.tokens import tokens_of

GroupT = TypeVar("GroupT", contravariant=True)


class _Blocks(Protocol[GroupT]):
    def add(self, group: GroupT) -> None: ...


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


def encode_views(
    encoder: Encoder | VideoNetwork,
    views: ViewSet,
    *,
    block: int | None = None,
    pooling: TokenPooling = "mean",
    tokens: TokenFile | None = None,
    probe: nn.Module | None = None,
    journal: FeatureJournal | None = None,
    ranks: Ranks | None = None,
    workers: int = 0,
    timeout: float = 60,
    progress: Callable[[int], None] | None = None,
) -> Features | None:
    """The features of every view, from a frozen encoder, on the first rank; None on the others.

    Tokens are in memory for one batch at a time.

    Args:
        block: see `Encoder.forward`; None for a network, which has tokens before its pooling alone.
        pooling: of the tokens of a view into its feature, see `pool_tokens`.
        tokens: stores the tokens after a layer norm without gain and shift, the input of an attentive probe.
        probe: a trained attentive probe, which reads these tokens.
        journal: keeps the finished groups of videos, and contains those of an earlier call of the same that was stopped. Not with
            `tokens`: their file would lack the videos of the earlier call.
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
        """The pooled tokens of clips, and the logits of the probe if there is one."""
        with ranks.autocast():
            found = tokens_of(encoder, clips, block).float()
        pooled = pool_tokens(found, pooling)
        if tokens is None and probe is None:
            return (pooled,)
        normed = F.layer_norm(found, found.shape[2:])
        if tokens is not None:
            tokens.write(rows, normed.cpu())
        return (pooled,) if probe is None else (pooled, probe(normed))

    seen = _outputs_of(_Pass(encoder, features, views, ranks, workers, timeout, progress), journal)
    if seen is None:
        return None
    pooled, *logits = seen.outputs
    return Features(
        pooled=pooled,
        owner=seen.owner,
        label=seen.label,
        row=seen.row,
        logits=next(iter(logits), None),
        unreadable=seen.unreadable,
        index=seen.index,
        places=seen.places,
    )


def predict_views(
    classifier: nn.Module,
    views: ViewSet,
    *,
    journal: PredictionJournal | None = None,
    ranks: Ranks | None = None,
    workers: int = 0,
    timeout: float = 60,
    progress: Callable[[int], None] | None = None,
) -> Predictions:
    """Softmax of every view, averaged over the views of a video (the multi-view protocol: K temporal x 3 spatial).

    The first rank returns the predictions: on the others the result has no videos.

    Args:
        journal: keeps the finished groups of videos, and contains those of an evaluation of the same that was stopped; None: a
            stopped one starts again.

    Other arguments and errors as in `encode_views`.
    """
    ranks = ranks or Ranks()

    def logits(clips: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
        """The logits of clips, float32."""
        with ranks.autocast():
            return (classifier(clips).float(),)

    blocks = PredictionBlocks()
    finished = set() if journal is None else ranks.from_first(lambda: _add_finished(blocks, journal.read()))
    one_pass = _Pass(classifier, logits, views, ranks, workers, timeout, progress)
    with ExitStack() as stack:
        append = None if journal is None else stack.enter_context(journal.opened(ranks.rank))
        for number, group in one_pass.groups(skip=finished):
            predicted = PredictedGroup(tuple(map(_prediction, group.videos)), group.unreadable)
            blocks.add(predicted)
            if append is not None:
                append(number, predicted)
    return blocks.join(ranks, len(views))


def _prediction(video: SeenVideo) -> VideoPrediction:
    (logits,) = video.outputs
    probability = average_views(logits.softmax(-1), torch.zeros(len(logits), dtype=torch.int64), 1)[0]
    times = video.places.pts_seconds
    return VideoPrediction(video.index, video.label, len(logits), probability, (float(times.min()), float(times.max())))


def average_views(probability: Tensor, owner: Tensor, videos: int) -> npt.NDArray[np.float64]:
    """Mean over the views of each video: (V, classes), (V,) -> float64 (videos, classes)."""
    total = torch.zeros(videos, probability.shape[1], dtype=torch.float64).index_add_(0, owner, probability.double())
    count = torch.bincount(owner, minlength=videos)[:, None]
    result: npt.NDArray[np.float64] = (total / count).numpy()
    return result


_Forward = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""From clips on the device and their rows to float32 outputs with one row per clip."""


def _outputs_of(one_pass: _Pass, journal: FeatureJournal | None) -> SeenViews | None:
    """The outputs for all views, on the CPU of the first rank; None on the others."""
    views, ranks = one_pass.views, one_pass.ranks
    blocks = FeatureBlocks()
    finished = set() if journal is None else ranks.from_first(lambda: _add_finished(blocks, journal.read(views.items)))
    for number, group in one_pass.groups(skip=finished):
        if journal is not None:
            journal.keep(number, group)
        blocks.add(group)
    return blocks.join(ranks, len(views))


def _add_finished(blocks: _Blocks[GroupT], finished: Iterable[tuple[int, GroupT]]) -> set[int]:
    """Add the numbered groups of a journal to the blocks; returns their numbers."""
    numbers: set[int] = set()
    for number, group in finished:
        if number not in numbers:
            blocks.add(group)
        numbers.add(number)
    return numbers


@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass of a model over views.

    Attributes:
        forward: calls the model on a batch.
        workers, timeout: of reading, see `mgm.data.loading.loader.batches`.
        progress: called with the number of finished videos, on the first rank.
    """

    model: nn.Module
    forward: _Forward
    views: ViewSet
    ranks: Ranks
    workers: int
    timeout: float
    progress: Callable[[int], None] | None

    def groups(self, *, skip: Collection[int]) -> Iterator[tuple[int, SeenGroup]]:
        """Run the model on this rank's groups of videos, except those of the numbers `skip`. It then returns to its device.

        Groups stay whole, so that a model sees the same batches, and rounds the same way, for any number of ranks and after a stop.
        """
        views, ranks = self.views, self.ranks
        home = next((p.device for p in self.model.parameters()), ranks.device)
        self.model.to(ranks.device).eval()
        size, count = _VIDEOS_AT_ONCE, len(views)
        members = {number: range(number * size, min((number + 1) * size, count)) for number in range(-(-count // size))}
        numbers = ranks.share([number for number in members if number not in skip])
        indexes = [index for number in numbers for index in members[number]]
        read = read_views(views.part(indexes), workers=self.workers, timeout=self.timeout)
        done = sum(len(members[number]) for number in skip)
        try:
            for number in numbers:
                group = list(zip(members[number], islice(read, len(members[number])), strict=True))
                unreadable = {views.items[index].path: v.problem for index, v in group if v.problem is not None}
                with torch.no_grad():  # not around the generator, whose caller may train
                    videos = _outputs_of_group(
                        self.forward, [(i, v) for i, v in group if v.problem is None], views, ranks.device
                    )
                yield number, SeenGroup(videos, unreadable)
                done += len(group) * ranks.count
                if self.progress is not None and ranks.is_first:
                    self.progress(min(done, count))
        finally:
            self.model.to(home)


def _outputs_of_group(
    forward: _Forward, group: Sequence[tuple[int, Views]], views: ViewSet, device: torch.device
) -> list[SeenVideo]:
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
    return [
        SeenVideo(index, video.label, rows, found, video.places)
        for (index, video), rows, found in zip(group, each, by_video, strict=True)
        if video.places is not None  # the videos of a group were read
    ]
