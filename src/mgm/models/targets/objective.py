"""What a model is trained for: one target, or several with weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.targets.target import Target


@dataclass(frozen=True)
class ReconstructionObjective:
    """Targets with the weights of their losses. Predictions hold the targets' values one after the other.

    Raises ModelError when there is no target, two have one name, or a weight is not above 0.
    """

    targets: tuple[tuple[Target, float], ...]

    def __post_init__(self) -> None:
        names = [target.name for target, _ in self.targets]
        if not names or len(set(names)) < len(names):
            raise ModelError(f"target: found {', '.join(names) or 'none'}, expected one or several different ones")
        for target, weight in self.targets:
            if not weight > 0:
                raise ModelError(
                    f"target {target.name}: found weight {weight}, expected a number above 0; or leave it out"
                )

    @property
    def dim(self) -> int:
        """Values per token, of all targets together."""
        return sum(target.dim for target, _ in self.targets)

    @property
    def reads_motion(self) -> bool:
        """A target needs the clip's motion."""
        return any(target.reads == "motion" for target, _ in self.targets)

    def target_values(self, video: Tensor, tokens: Tensor, motion: Tensor | None) -> Tensor:
        """The values to predict, float32 (B, n, dim). motion: float32 (B, T, h, w, 2) where a target reads it."""
        parts = []
        for target, _ in self.targets:
            source = video if target.reads == "video" else motion
            assert source is not None  # checked by `check_motion`
            parts.append(target(source, tokens))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def split(self, values: Tensor) -> dict[str, Tensor]:
        """{name: (B, n, dim of the target)} of predictions or values (B, n, dim)."""
        parts = torch.split(values, [target.dim for target, _ in self.targets], dim=2)
        return {target.name: part for (target, _), part in zip(self.targets, parts, strict=True)}

    def loss(self, prediction: Tensor, values: Tensor, valid: Tensor | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """(the weighted sum, {name: mean squared error}), scalars. counted: bool (B, n), the tokens that count; None: all."""
        asked = self.split(values)
        parts = {name: _mean_square(part, asked[name], valid) for name, part in self.split(prediction).items()}
        # A single target of weight 1 adds nothing to the graph.
        weighted = [
            parts[target.name] if weight == 1 else parts[target.name] * weight for target, weight in self.targets
        ]
        return (weighted[0] if len(weighted) == 1 else torch.stack(weighted).sum()), parts

    @property
    def has_picture(self) -> bool:
        """A target's predictions are pixels."""
        return any(target.has_picture for target, _ in self.targets)

    def pixels(self, prediction: Tensor, video: Tensor, tokens: Tensor) -> Tensor:
        """The picture of the first target that has one, as in `Target.pixels`."""
        shown = next((target for target, _ in self.targets if target.has_picture), self.targets[0][0])
        return shown.pixels(self.split(prediction)[shown.name], video, tokens)

    def check_motion(self, motion: Tensor | None, shape: tuple[int, ...]) -> None:
        """Raises ModelError unless the motion that a target reads is there, of `shape` (B, T, h, w, 2)."""
        if self.reads_motion and (motion is None or tuple(motion.shape) != shape):
            found = "none" if motion is None else f"shape {tuple(motion.shape)}"
            raise ModelError(
                f"motion: found {found}, expected float32 {shape}, the mean displacement of every patch and frame in "
                "pixels; the target motion reads it"
            )
        # On a GPU its look would be waited for; there the loss says it.
        if not self.reads_motion or motion is None or motion.device.type != "cpu" or torch.compiler.is_compiling():
            return
        if not torch.isfinite(motion).all():
            raise ModelError(
                f"motion: found NaN or infinite values in {tuple(motion.shape)}, expected finite ones; where the stream says "
                "nothing, give 0"
            )


def _mean_square(prediction: Tensor, values: Tensor, valid: Tensor | None) -> Tensor:
    if valid is None:
        return F.mse_loss(prediction, values)
    error = (prediction - values).square().mean(2)
    return (error * valid).sum() / valid.sum()
