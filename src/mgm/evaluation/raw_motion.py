"""The rivals without a model: the same probes on the motion vectors themselves, and on the mean frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mgm.data.clips.source import ClipSource, ClipView
from mgm.data.clips.transform import centre_crop
from mgm.data.items import VideoItem, VideoSet, part_length
from mgm.data.loading.patch_motion import patch_motion
from mgm.data.unreadable import READ_ERRORS, Unreadable, none_readable
from mgm.evaluation.holdout import held_out
from mgm.evaluation.linear import linear_probe
from mgm.evaluation.metrics import correct
from mgm.evaluation.nearest import nearest_neighbours, usable_neighbours
from mgm.evaluation.probing import ProbeScores
from mgm.evaluation.views import Features
from mgm.training.config import Config

Probabilities = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Classify = Callable[[Features, Features, Tensor], Probabilities]
Describe = Callable[[ClipView], Sequence[Tensor]]
"""The features of a clip, one vector for each way to describe it."""


def probe_raw_motion(
    videos: VideoSet, config: Config, source: ClipSource, *, grid: tuple[int, int] | None = None
) -> ProbeScores:
    """Linear probe and k-NN on the motion of the clips that an encoder would see, averaged over each cell of a grid (centre crops).

    Each reads one of two features: the vectors of all cells and frames, or their means over the clip. A fifth of the training
    videos, held out, selects the better one for each probe; test videos do not influence it.

    Args:
        grid: (rows, columns) of the cells; None: the patches of the encoder.
    """
    cells = grid or config.model_spec().grid[1:]

    def describe(clip: ClipView) -> tuple[Tensor, Tensor]:
        assert clip.motion is not None  # the settings ask for it
        vectors = torch.from_numpy(patch_motion(clip.motion, cells))
        over = (0, 1, 2)
        means = torch.cat([vectors.mean(over), vectors.abs().mean(over), vectors.square().mean(over).sqrt()])
        return vectors.flatten(), means

    return probe_clips(describe, videos, config, source, motion=True)


def probe_mean_frame(
    videos: VideoSet, config: Config, source: ClipSource, *, grid: tuple[int, int] | None = None
) -> ProbeScores:
    """The same probes on the mean of a clip's frames, one colour for each cell of a grid: what is seen without any motion."""
    cells = grid or config.model_spec().grid[1:]

    def describe(clip: ClipView) -> tuple[Tensor]:
        mean = torch.from_numpy(clip.frames.mean(0, dtype=np.float32)).permute(2, 0, 1)
        return (F.adaptive_avg_pool2d(mean, cells).flatten(),)

    return probe_clips(describe, videos, config, source, motion=False)


def probe_clips(
    describe: Describe, videos: VideoSet, config: Config, source: ClipSource, *, motion: bool
) -> ProbeScores:
    """Linear probe and k-NN on features that need no model, in centre crops of the clips that an encoder would see.

    Args:
        motion: clips are read with their motion.
    """
    probe, classes = config.probe, len(videos.classes)
    train = _read(describe, videos.train, config, source, views=probe.clips_per_video, motion=motion)
    test = _read(describe, videos.test, config, source, views=probe.temporal_views, motion=motion)
    classifiers: dict[str, Classify] = {
        "linear probe": lambda bank, queries, held: linear_probe(bank, queries, classes=classes, held=held)
    }
    for k in usable_neighbours(probe.neighbour_counts, len(train[0].owner)):
        classifiers[f"{k}-NN"] = partial(_nearest, classes=classes, k=k)
    label = test[0].label.numpy()
    held = held_out([videos.train[index] for index in train[0].index])
    hits = {}
    for name, classify in classifiers.items():
        bank, queries = max(zip(train, test, strict=True), key=lambda pair: _held_out_accuracy(pair[0], classify, held))
        hits[name] = correct(classify(bank, queries, held), label)
    return ProbeScores(hits, videos.classes, train[0].unreadable | test[0].unreadable, test[0].index)


def _nearest(bank: Features, queries: Features, held: Tensor, *, classes: int, k: int) -> Probabilities:
    return nearest_neighbours(bank, queries, classes=classes, neighbours=[k])[k]


def _read(
    describe: Describe, items: Sequence[VideoItem], config: Config, source: ClipSource, *, views: int, motion: bool
) -> list[Features]:
    """The features of every view, for each way to describe it.

    Raises:
        DataError: no video could be read.
    """
    settings, sampler = config.clip_settings(motion=motion), config.sampler(config.probe.sampling)
    described: list[Sequence[Tensor]] = []
    owner: list[int] = []
    label: list[int] = []
    index: list[int] = []
    unreadable: dict[str, str] = {}
    for number, item in enumerate(items):
        try:
            info = source.info(item.path)
            crop = [centre_crop(info.height, info.width, size=settings.size)]
            clips = [
                source.clips(item.path, item.start + frames, crop, settings)[0]
                for frames in sampler.views(part_length(item, info), count=views)
            ]
        except READ_ERRORS as error:
            unreadable[item.path] = Unreadable.from_error(item.path, error).message
            continue
        for clip in clips:
            described.append(describe(clip))
            owner.append(len(label))
        label.append(-1 if item.label is None else item.label)
        index.append(number)
    if not described:
        raise none_readable(len(items), unreadable.values())
    return [
        Features(
            torch.stack(way),
            torch.tensor(owner),
            torch.tensor(label),
            torch.arange(len(owner)),
            unreadable=unreadable,
            index=tuple(index),
        )
        for way in map(list, zip(*described, strict=True))
    ]


def _held_out_accuracy(train: Features, classify: Classify, held: Tensor) -> float:
    if not held.any() or held.all():
        return 0.0
    bank, queries = _only(train, ~held), _only(train, held)
    inner = torch.arange(len(bank.label)) % 5 == 0  # for the settings of the classifier itself
    return float(correct(classify(bank, queries, inner), queries.label.numpy()).mean())


def _only(features: Features, chosen: Tensor) -> Features:
    """The features of some videos, `chosen` bool (videos,)."""
    views = chosen[features.owner]
    owner = (chosen.cumsum(0) - 1)[features.owner[views]]
    return Features(features.pooled[views], owner, features.label[chosen], features.row[views])
