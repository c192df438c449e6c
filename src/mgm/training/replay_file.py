"""The file of a step that spoiled a run: all that its forward and backward pass need, to take it again on another machine."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from mgm.data.loading.loader import Batch
from mgm.errors import ModelError, in_words
from mgm.files.atomic import atomic_path
from mgm.files.checksum import add_checksum
from mgm.files.torch_file import read_torch, write_torch
from mgm.training.config import Config
from mgm.training.method import TrainingMethod
from mgm.training.recipe import parse_config
from mgm.training.run import TrainingRun
from mgm.training.sections import OptimConfig
from mgm.version import VERSION

REPLAY_FORMAT = "mgm-replay-2"


@dataclass(frozen=True, slots=True, eq=False)
class SpoiledStep:
    """A step that was not taken.

    Attributes:
        reason: the reason, as a phrase about the step.
        step: number of the step, from 0.
        loss: of this rank's clips.
        gradient_norm: over all ranks.
        rank, ranks: the process that wrote the file, and their number.
        precision: as Lightning Fabric names it; "auto" is resolved.
        versions: of mgm and torch, and the device's name.
        config: the run's settings.
        described: kind and specification of the model, as `TrainingMethod.describe`.
        weights: before the step.
        rng, device_rng: torch's random states before the step; `device_rng` None without a GPU.
        batches: the rank's micro-batches.
        frozen: as `TrainingMethod.frozen`.
    """

    reason: str
    step: int
    loss: float
    gradient_norm: float
    rank: int
    ranks: int
    precision: str
    versions: str
    config: Config
    described: dict[str, Any]
    weights: dict[str, torch.Tensor]
    rng: torch.Tensor
    device_rng: torch.Tensor | None
    batches: tuple[Batch, ...]
    frozen: dict[str, Any]

    @property
    def is_finetuning(self) -> bool:
        """Whether a classifier was trained; otherwise an autoencoder was."""
        return self.described["kind"] in ("classifier", "network")

    @property
    def optim(self) -> OptimConfig:
        """The section of the configuration that the run followed."""
        return self.config.optim("finetune" if self.is_finetuning else "pretrain")

    def save(self, file: Path) -> None:
        """Write the file atomically, with a checksum.

        Raises:
            FileError: it cannot be written.
        """
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        values["config"] = self.config.model_dump(mode="json")
        values["batches"] = [_plain(batch) for batch in self.batches]
        with atomic_path(file) as part:
            write_torch({"format": REPLAY_FORMAT, **values}, part)
            add_checksum(part)


def spoiled_step(
    run: TrainingRun,
    method: TrainingMethod,
    weights: dict[str, torch.Tensor],
    *,
    step: int,
    reason: str,
    loss: float,
    gradient_norm: float,
    rng: torch.Tensor,
    device_rng: torch.Tensor | None,
) -> SpoiledStep:
    """Describe the step before which the model of `method` has these weights; its batches, which the step number determines, are
    read again."""
    fabric = run.fabric
    device = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else "CPU"
    return SpoiledStep(
        reason=reason,
        step=step,
        loss=loss,
        gradient_norm=gradient_norm,
        rank=run.order.rank,
        ranks=run.order.ranks,
        precision=str(fabric.strategy.precision.precision),
        versions=f"mgm {VERSION}, torch {torch.__version__}, {device}",
        config=run.config,
        described=method.describe(),
        weights=weights,
        rng=rng,
        device_rng=device_rng,
        batches=tuple(islice(run.batches(step), run.micro_batches)),
        frozen=method.frozen(),
    )


def read_replay(file: Path) -> SpoiledStep:
    """Read the file of a step. No code in it is run.

    Raises:
        ModelError: no such file, another program's, or a damaged one.
    """
    if not file.is_file():
        advice = "give the replay.pt of the folder of a run that stopped"
        raise ModelError(file, "found no file", "the file of a step", advice, reason="not_found")
    content = read_torch(file)
    if not isinstance(content, dict) or content.pop("format", None) != REPLAY_FORMAT:
        advice = "give the replay.pt of the folder of a run that stopped"
        raise ModelError(file, "found another file", f"a step of mgm ({REPLAY_FORMAT})", advice, reason="malformed")
    try:
        content["config"] = parse_config(content["config"], str(file))
        content["batches"] = tuple(Batch(**batch) for batch in content["batches"])
        return SpoiledStep(**content)
    except (KeyError, TypeError, AttributeError) as error:
        found = f"contains no whole step ({in_words(error)})"
        raise ModelError(file, found, advice="copy the file again", reason="malformed") from error


def _plain(batch: Batch) -> dict[str, Any]:
    """The fields of a batch as tensors, numbers and texts."""
    bare = replace(batch, unreadable=(), incidents=())
    values = {entry.name: getattr(bare, entry.name) for entry in fields(bare)}
    return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in values.items()}
