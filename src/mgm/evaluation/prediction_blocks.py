"""Class probabilities of many videos, which the first rank joins."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from mgm.evaluation.column_blocks import ColumnBlocks
from mgm.evaluation.prediction_journal import PredictedGroup
from mgm.evaluation.ranks import Ranks


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Class probabilities of videos, averaged over their views.

    Attributes:
        probability: float64 (videos, classes).
        label: int64 (videos,).
        unreadable: path -> message, of videos that could not be read; they are left out, not counted as wrong.
        index: indexes of the others in the set, ascending.
        seconds: float64 (videos, 2), presentation times of the first and the last frame that the model saw.
        views: number of views of each video.
    """

    probability: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64]
    unreadable: dict[str, str] = field(default_factory=dict)
    index: tuple[int, ...] = ()
    seconds: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    views: tuple[int, ...] = ()


class PredictionBlocks:
    """Groups of predictions as columns, with a row per video."""

    def __init__(self) -> None:
        self._blocks = ColumnBlocks()

    def add(self, group: PredictedGroup) -> None:
        """Copy a group."""
        videos = group.videos
        of_videos = {
            "index": torch.tensor([video.index for video in videos]),
            "label": torch.tensor([video.label for video in videos]),
            "views": torch.tensor([video.views for video in videos]),
            "rows": torch.ones(len(videos), dtype=torch.int64),
        }
        of_rows = {
            "probability": torch.from_numpy(np.array([video.probability for video in videos])),
            "seconds": torch.tensor([video.seconds for video in videos], dtype=torch.float64),
        }
        self._blocks.add(of_videos, of_rows, group.unreadable)

    def join(self, ranks: Ranks, count: int) -> Predictions:
        """As `ColumnBlocks.join`; without videos on the other ranks."""
        joined = self._blocks.join(ranks, count)
        if joined is None:
            return Predictions(np.empty((0, 0)), np.empty(0, np.int64))
        return Predictions(
            joined.of_rows["probability"].numpy(),
            joined.of_videos["label"].numpy(),
            joined.unreadable,
            tuple(joined.of_videos["index"].tolist()),
            joined.of_rows["seconds"].numpy(),
            tuple(joined.of_videos["views"].tolist()),
        )
