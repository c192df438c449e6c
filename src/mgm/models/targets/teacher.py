"""Features of a frozen teacher as a target (MVD, Wang et al. 2023)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.encoder import Encoder
from mgm.models.spec import ModelSpec
from mgm.models.targets.target import Target


@dataclass(frozen=True, eq=False)
class TeacherFeatures(Target):
    """Output of a frozen encoder for the whole clip; each token normalised to mean 0, variance 1.

    Attributes:
        teacher: any encoder of the model's token grid; or its specification, to build and load a model that is not trained. The
            encoder is frozen here, belongs to no state dict, and moves to the device of the video.

    Raises:
        ModelError: its grid or its clips differ from the model's.
    """

    name: ClassVar[str] = "teacher"
    needs: ClassVar[Literal["teacher", "image_teacher"]] = "teacher"

    teacher: Encoder | ModelSpec

    def __post_init__(self) -> None:
        found = self.teacher_spec
        if (found.grid, found.video_shape) != (self.spec.grid, self.spec.video_shape):
            raise ModelError(
                "teacher",
                f"found tokens {found.grid} of clips {found.video_shape}",
                f"{self.spec.grid} of {self.spec.video_shape} as for the model",
                "use teacher.at(frames=..., resolution=...)",
                reason="mismatch",
            )
        self._freeze()

    def _freeze(self) -> None:
        if isinstance(self.teacher, Encoder):
            self.teacher.eval().requires_grad_(False)

    def network(self, source: Tensor) -> Encoder:
        """The teacher, on the device of the source. Raises ModelError if there is only a specification."""
        if not isinstance(self.teacher, Encoder):
            raise ModelError(
                "teacher", "found a specification without weights", "an encoder to train with", reason="missing_value"
            )
        if self.teacher.patch_embed.weight.device != source.device:
            self.teacher.to(source.device)
        return self.teacher

    @property
    def teacher_spec(self) -> ModelSpec:
        """The specification of the teacher."""
        return self.teacher.spec if isinstance(self.teacher, Encoder) else self.teacher

    @property
    def dim(self) -> int:
        """The width of the teacher."""
        return self.teacher_spec.encoder.dim

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim)."""
        with torch.no_grad():
            features = self.network(source).encode(source, None).float()
            return F.layer_norm(features.take_along_dim(tokens[:, :, None], dim=1), (self.dim,), eps=1e-6)
