"""Attentive probes on frozen tokens (V-JEPA), several settings trained side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.evaluation.metrics import correct
from mgm.evaluation.token_file import Tokens
from mgm.evaluation.views import Features, average_views
from mgm.models.attention import Block
from mgm.models.attentive import AttentivePooler
from mgm.training.sections import ProbeConfig

_CLIPS_AT_ONCE = 64
"""Clips of a forward pass on held-out videos."""


class AttentiveProbe(nn.Module):
    """An attentive pooler and a linear classifier, on frozen tokens.

    Args:
        depth: with more than 1, so many blocks less one of self-attention over the tokens come first (V-JEPA 2 has 4).
    """

    def __init__(self, dim: int, heads: int, classes: int, *, depth: int = 1) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim, heads, eps=1e-6) for _ in range(depth - 1))
        self.pooler = AttentivePooler(dim, heads)
        self.head = nn.Linear(dim, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens after a layer norm without gain and shift, float32 (B, N, dim) -> logits (B, classes)."""
        for block in self.blocks:
            tokens = block(tokens)
        if self.blocks:
            tokens = F.layer_norm(tokens, tokens.shape[2:])
        logits: Tensor = self.head(self.pooler(tokens))
        return logits


@dataclass(frozen=True, slots=True)
class ProbeShape:
    """The size of an attentive probe."""

    dim: int
    heads: int
    classes: int
    depth: int = 1

    def build(self, seed: int) -> AttentiveProbe:
        """The probe as initialised."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return AttentiveProbe(self.dim, self.heads, self.classes, depth=self.depth)


@dataclass(frozen=True, slots=True)
class AttentiveSetting:
    """Learning rate and weight decay of one probe, and its top-1 accuracy on held-out training videos; None: not measured."""

    lr: float
    weight_decay: float
    held_out: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ChosenProbe:
    """A trained probe.

    Attributes:
        setting: the one that it was trained with.
        tried: every setting of the grid, with its accuracy.
    """

    probe: AttentiveProbe
    setting: AttentiveSetting
    tried: tuple[AttentiveSetting, ...]


def choose_attentive_probe(
    train: Features,
    tokens: Tokens,
    *,
    shape: ProbeShape,
    config: ProbeConfig,
    seed: int,
    held: Tensor,
    device: torch.device | str = "cpu",
) -> ChosenProbe:
    """Train a probe for each learning rate and weight decay of `config`, side by side, and the best one again on all videos.

    AdamW, cosine to 0, no warm-up (V-JEPA's protocol), `config.steps` steps. The best one has the highest accuracy on held-out
    training videos, averaged over their views; of equal ones, the one with the smaller loss. A single setting is trained at once.

    Args:
        tokens: after a layer norm without gain and shift, at the rows of `train`.
        held: bool (training videos,), those on which the settings are compared.
    """
    grid = [AttentiveSetting(lr, decay) for lr, decay in config.settings]
    every, out = torch.arange(len(train.owner)), held[train.owner]

    def trained(views: Tensor, settings: Sequence[AttentiveSetting]) -> list[AttentiveProbe]:
        """Probes trained on a part of the training views, one for each setting."""
        return train_attentive_probes(
            train, tokens, views, settings, shape=shape, config=config, seed=seed, device=device
        )

    tried, best = tuple(grid), grid[0]
    if len(grid) > 1 and out.any() and not out.all():
        scores = _scores(trained(every[~out], grid), train, tokens, every[out], device)
        tried = tuple(
            AttentiveSetting(one.lr, one.weight_decay, score) for one, (score, _) in zip(grid, scores, strict=True)
        )
        best = tried[max(range(len(grid)), key=lambda number: (scores[number][0], -scores[number][1]))]
    (probe,) = trained(every, [best])
    return ChosenProbe(probe.cpu(), best, tried)  # to other ranks, each with a device of its own


def train_attentive_probes(
    train: Features,
    tokens: Tokens,
    views: Tensor,
    settings: Sequence[AttentiveSetting],
    *,
    shape: ProbeShape,
    config: ProbeConfig,
    seed: int,
    device: torch.device | str = "cpu",
) -> list[AttentiveProbe]:
    """A probe for each setting, from the same weights and batches; the tokens of a batch are read once for all of them.

    Args:
        views: int64, those to train on.
    """
    probes = [shape.build(seed).to(device) for _ in settings]
    optimiser = torch.optim.AdamW(
        [
            {"params": list(probe.parameters()), "lr": one.lr, "weight_decay": one.weight_decay}
            for probe, one in zip(probes, settings, strict=True)
        ]
    )
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    order = torch.Generator().manual_seed(seed)
    labels = train.label[train.owner]
    for _ in range(config.steps):
        chosen = views[torch.randint(len(views), (config.batch,), generator=order)]
        batch, label = tokens[train.row[chosen]].to(device), labels[chosen].to(device)
        optimiser.zero_grad()
        for probe in probes:  # one after the other: their activations need not fit together
            F.cross_entropy(probe(batch), label).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
    return [probe.eval() for probe in probes]


@torch.no_grad()
def _scores(
    probes: Sequence[AttentiveProbe], train: Features, tokens: Tokens, views: Tensor, device: torch.device | str
) -> list[tuple[float, float]]:
    """(accuracy, cross-entropy) of each probe on the videos of some views."""
    logits: list[list[Tensor]] = [[] for _ in probes]
    for part in torch.split(views, _CLIPS_AT_ONCE):
        batch = tokens[train.row[part]].to(device)
        for probe, found in zip(probes, logits, strict=True):
            found.append(probe(batch).cpu())
    videos, owner = torch.unique(train.owner[views], return_inverse=True)
    label = train.label[videos].numpy()
    scores = []
    for found in logits:
        probability = average_views(torch.cat(found).softmax(-1), owner, len(videos))
        loss = -np.log(np.maximum(probability[np.arange(len(label)), label], 1e-12)).mean()
        scores.append((float(correct(probability, label).mean()), float(loss)))
    return scores


def attentive_probe(test: Features) -> npt.NDArray[np.float64]:
    """Class probabilities of the test videos, float64 (videos, classes), from views that were encoded with a trained probe."""
    assert test.logits is not None
    return average_views(test.logits.softmax(-1), test.owner, len(test.label))
