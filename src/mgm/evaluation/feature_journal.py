"""What a model returned for groups of videos, kept group by group, so that a stopped pass over a set continues after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mgm.data.items import VideoItem
from mgm.data.loading.views import ViewPlaces
from mgm.evaluation.checked_tensors import read_tensors, write_tensors

_SUFFIX = ".group"


@dataclass(frozen=True, slots=True, eq=False)
class SeenVideo:
    """What a model returned for the views of a video: tensors with a first dimension of the views.

    Attributes:
        index: of the video in the set. row: int64 (views,), numbers of its views among those of all.
    """

    index: int
    label: int
    row: Tensor
    outputs: tuple[Tensor, ...]
    places: ViewPlaces


@dataclass(frozen=True, slots=True, eq=False)
class SeenGroup:
    """What a model returned for neighbouring videos; path -> message of those that could not be read."""

    videos: list[SeenVideo]
    unreadable: dict[str, str]


class FeatureJournal:
    """A folder with a file per finished group; ranks may write at once. Any of its files may be deleted at any time.

    Args:
        folder: of this model, set and settings alone, see `feature_key`; made with the first group.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, items: Sequence[VideoItem]) -> dict[int, SeenGroup]:
        """The finished groups by number; labels are those of the items. Damaged and foreign files are left out."""
        found = {}
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            tensors = read_tensors(path) if path.stem.isdecimal() else None
            if tensors is not None:
                found[int(path.stem)] = _group(tensors, items)
        return found

    def keep(self, number: int, group: SeenGroup) -> None:
        """Keep a group, unless a video of it could not be read: one that timed out may be readable another time.

        Raises:
            FileError: the file cannot be written.
        """
        if not group.unreadable:
            write_tensors(self.folder / f"{number:08d}{_SUFFIX}", _tensors(group.videos))


def _tensors(videos: Sequence[SeenVideo]) -> dict[str, Tensor]:
    places = ViewPlaces.joined([video.places for video in videos])
    outputs = zip(*(video.outputs for video in videos), strict=True)
    return {
        "index": torch.tensor([video.index for video in videos]),
        "views": torch.tensor([len(video.row) for video in videos]),
        "row": torch.cat([video.row for video in videos]),
        "frame_indices": torch.from_numpy(places.frame_indices),
        "pts_seconds": torch.from_numpy(places.pts_seconds),
        "crop": torch.from_numpy(places.crop),
        **{f"output {number}": torch.cat(output) for number, output in enumerate(outputs)},
    }


def _group(tensors: dict[str, Tensor], items: Sequence[VideoItem]) -> SeenGroup:
    names = [f"output {number}" for number in range(len(tensors)) if f"output {number}" in tensors]
    videos, first = [], 0
    for index, views in zip(tensors["index"].tolist(), tensors["views"].tolist(), strict=True):
        part = slice(first, first + views)
        label = items[index].label
        arrays = (tensors[name][part].numpy() for name in ("frame_indices", "pts_seconds", "crop"))
        videos.append(
            SeenVideo(
                index,
                -1 if label is None else label,
                tensors["row"][part],
                tuple(tensors[name][part] for name in names),
                ViewPlaces(*arrays),
            )
        )
        first += views
    return SeenGroup(videos, {})
