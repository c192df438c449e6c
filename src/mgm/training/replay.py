"""Take the step again that stopped a run, on any machine, and find the first value that is not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from mgm.models import Encoder, ModelSpec
from mgm.training.devices import make_fabric
from mgm.training.engine import Engine
from mgm.training.fabric import Fabric
from mgm.training.finetune import Finetuning, augmentation, build_classifier
from mgm.training.method import TrainingMethod
from mgm.training.networks import build_network
from mgm.training.pretrain import Pretraining, build_autoencoder, tokenizer_kind
from mgm.training.replay_file import SpoiledStep, read_replay
from mgm.training.sections import Precision
from mgm.training.step import clip_gradient, train_step


@dataclass(frozen=True, slots=True)
class ReplayedStep:
    """A step that was taken again.

    Attributes:
        loss, gradient_norm: found now; the norm is that of one rank.
        output: the first module whose output is not finite, in the order of computation; None: all outputs are finite.
        gradient: the first module whose gradient is not finite, in the order of the backward pass; None: all are finite.
    """

    loss: float
    gradient_norm: float
    output: str | None
    gradient: str | None

    @property
    def is_finite(self) -> bool:
        """Whether the step could be taken."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


@dataclass(frozen=True, slots=True)
class Replay:
    """A saved step and its repetition.

    Attributes:
        saved: the file's content.
        again: the step in the precision of the run.
        exact: the step in 32 bits; None if the run has that precision.
        bad_weights: parameters with values that are not finite before the step.
    """

    saved: SpoiledStep
    again: ReplayedStep
    exact: ReplayedStep | None
    bad_weights: tuple[str, ...]

    @property
    def reproduced(self) -> bool:
        """Whether the loss is that of the file, and on one rank also the gradient norm, to a thousandth."""
        norms = self.saved.ranks > 1 or _equal(self.saved.gradient_norm, self.again.gradient_norm)
        return _equal(self.saved.loss, self.again.loss) and norms


def replay_step(file: str | Path) -> Replay:
    """Repeat the forward and the backward pass of a saved step on this machine's device. No weight changes.

    Raises:
        ModelError: the file is not a step of mgm, or damaged.
    """
    saved = read_replay(Path(file))
    precision: Precision = saved.optim.precision
    if precision == "auto":
        precision = "bf16-mixed" if saved.precision == "bf16-mixed" else "32-true"
    again = _take(saved, precision)
    exact = None if precision == "32-true" else _take(saved, "32-true")
    bad = tuple(name for name, value in saved.weights.items() if not bool(value.isfinite().all()))
    return Replay(saved, again, exact, bad)


def _take(saved: SpoiledStep, precision: Precision) -> ReplayedStep:
    fabric = make_fabric(precision)
    method = _method(saved)
    engine = Engine.build(fabric, method, saved.optim, peak=0.0)
    engine.module.train()
    torch.set_rng_state(saved.rng)
    if fabric.device.type == "cuda" and saved.device_rng is not None:
        torch.cuda.set_rng_state(saved.device_rng, fabric.device)
    with _watched(method.module) as seen:
        clips = sum(len(batch.index) for batch in saved.batches)
        totals = train_step(method, engine.module, iter(saved.batches), _ReplayedRun(fabric, len(saved.batches), clips))
    norm = clip_gradient(engine, None)
    return ReplayedStep(float(totals.loss), float(norm), seen.output, seen.gradient)


def _method(saved: SpoiledStep) -> TrainingMethod:
    """The method before the step."""
    config, frozen = saved.config, saved.frozen
    method: Pretraining | Finetuning
    if saved.is_finetuning:
        classes = tuple(saved.described["classes"])
        classifier = (
            build_classifier(config, classes=len(classes))
            if config.model.network is None
            else build_network(config, classes=len(classes), training=True)
        )
        augment = augmentation(config.finetune, classes=len(classes), seed=config.seed)
        method = Finetuning(classifier, config, classes, False, augment, frozen.get("class_weights"))
    else:
        tokenizer = tokenizer_kind(config).from_state(frozen["tokenizer"]) if "tokenizer" in frozen else None
        teacher, of_pictures = _teacher(saved, "teacher"), _teacher(saved, "image_teacher")
        method = Pretraining(build_autoencoder(config, teacher, tokenizer, of_pictures), config)
    method.module.load_state_dict(saved.weights)
    return method


def _teacher(saved: SpoiledStep, name: str) -> Encoder | None:
    """A frozen encoder of the step; None without it."""
    if name not in saved.frozen:
        return None
    teacher = Encoder(ModelSpec.from_dict(saved.described[name]))
    teacher.load_state_dict(saved.frozen[name])
    return teacher


@dataclass(frozen=True, slots=True)
class _ReplayedRun:
    """The sizes of the step, as `mgm.training.step.StepSizes`."""

    fabric: Fabric
    micro_batches: int
    clips_per_rank: int


@dataclass(slots=True)
class _Seen:
    output: str | None = None
    gradient: str | None = None


@contextmanager
def _watched(model: nn.Module) -> Iterator[_Seen]:
    """Note the first output and the first gradient in the block that are not finite."""
    seen = _Seen()

    def hook(name: str) -> Any:
        """The hook of a module."""

        def on_gradient(gradient: torch.Tensor) -> None:
            """The first gradient of the backward pass belongs to the last module of the forward pass."""
            if seen.gradient is None and not bool(gradient.isfinite().all()):
                seen.gradient = name

        def on_output(module: nn.Module, inputs: Any, output: Any) -> None:
            """Note a module whose output is not finite, and watch the gradients of its outputs."""
            for tensor in output if isinstance(output, tuple) else (output,):
                if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
                    continue
                if seen.output is None and not bool(tensor.isfinite().all()):
                    seen.output = name
                if tensor.requires_grad:
                    tensor.register_hook(on_gradient)  # type: ignore[no-untyped-call]

        return on_output

    with ExitStack() as stack:
        for name, module in model.named_modules():
            handle: RemovableHandle = module.register_forward_hook(hook(name or "the loss"))
            stack.callback(handle.remove)
        yield seen


def _equal(first: float, second: float) -> bool:
    if not math.isfinite(first) or not math.isfinite(second):
        return math.isfinite(first) == math.isfinite(second)
    return math.isclose(first, second, rel_tol=1e-3)
