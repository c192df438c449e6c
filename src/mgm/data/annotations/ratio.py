"""Pictures beside videos at a stated ratio, as in joint training (OmniMAE, Girdhar et al. 2023)."""

from __future__ import annotations

from mgm.data.items import VideoItem, evenly_spaced

Items = tuple[VideoItem, ...]


def mix(videos: Items, pictures: Items, ratio: float | None) -> Items:
    """Videos, then pictures. With a ratio, pictures are that share of the whole: the kind that would be too few is repeated, the
    last time around in part, evenly spread; an epoch goes once through the other kind. Each repetition is a sample of its own:
    another clip, another crop."""
    if ratio is None or not videos or not pictures:
        return videos + pictures
    if len(pictures) < ratio * (len(videos) + len(pictures)):
        return videos + repeat(pictures, round(len(videos) * ratio / (1 - ratio)))
    return repeat(videos, round(len(pictures) * (1 - ratio) / ratio)) + pictures


def repeat(items: Items, count: int) -> Items:
    """`count` items: all of them as often as they fit, then a part."""
    whole, rest = divmod(max(count, 1), len(items))
    return items * whole + tuple(evenly_spaced(items, rest))
