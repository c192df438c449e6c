"""Features of two frozen teachers, of videos and of pictures, by the smooth L1 of their values (MVD, Wang et al. 2023)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.targets.teacher import TeacherFeatures


@dataclass(frozen=True, eq=False)
class VideoTeacher(TeacherFeatures):
    """Output of an encoder of videos as it is, not normalised; the error is the smooth L1 with a threshold of 1."""

    name: ClassVar[str] = "video-teacher"

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim)."""
        with torch.no_grad():
            features = self.network(source).encode(source, None).float()
            return features.take_along_dim(tokens[:, :, None], dim=1)

    def loss(self, prediction: Tensor, values: Tensor, valid: Tensor | None) -> Tensor:
        """The mean smooth L1."""
        if valid is None:
            return F.smooth_l1_loss(prediction, values)
        each = F.smooth_l1_loss(prediction, values, reduction="none").mean(2)
        return (each * valid).sum() / valid.sum()


@dataclass(frozen=True, eq=False)
class ImageTeacher(VideoTeacher):
    """Output of the last block of an encoder of pictures, before its norm, for the first frame of each tubelet.

    teacher: an encoder of clips of one frame, whose patches are the model's tokens of a step, as `mgm.load_encoder` reads it from
    MAE's files.
    """

    name: ClassVar[str] = "image-teacher"
    needs: ClassVar[Literal["teacher", "image_teacher"]] = "image_teacher"

    def __post_init__(self) -> None:
        found, expected = self.teacher_spec, (1, *self.spec.grid[1:])
        if (found.grid, found.frames, found.frame_size) != (expected, 1, self.spec.frame_size):
            raise ModelError(
                "image teacher",
                f"found tokens {found.grid} of clips {found.video_shape}",
                f"{expected} of one frame of {self.spec.frame_size}",
                "give the encoder of an image model, such as MAE's, of the same patches",
                reason="mismatch",
            )
        self._freeze()

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns float32 (B, n, dim)."""
        with torch.no_grad():
            frames = source[:, :, :: self.spec.tubelet].transpose(1, 2).flatten(0, 1)[:, :, None]
            features = self.network(source).encode(frames, None, block=-1).float()
            return features.view(len(source), -1, self.dim).take_along_dim(tokens[:, :, None], dim=1)
