"""The views of videos in evaluation: several clips of a video, several crops of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.utils.data

from mgm.data.clips.sampling import Sampler
from mgm.data.clips.source import ClipSettings, ClipSource
from mgm.data.clips.transform import centre_crop, spatial_views
from mgm.data.items import VideoItem, VideoItems, part_length
from mgm.data.loading.tensors import to_video
from mgm.data.unreadable import READ_ERRORS, Unreadable
from mgm.errors import DataError
from mgm.workers.process import BeginItem


class ViewSet(torch.utils.data.Dataset["Views"]):
    """The views of every video: `temporal` clips, as the sampler takes them, x up to three crops along the longer side."""

    def __init__(
        self,
        items: Sequence[VideoItem],
        source: ClipSource,
        settings: ClipSettings,
        *,
        temporal: int,
        spatial: int,
        sampler: Sampler | None = None,
    ) -> None:
        if spatial not in (1, 3):
            raise DataError(
                "spatial views", f"{spatial}", "1 (the centre) or 3 (both ends and the centre)", reason="invalid_value"
            )
        self.items = items
        self.source = source
        self.settings = settings
        self.sampler = sampler or Sampler(settings.frames, settings.stride)
        self.temporal = temporal
        self.spatial = spatial

    @property
    def most(self) -> int:
        """Largest number of views of a video; short and square ones have fewer."""
        return self.temporal * self.spatial

    def part(self, indexes: Sequence[int]) -> ViewSet:
        """The views of some videos."""
        return ViewSet(
            VideoItems.of(self.items).take(indexes),
            self.source,
            self.settings,
            temporal=self.temporal,
            spatial=self.spatial,
            sampler=self.sampler,
        )

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Views:
        return self.read(index)

    def read(self, index: int, begin_item: BeginItem | None = None) -> Views:
        """The views of one video, ordered by time, then by position along the longer side."""
        item = self.items[index]
        settings = self.settings
        label = -1 if item.label is None else item.label
        try:
            if begin_item is not None:
                begin_item(index)
            info = self.source.info(item.path)
            size = settings.size
            crops = (
                spatial_views(info.height, info.width, size=size)
                if self.spatial == 3
                else [centre_crop(info.height, info.width, size=size)]
            )
            chosen = [item.start + f for f in self.sampler.views(part_length(item, info), count=self.temporal)]
            views = [view for frames in chosen for view in self.source.clips(item.path, frames, crops, settings)]
        except READ_ERRORS as error:
            return Views(torch.empty(0), label, index, Unreadable.from_error(item.path, error).message)
        places = ViewPlaces(
            frame_indices=np.repeat(chosen, len(crops), axis=0),
            pts_seconds=np.stack([view.pts_seconds for view in views]),
            crop=np.tile(np.arange(len(crops)), len(chosen)),
        )
        return Views(torch.stack([to_video(view.frames) for view in views]), label, index, places=places)


@dataclass(frozen=True, slots=True, eq=False)
class ViewPlaces:
    """The part of its video that each of V views shows.

    Attributes:
        frame_indices: int64 (V, T), ascending; numbers repeat if a video is too short.
        pts_seconds: float64 (V, T), their presentation times; NaN where the video has none.
        crop: int64 (V,), number of the crop along the longer side, from 0; 0 if there is one.
    """

    frame_indices: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]
    crop: npt.NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[ViewPlaces]) -> ViewPlaces:
        """The places of the views of several videos, one after the other."""
        return cls(
            np.concatenate([part.frame_indices for part in parts]),
            np.concatenate([part.pts_seconds for part in parts]),
            np.concatenate([part.crop for part in parts]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """All views of one video.

    Attributes:
        video: uint8 (views, 3, T, H, W); empty if the video could not be read.
        problem: the reason why it could not be read, with its path; None if it was read.
        places: of the views in the video; None if it could not be read.
    """

    video: torch.Tensor
    label: int
    index: int
    problem: str | None = None
    places: ViewPlaces | None = None
