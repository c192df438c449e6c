"""What a model returned for groups of videos, kept group by group, so that a stopped pass over a set continues after them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
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

    def read(self, items: Sequence[VideoItem]) -> Iterator[tuple[int, SeenGroup]]:
        """The finished groups with their numbers; labels are those of the items. Damaged and foreign files are left out."""
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            tensors = read_tensors(path) if path.stem.isdecimal() else None
            if tensors is not None:
                yield int(path.stem), _group(tensors, items)

    def keep(self, number: int, group: SeenGroup) -> None:
        """Keep a group, unless a video of it could not be read: one that timed out may be readable another time.

        Raises:
            FileError: the file cannot be written.
        """
        if not group.unreadable:
            tensors = {**columns_of_videos(group.videos), **columns_of_views(group.videos)}
            del tensors["label"]
            write_tensors(self.folder / f"{number:08d}{_SUFFIX}", tensors)


def columns_of_videos(videos: Sequence[SeenVideo]) -> dict[str, Tensor]:
    """The numbers of videos by name, int64 (videos,): index, label, number of views."""
    return {
        "index": torch.tensor([video.index for video in videos]),
        "label": torch.tensor([video.label for video in videos]),
        "views": torch.tensor([len(video.row) for video in videos]),
    }


def columns_of_views(videos: Sequence[SeenVideo]) -> dict[str, Tensor]:
    """What belongs to the views of videos by name, a row per view: row, frame_indices, pts_seconds, crop, output 0, ..."""
    places = ViewPlaces.joined([video.places for video in videos])
    outputs = zip(*(video.outputs for video in videos), strict=True)
    return {
        "row": torch.cat([video.row for video in videos]),
        "frame_indices": torch.from_numpy(places.frame_indices),
        "pts_seconds": torch.from_numpy(places.pts_seconds),
        "crop": torch.from_numpy(places.crop),
        **{f"output {number}": torch.cat(output) for number, output in enumerate(outputs)},
    }


def outputs_of(columns: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """The outputs among columns of views, in their order."""
    names = map("output {}".format, range(len(columns)))
    return tuple(columns[name] for name in takewhile(columns.__contains__, names))


def _group(tensors: dict[str, Tensor], items: Sequence[VideoItem]) -> SeenGroup:
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
                tuple(output[part] for output in outputs_of(tensors)),
                ViewPlaces(*arrays),
            )
        )
        first += views
    return SeenGroup(videos, {})
