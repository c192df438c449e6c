"""A start of the classifier from a linear probe of the features that it begins with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mgm.data.loading.dataset import ClipSet
from mgm.data.loading.loader import BatchOrder, batches
from mgm.models import Classifier
from mgm.models.logistic import balanced_weights, logistic_regression, standardised
from mgm.models.networks.network import VideoNetwork
from mgm.terminal import Activity
from mgm.training.config import Config
from mgm.training.run import reading_workers
from mgm.training.sections import FinetuneConfig

_AT_ONCE = 32
_EPOCHS, _CLIPS = 5, 10_000
"""The probe sees every training video five times, and at most so many clips: its thousands of weights need no more."""
_DECAY = 0.1
"""Strong, for a head of small weights: one of large weights answers at random once the features below it move a little."""


def start_head_from_probe(
    model: Classifier | VideoNetwork,
    clips: ClipSet,
    config: Config,
    *,
    device: torch.device | None = None,
    show_progress: bool = False,
) -> None:
    """With `finetune.head_init=probe`, replace the classifier's linear layer by the logistic regression on its inputs.

    Fine-tuning a random head first moves the features towards it, which costs accuracy on videos unlike those in training; a head
    that fits the features leaves them (Kumar et al. 2022, "LP-FT"). It is fitted to the clips of the first epochs of the run, crops
    and mirroring as in training: on centre crops alone it would be right about those and wrong about the others.

    device: where the features are computed; None: where the model is.

    Raises:
        DataError: too many videos could not be read.
    """
    if config.finetune.head_init != "probe":
        return
    videos = len(clips.items)
    order = BatchOrder(videos, min(videos, _AT_ONCE), clips.seed)  # without ranks: every one computes the same
    steps = -(-min(_EPOCHS * videos, _CLIPS) // order.batch)
    read = batches(
        clips,
        order,
        first=0,
        last=steps,
        workers=reading_workers(config, clips.source),
        timeout=config.data.read_timeout,
    )
    home = next(model.parameters()).device
    model.to(device or home).eval()
    features, label = [], []
    with Activity("fitting the first classifier", steps, active=show_progress) as activity:
        for batch in read:
            features.append(_head_input(model, batch.video.to(device or home)).cpu())
            label.append(batch.label)
            activity.advance()
    model.to(home).train()
    weight, bias = _probe(torch.cat(features), torch.cat(label), model.head.out_features, config.finetune)
    with torch.no_grad():
        model.head.weight.copy_(weight.T)
        model.head.bias.copy_(bias)


def _probe(features: Tensor, label: Tensor, classes: int, optim: FinetuneConfig) -> tuple[Tensor, Tensor]:
    """Weight (dim, classes) and bias (classes,) that minimise the loss of fine-tuning, for features that are not standardised."""
    balance = balanced_weights(label.bincount(minlength=classes)) if optim.class_weights == "balanced" else None
    scaled, _ = standardised(features, features[:0])
    weight, bias = logistic_regression(scaled, label, classes, _DECAY, balance, optim.label_smoothing)
    weight = weight / (features.std(0, correction=0) + 1e-6)[:, None]
    return weight, bias - features.mean(0) @ weight


@torch.no_grad()
def _head_input(model: Classifier | VideoNetwork, clips: Tensor) -> Tensor:
    """What the linear layer reads, (clips, dim); the mean over positions where a network applies it at each."""
    found: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Keep what the linear layer reads."""
        found.append(inputs[0])

    hook = model.head.register_forward_pre_hook(keep)
    try:
        model(clips)
    finally:
        hook.remove()
    (features,) = found
    return features.flatten(1, -2).mean(1) if features.ndim > 2 else features
