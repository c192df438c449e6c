"""A start of the classifier from a linear probe of the features that it begins with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mgm.data.clips.source import ClipSource
from mgm.data.holdout import held_out
from mgm.data.items import VideoItem, evenly_spaced
from mgm.data.loading.loader import read_views
from mgm.data.loading.views import ViewSet
from mgm.errors import DataError
from mgm.models import Classifier
from mgm.models.logistic import logistic_regression, selected_decay, standardised
from mgm.models.networks.network import VideoNetwork
from mgm.training.config import Config
from mgm.training.run import reading_workers

_VIDEOS = 5000
"""Training videos that the probe reads, evenly spaced in the set: its thousands of weights need no more."""


def start_head_from_probe(
    model: Classifier | VideoNetwork,
    items: Sequence[VideoItem],
    config: Config,
    source: ClipSource,
    device: torch.device | None = None,
) -> None:
    """With `finetune.head_init=probe`, replace the classifier's linear layer by the logistic regression on its inputs.

    Fine-tuning a random head first moves the features towards it, which costs accuracy on videos unlike those in training; a head
    that fits the features leaves them (Kumar et al. 2022, "LP-FT"). `probe.clips_per_video` centre crops of up to 5,000 training
    videos are read.

    device: where the features are computed; None: where the model is.

    Raises:
        DataError: none of these videos could be read.
    """
    if config.finetune.head_init != "probe":
        return
    chosen = tuple(evenly_spaced(items, _VIDEOS))
    settings = config.clip_settings(motion=False)
    sampler = config.sampler(config.finetune.sampling, config.finetune.sampling_rule)
    views = ViewSet(chosen, source, settings, temporal=config.probe.clips_per_video, spatial=1, sampler=sampler)
    features, owner, problem = [], [], "the set is empty"
    home = next(model.parameters()).device
    model.to(device or home).eval()
    for video in read_views(views, workers=reading_workers(config, source), timeout=config.data.read_timeout):
        if video.problem is not None:
            problem = video.problem
            continue
        features.append(_head_input(model, video.video.to(device or home)).cpu())
        owner += [video.index] * len(video.video)
    model.to(home).train()
    if not features:
        raise DataError(
            "", f"none of {len(chosen)} videos could be read", advice=f"the last: {problem}", reason="too_many_failures"
        )
    weight, bias = _probe(torch.cat(features), torch.tensor(owner), chosen, model.head.out_features)
    with torch.no_grad():
        model.head.weight.copy_(weight.T)
        model.head.bias.copy_(bias)


def _probe(features: Tensor, owner: Tensor, items: Sequence[VideoItem], classes: int) -> tuple[Tensor, Tensor]:
    """Weight (dim, classes) and bias (classes,) of the logistic regression, for features that are not standardised."""
    label = torch.tensor([item.label for item in items])[owner]
    scaled, _ = standardised(features, features[:0])
    decay = selected_decay(scaled, label, classes, held_out(items)[owner])
    weight, bias = logistic_regression(scaled, label, classes, decay)
    deviation = features.std(0, correction=0) + 1e-6
    weight = weight / deviation[:, None]
    return weight, bias - features.mean(0) @ weight


@torch.no_grad()
def _head_input(model: Classifier | VideoNetwork, clips: Tensor) -> Tensor:
    """What the linear layer reads, (clips, dim); the mean over positions where a network applies it at each."""
    found: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(inputs[0])

    hook = model.head.register_forward_pre_hook(keep)
    try:
        model(clips)
    finally:
        hook.remove()
    (features,) = found
    return features.flatten(1, -2).mean(1) if features.ndim > 2 else features
