"""What a model returned for the views of many videos, which the first rank joins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mgm.data.loading.views import ViewPlaces
from mgm.evaluation.column_blocks import ColumnBlocks
from mgm.evaluation.feature_journal import SeenGroup, columns_of_videos, columns_of_views, outputs_of
from mgm.evaluation.ranks import Ranks


@dataclass(frozen=True, slots=True, eq=False)
class SeenViews:
    """What a model returned for V views, in the order of their videos.

    Attributes:
        outputs: float32 tensors of V rows. The others are those of `mgm.evaluation.views.Features`.
    """

    outputs: tuple[Tensor, ...]
    owner: Tensor
    label: Tensor
    row: Tensor
    unreadable: dict[str, str]
    index: tuple[int, ...]
    places: ViewPlaces


class FeatureBlocks:
    """Groups of videos as columns, with a row per view."""

    def __init__(self) -> None:
        self._blocks = ColumnBlocks()

    def add(self, group: SeenGroup) -> None:
        """Copy a group."""
        of_videos = columns_of_videos(group.videos)
        of_videos["rows"] = of_videos.pop("views")
        self._blocks.add(of_videos, columns_of_views(group.videos) if group.videos else {}, group.unreadable)

    def join(self, ranks: Ranks, count: int) -> SeenViews | None:
        """As `ColumnBlocks.join`."""
        joined = self._blocks.join(ranks, count)
        if joined is None:
            return None
        index, label, views = (joined.of_videos[name] for name in ("index", "label", "rows"))
        places = (joined.of_rows[name].numpy() for name in ("frame_indices", "pts_seconds", "crop"))
        return SeenViews(
            outputs_of(joined.of_rows),
            torch.arange(len(index)).repeat_interleave(views),
            label,
            joined.of_rows["row"],
            joined.unreadable,
            tuple(index.tolist()),
            ViewPlaces(*places),
        )
