"""A start of the patch embedding from the user's own videos: the whitened principal components of their patches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mgm.data.clips.source import ClipSource
from mgm.data.items import VideoItem, evenly_spaced
from mgm.data.loading.loader import read_views
from mgm.data.loading.views import ViewSet
from mgm.data.unreadable import none_readable
from mgm.models import Encoder
from mgm.models.patches import patchify
from mgm.training.config import Config
from mgm.training.run import reading_workers

_CLIPS = 256
"""Clips that the components are computed from. A covariance of 1,536 values needs some 10,000 patches; one clip has hundreds."""

_FLOOR = 1e-3
"""Added to every variance, relative to their mean, so that noise of the camera is not amplified without limit."""


def start_from_videos(encoder: Encoder, items: Sequence[VideoItem], config: Config, source: ClipSource) -> None:
    """With `model.patch_init=whitened`, make the outputs of the patch embedding uncorrelated and of unit variance on these videos.

    Neighbouring pixels are nearly equal, so that a random projection of a patch sees little but its mean colour. Whitening gives
    edges and changes in time, which have a hundredth of the variance, the same weight as brightness (Hyvärinen et al. 2009,
    chapter 5; "whitened" patches as a first layer: Thiry et al. 2021). One centre crop of up to 256 videos is read.

    Raises:
        DataError: none of these videos could be read.
    """
    if encoder.spec.patch_init != "whitened":
        return
    chosen = tuple(evenly_spaced(items, _CLIPS))
    settings, sampler = config.clip_settings(motion=False), config.sampler(config.data.sampling)
    views = ViewSet(chosen, source, settings, temporal=1, spatial=1, sampler=sampler)
    width = encoder.patch_embed.in_features
    count, total, products = 0, torch.zeros(width).double(), torch.zeros(width, width).double()
    problems = []
    for video in read_views(views, workers=reading_workers(config, source), timeout=config.data.read_timeout):
        if video.problem is not None:
            problems.append(video.problem)
            continue
        pixels = patchify(video.video, encoder.spec).flatten(2).flatten(0, 1)
        values = (pixels * encoder.scale + encoder.shift).double()
        count, total, products = count + len(values), total + values.sum(0), products + values.T @ values
    if not count:
        raise none_readable(len(chosen), problems)
    mean = total / count
    weight = whitening(products / count - mean.outer(mean), encoder.patch_embed.out_features)
    with torch.no_grad():
        encoder.patch_embed.weight.copy_(weight)
        encoder.patch_embed.bias.copy_(-weight @ mean)


def whitening(covariance: Tensor, dim: int) -> Tensor:
    """The projection on the leading principal components, each scaled to unit variance, in a random rotation.

    The rotation, drawn from torch's global generator, spreads every component over all channels, and so over all heads.

    Args:
        covariance: float64 (n, n).

    Returns:
        float64 (dim, n); outputs have unit variance on average.
    """
    variance, vectors = torch.linalg.eigh(covariance)
    kept = min(dim, len(covariance))
    variance, vectors = variance[-kept:].clamp_min(0), vectors[:, -kept:]
    rotation, _ = torch.linalg.qr(torch.randn(dim, kept, dtype=covariance.dtype))
    scale = (variance + _FLOOR * variance.mean()).clamp_min(torch.finfo(covariance.dtype).tiny).sqrt()
    projection: Tensor = rotation * (dim / kept) ** 0.5 @ (vectors / scale).T
    return projection
