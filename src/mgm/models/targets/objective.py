"""The objective of a masked autoencoder: one target, or several with weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.encoder import Encoder
from mgm.models.spec import ModelSpec
from mgm.models.targets.codes import Codes
from mgm.models.targets.target import Target
from mgm.models.targets.teacher import TeacherFeatures
from mgm.models.tokenizers import Tokenizer


@dataclass(frozen=True)
class ReconstructionObjective:
    """Targets with the weights of their losses. Predictions are the targets' values, concatenated.

    Raises:
        ModelError: there are no targets, two of one name, or a weight that is not positive.
    """

    targets: tuple[tuple[Target, float], ...]

    def __post_init__(self) -> None:
        names = [target.name for target, _ in self.targets]
        if not names or len(set(names)) < len(names):
            raise ModelError(
                "target", f"found {', '.join(names) or 'none'}", "one or several different ones", reason="invalid_value"
            )
        for target, weight in self.targets:
            if not weight > 0:
                raise ModelError(
                    f"target {target.name}",
                    f"found weight {weight}",
                    "a number above 0",
                    "or leave the target out",
                    reason="invalid_value",
                )

    @property
    def dim(self) -> int:
        """Predicted values per token of all targets together."""
        return sum(target.dim for target, _ in self.targets)

    @property
    def target(self) -> Target | ReconstructionObjective:
        """The target, or the objective if there are several."""
        return self.targets[0][0] if len(self.targets) == 1 else self

    @property
    def teacher(self) -> Encoder | ModelSpec | None:
        """The teacher of a target, or its specification; None without such a target."""
        return self._teacher("teacher")

    @property
    def image_teacher(self) -> Encoder | ModelSpec | None:
        """The teacher of pictures of a target, or its specification; None without such a target."""
        return self._teacher("image_teacher")

    def _teacher(self, needs: str) -> Encoder | ModelSpec | None:
        found = (target for target, _ in self.targets if isinstance(target, TeacherFeatures) and target.needs == needs)
        return next((target.teacher for target in found), None)

    @property
    def tokenizer(self) -> Tokenizer | int | None:
        """The tokenizer of a target, or the size of its vocabulary; None without such a target."""
        return next((target.tokenizer for target, _ in self.targets if isinstance(target, Codes)), None)

    def describe_networks(self) -> dict[str, Any]:
        """The frozen networks of the targets without their weights, for the description of a model.

        Returns the specifications of "teacher" and "image_teacher", and as "codes" the size of a tokenizer's vocabulary, of those
        networks that targets have.
        """
        described: dict[str, Any] = {}
        for name in ("teacher", "image_teacher"):
            network = self._teacher(name)
            if network is not None:
                described[name] = (network.spec if isinstance(network, Encoder) else network).to_dict()
        codes = next((target.codes for target, _ in self.targets if isinstance(target, Codes)), None)
        return described if codes is None else {**described, "codes": codes}

    @property
    def reads_motion(self) -> bool:
        """Whether a target needs the motion of the clip."""
        return any(target.reads == "motion" for target, _ in self.targets)

    @property
    def motion_parts(self) -> int:
        """Displacements per side of a patch that the motion must have: the most that a target reads."""
        # A list, because torch.compile does not trace max of a generator.
        return max([1, *[target.motion_parts for target, _ in self.targets if target.reads == "motion"]])

    def activate(self, prediction: Tensor) -> Tensor:
        """The predictions (B, n, dim) from the decoder's output of the same shape; see `Target.activate`."""
        if all(type(target).activate is Target.activate for target, _ in self.targets):
            return prediction
        parts = self.split(prediction)
        return torch.cat([target.activate(parts[target.name]) for target, _ in self.targets], dim=2)

    def target_values(self, video: Tensor, tokens: Tensor, motion: Tensor | None) -> Tensor:
        """The values to predict, float32 (B, n, width of all targets).

        Args:
            motion: float32 (B, T, h, w, 2), h and w times `motion_parts`, if a target reads it, else None.
        """
        parts = []
        for target, _ in self.targets:
            source = video
            if target.reads == "motion":
                assert motion is not None  # `check_motion` raises
                source = _coarser(motion, motion.shape[2] // (target.spec.grid[1] * target.motion_parts))
            parts.append(target(source, tokens))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def split(self, prediction: Tensor) -> dict[str, Tensor]:
        """{name: (B, n, dim of the target)} of predictions (B, n, dim)."""
        return self._parts(prediction, [target.dim for target, _ in self.targets])

    def split_values(self, values: Tensor) -> dict[str, Tensor]:
        """{name: (B, n, width of the target)} of the values of all targets, as `target_values` returns them."""
        return self._parts(values, [target.width for target, _ in self.targets])

    def _parts(self, values: Tensor, sizes: list[int]) -> dict[str, Tensor]:
        parts = torch.split(values, sizes, dim=2)
        return {target.name: part for (target, _), part in zip(self.targets, parts, strict=True)}

    def loss(self, prediction: Tensor, values: Tensor, valid: Tensor | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """(the weighted sum, {name: error as `Target.loss`}), scalars. valid: bool (B, n), False for padding; None: no padding."""
        predictions, targets = self.split(prediction), self.split_values(values)
        parts = {
            target.name: target.loss(predictions[target.name], targets[target.name], valid)
            for target, _ in self.targets
        }
        # A weight of 1 adds no operation to the graph.
        weighted = [
            parts[target.name] if weight == 1 else parts[target.name] * weight for target, weight in self.targets
        ]
        return (weighted[0] if len(weighted) == 1 else torch.stack(weighted).sum()), parts

    @property
    def has_picture(self) -> bool:
        """Whether the predictions of a target are pixels."""
        return any(target.has_picture for target, _ in self.targets)

    def pixels(self, prediction: Tensor, video: Tensor, tokens: Tensor) -> Tensor:
        """`Target.pixels` of the first target that has them."""
        shown = next((target for target, _ in self.targets if target.has_picture), self.targets[0][0])
        return shown.pixels(self.split(prediction)[shown.name], video, tokens)

    def check_motion(self, motion: Tensor | None, shape: tuple[int, ...]) -> None:
        """Raises ModelError unless `motion` has `shape` (B, T, h, w, 2) and no infinity, or no target reads it."""
        if self.reads_motion and (motion is None or tuple(motion.shape) != shape):
            found = "none" if motion is None else f"shape {tuple(motion.shape)}"
            raise ModelError(
                "motion",
                f"found {found}",
                f"float32 {shape}, the mean displacement of every patch and frame in pixels",
                "a target of the model needs it",
                reason="missing_value" if motion is None else "invalid_shape",
            )
        # Checking on a GPU would force a synchronisation; a non-finite loss reveals it there.
        if not self.reads_motion or motion is None or motion.device.type != "cpu" or torch.compiler.is_compiling():
            return
        if motion.isinf().any():
            raise ModelError(
                "motion",
                f"found infinite values in {tuple(motion.shape)}",
                "finite ones",
                "use NaN where motion is unknown",
                reason="invalid_value",
            )


def _coarser(motion: Tensor, times: int) -> Tensor:
    """The mean displacement of `times` x `times` neighbours: (B, T, h, w, 2) -> (B, T, h / times, w / times, 2)."""
    if times == 1:
        return motion
    batch, frames, rows, columns, _ = motion.shape
    return motion.view(batch, frames, rows // times, times, columns // times, times, 2).mean((3, 5))
