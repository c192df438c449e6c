"""The rival without a model: the same probes on the motion vectors themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mgm.data.clips.source import ClipSource
from mgm.data.clips.transform import centre_crop
from mgm.data.items import VideoItem, VideoSet
from mgm.data.loading.dataset import part_length, patch_motion
from mgm.data.unreadable import READ_ERRORS, Unreadable
from mgm.evaluation.holdout import held_out
from mgm.evaluation.linear import linear_probe
from mgm.evaluation.metrics import correct
from mgm.evaluation.nearest import nearest_neighbours, usable_neighbours
from mgm.evaluation.probing import ProbeScores
from mgm.evaluation.views import Features
from mgm.training.config import Config

Probabilities = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Classifier = Callable[[Features, Features, Tensor], Probabilities]


def probe_raw_motion(videos: VideoSet, config: Config, source: ClipSource) -> ProbeScores:
    """Linear probe and k-NN on the motion of the clips that an encoder would see, at its patches (centre crops).

    Each reads one of two features: the vectors of all patches and frames, or their means over the clip. A fifth of the training
    videos, held out, selects the better one for each probe; test videos do not influence it.
    """
    probe, classes = config.probe, len(videos.classes)
    train = _read(videos.train, config, source, views=probe.clips_per_video)
    test = _read(videos.test, config, source, views=probe.temporal_views)
    classifiers: dict[str, Classifier] = {
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


def _read(items: Sequence[VideoItem], config: Config, source: ClipSource, *, views: int) -> tuple[Features, Features]:
    """The two features of every view: all vectors, and their means."""
    settings, sampler = config.clip_settings(motion=True), config.sampler(config.probe.sampling)
    patches = config.model_spec().grid[1:]
    vectors: list[Tensor] = []
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
            assert clip.motion is not None  # the settings ask for it
            vectors.append(torch.from_numpy(patch_motion(clip.motion, patches)))
            owner.append(len(label))
        label.append(-1 if item.label is None else item.label)
        index.append(number)

    def features(pooled: Tensor) -> Features:
        rows = torch.arange(len(pooled))
        return Features(
            pooled, torch.tensor(owner), torch.tensor(label), rows, unreadable=unreadable, index=tuple(index)
        )

    field = torch.stack(vectors)  # (V, T, h, w, 2)
    over = (1, 2, 3)
    means = torch.cat([field.mean(over), field.abs().mean(over), field.square().mean(over).sqrt()], dim=1)
    return features(field.flatten(1)), features(means)


def _held_out_accuracy(train: Features, classify: Classifier, held: Tensor) -> float:
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
