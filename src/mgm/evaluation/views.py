"""Running a model over every view of every video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mgm.data.loading.dataset import Views, ViewSet
from mgm.data.loading.loader import read_views
from mgm.errors import DataError, ModelError
from mgm.models import Encoder

BANK_LIMIT = 8 * 2**30
"""Bytes of tokens that are kept in memory at most."""

GROUP = 16
"""Videos whose views are held at once."""

CLIPS = 32
"""Clips that go through a model at once, however many views a video has."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenBank:
    """The tokens of every view of every video.

    Attributes:
        tokens: float32 (V, N, dim), V views in the order of their videos.
        owner: int64 (V,), position in `label` of the video that a view belongs to.
        label: int64 (videos,).
        problems: path -> message of videos that could not be read; they have no views and no label here.
        index: which of the videos that were asked for these are, ascending.
    """

    tokens: Tensor
    owner: Tensor
    label: Tensor
    problems: dict[str, str] = field(default_factory=dict)
    index: tuple[int, ...] = ()

    @property
    def mean(self) -> Tensor:
        """float32 (V, dim): mean over the tokens of a view."""
        return self.tokens.mean(1)


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Class probabilities of videos, averaged over their views.

    Attributes:
        probability: float64 (videos, classes).
        label: int64 (videos,).
        problems: path -> message of videos that could not be read; they count as nothing, not as wrong.
    """

    probability: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64]
    problems: dict[str, str] = field(default_factory=dict)


def encode_views(
    encoder: Encoder,
    views: ViewSet,
    *,
    device: torch.device | None = None,
    workers: int = 0,
    timeout: float = 60,
    progress: Callable[[int], None] | None = None,
) -> TokenBank:
    """The tokens of every view, from a frozen encoder.

    Args:
        workers, timeout: of reading, see `mgm.data.loading.loader.batches`.
        progress: told how many videos are done.

    Raises:
        DataError: they do not fit into memory, or no video could be read.
    """
    tokens: list[Tensor] = []
    found = read_views(views, workers=workers, timeout=timeout)
    owner, label, problems, index = _run(encoder, views, found, tokens.append, device, progress)
    return TokenBank(torch.cat(tokens), owner, label, problems, index)


def predict_views(
    classifier: nn.Module,
    views: ViewSet,
    *,
    device: torch.device | None = None,
    workers: int = 0,
    timeout: float = 60,
    progress: Callable[[int], None] | None = None,
) -> Predictions:
    """Softmax of every view, averaged over the views of a video (the multi-view protocol: K temporal x 3 spatial).

    Arguments as of `encode_views`.
    """
    probability: list[Tensor] = []

    def keep(logits: Tensor) -> None:
        probability.append(logits.softmax(-1))

    found = read_views(views, workers=workers, timeout=timeout)
    owner, label, problems, _ = _run(classifier, views, found, keep, device, progress)
    return Predictions(average_views(torch.cat(probability), owner, len(label)), label.numpy(), problems)


def average_views(probability: Tensor, owner: Tensor, videos: int) -> npt.NDArray[np.float64]:
    """Mean over the views of each video: (V, classes), (V,) -> float64 (videos, classes)."""
    total = torch.zeros(videos, probability.shape[1], dtype=torch.float64).index_add_(0, owner, probability.double())
    count = torch.bincount(owner, minlength=videos)[:, None]
    result: npt.NDArray[np.float64] = (total / count).numpy()
    return result


@torch.no_grad()
def _run(
    model: nn.Module,
    views: ViewSet,
    found: Iterator[Views],
    keep: Callable[[Tensor], None],
    device: torch.device | None,
    progress: Callable[[int], None] | None,
) -> tuple[Tensor, Tensor, dict[str, str], tuple[int, ...]]:
    """Feed all views through a model in batches of videos; returns (owner, label, problems, index). It goes back where it was."""
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    home = next((p.device for p in model.parameters()), device)
    model = model.to(device).eval()
    owner: list[int] = []
    label: list[int] = []
    index: list[int] = []
    problems: dict[str, str] = {}
    kept = 0
    try:
        while group := list(islice(found, GROUP)):
            for item in group:
                if item.problem is not None:
                    problems[views.items[item.index].path] = item.problem
            readable = [item for item in group if item.problem is None]
            if not readable:
                continue
            clips = torch.cat([item.video for item in readable])
            output = torch.cat([model(part.to(device)).float().cpu() for part in torch.split(clips, CLIPS)])
            if not output.isfinite().all():  # the largest of nothing but NaN is class 0
                raise ModelError(
                    f"{views.items[readable[0].index].path}: the model gives values that are no numbers, expected finite ones; "
                    "are its weights those of a run that diverged?"
                )
            kept += output.nbytes
            if kept > BANK_LIMIT:
                raise DataError(
                    f"the features of {len(owner)} views take {kept / 2**30:.1f} GB, expected at most "
                    f"{BANK_LIMIT / 2**30:.0f}; probe fewer videos, or take fewer views (probe.clips_per_video, "
                    "probe.temporal_views)"
                )
            keep(output)
            for item in readable:
                owner += [len(label)] * len(item.video)
                label.append(item.label)
                index.append(item.index)
            if progress is not None:
                progress(len(label) + len(problems))
    finally:
        model.to(home)
    if not label:
        raise DataError(
            f"none of {len(views)} videos could be read; the first: {next(iter(problems.values()), 'the set is empty')}"
        )
    return torch.tensor(owner), torch.tensor(label), problems, tuple(index)
