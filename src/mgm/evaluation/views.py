"""Features and predictions of a model for every view of every video."""

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

_BANK_LIMIT = 8 * 2**30
"""Maximum number of bytes of tokens in memory."""

_VIDEOS_AT_ONCE = 16
"""Videos whose views are in memory at the same time."""

_CLIPS_AT_ONCE = 32
"""Clips per forward pass, for any number of views per video."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenBank:
    """The tokens of every view of every video.

    Attributes:
        tokens: float32 (V, N, dim), V views in the order of their videos.
        owner: int64 (V,), position in `label` of the video of each view.
        label: int64 (videos,).
        unreadable: path -> message, of videos that could not be read; they have no views and no label here.
        index: indexes of these videos in the set, ascending.
    """

    tokens: Tensor
    owner: Tensor
    label: Tensor
    unreadable: dict[str, str] = field(default_factory=dict)
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
        unreadable: path -> message, of videos that could not be read; they are left out, not counted as wrong.
    """

    probability: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64]
    unreadable: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Outputs:
    """The float32 outputs of a model for all views, on the CPU; the other attributes as in `TokenBank`."""

    outputs: Tensor
    owner: Tensor
    label: Tensor
    unreadable: dict[str, str]
    index: tuple[int, ...]


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
        progress: called with the number of finished videos.

    Raises:
        DataError: the tokens do not fit into memory, or no video could be read.
    """
    read = read_views(views, workers=workers, timeout=timeout)
    result = _run(encoder, views, read, device, progress)
    return TokenBank(result.outputs, result.owner, result.label, result.unreadable, result.index)


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

    Arguments as in `encode_views`.
    """
    read = read_views(views, workers=workers, timeout=timeout)
    result = _run(classifier, views, read, device, progress)
    probability = average_views(result.outputs.softmax(-1), result.owner, len(result.label))
    return Predictions(probability, result.label.numpy(), result.unreadable)


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
    read: Iterator[Views],
    device: torch.device | None,
    progress: Callable[[int], None] | None,
) -> _Outputs:
    """Run a model on all views, in batches of videos. The model then returns to its device."""
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    home = next((p.device for p in model.parameters()), device)
    model = model.to(device).eval()
    outputs: list[Tensor] = []
    owner: list[int] = []
    label: list[int] = []
    index: list[int] = []
    unreadable: dict[str, str] = {}
    kept = 0
    try:
        while group := list(islice(read, _VIDEOS_AT_ONCE)):
            for item in group:
                if item.problem is not None:
                    unreadable[views.items[item.index].path] = item.problem
            readable = [item for item in group if item.problem is None]
            if not readable:
                continue
            clips = torch.cat([item.video for item in readable])
            output = torch.cat([model(part.to(device)).float().cpu() for part in torch.split(clips, _CLIPS_AT_ONCE)])
            if not output.isfinite().all():  # the argmax of NaNs is class 0
                raise ModelError(
                    views.items[readable[0].index].path,
                    "the model returned NaN or infinity",
                    advice="check whether its training diverged",
                    reason="diverged",
                )
            kept += output.nbytes
            if kept > _BANK_LIMIT:
                raise DataError(
                    "features",
                    f"{len(owner)} views take {kept / 2**30:.1f} GB",
                    f"at most {_BANK_LIMIT / 2**30:.0f} GB",
                    "probe fewer videos, or use fewer views (probe.clips_per_video, probe.temporal_views)",
                    reason="invalid_value",
                )
            outputs.append(output)
            for item in readable:
                owner += [len(label)] * len(item.video)
                label.append(item.label)
                index.append(item.index)
            if progress is not None:
                progress(len(label) + len(unreadable))
    finally:
        model.to(home)
    if not label:
        first = next(iter(unreadable.values()), "the set is empty")
        raise DataError(
            "", f"none of {len(views)} videos could be read", advice=f"the first: {first}", reason="too_many_failures"
        )
    return _Outputs(torch.cat(outputs), torch.tensor(owner), torch.tensor(label), unreadable, tuple(index))
