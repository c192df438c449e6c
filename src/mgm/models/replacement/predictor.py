"""Masked prediction by a network that sees all tokens: BEiT's scheme, used by MaskFeat and BEVT."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.autoencoder import Reconstruction
from mgm.models.encoder import Encoder
from mgm.models.patches import check_video, selected_tokens, to_device
from mgm.models.replacement.catalog import build_trunk
from mgm.models.spec import ModelSpec
from mgm.models.targets import ReconstructionObjective, Target, TargetChoice, build_objective
from mgm.models.tokenizers import Tokenizer


# A tuple, because DistributedDataParallel and Lightning Fabric move tuples between devices.
class ReplacementSplit(NamedTuple):
    """The hidden tokens of a batch.

    Attributes:
        replaced: bool (B, t, h, w).
        tokens: int64 (B, n), those to predict.
        valid: bool (B, n), False for padding; None without.
    """

    replaced: Tensor
    tokens: Tensor
    valid: Tensor | None = None


class MaskedPredictor(nn.Module):
    """Hidden tokens are replaced by a learned token after the patch embedding; a linear layer predicts their target from the
    network's features. Nothing is reconstructed at visible tokens, and there is no decoder of its own.

    Args:
        spec: the clip, its tokens and the size of the network.
        trunk: a name of `TRUNKS`.
        target, teacher, tokenizer: as in `MaskedAutoencoder`.
        drop_path: rate of stochastic depth of the last block.
        checkpointing: recompute the blocks' activations.
        pictures: whether it also takes clips of one step, pictures in batches of their own (BEVT).

    Raises:
        ModelError: an unknown name, or a target that does not fit the network.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        trunk: str = "vit",
        target: TargetChoice = "normalised-pixels",
        teacher: Encoder | ModelSpec | None = None,
        tokenizer: Tokenizer | int | None = None,
        drop_path: float = 0.0,
        checkpointing: bool = False,
        pictures: bool = False,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.picture_spec = replace(spec, frames=spec.tubelet) if pictures else None
        self.trunk_name = trunk
        self.objective = build_objective(spec, target, teacher=teacher, tokenizer=tokenizer)
        self.trunk = build_trunk(trunk, spec)
        if pictures:
            self.trunk.add_pictures()
        self.trunk.set_up(drop_path=drop_path, checkpointing=checkpointing)
        rest = self.objective.dim % self.trunk.per_token
        if rest or (self.trunk.per_token > 1 and len(self.objective.targets) > 1):
            raise ModelError(
                "target",
                f"found {' and '.join(target.name for target, _ in self.objective.targets)} of {self.objective.dim} values",
                f"one target with a value for each of the {self.trunk.per_token} frames of a token",
                f"{trunk} predicts frame by frame",
                reason="conflict",
            )
        self.head = nn.Linear(self.trunk.feature_dim, self.objective.dim // self.trunk.per_token)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    @property
    def encoder(self) -> nn.Module:
        """The network without its mask token and its head."""
        return self.trunk.encoder

    @property
    def reads_motion(self) -> bool:
        """Whether a target needs the motion of the clip."""
        return self.objective.reads_motion

    @property
    def target(self) -> Target | ReconstructionObjective:
        """See `ReconstructionObjective.target`."""
        return self.objective.target

    def forward(
        self,
        video: Tensor,
        mask: Tensor | ReplacementSplit,
        decode: Tensor | None = None,
        *,
        motion: Tensor | None = None,
        predict: bool = False,
    ) -> Reconstruction:
        """The loss of predicting the hidden tokens; as `MaskedAutoencoder.forward`, but clips may hide different numbers."""
        shown = isinstance(video, Tensor) and video.ndim == 5 and video.shape[2] == self.spec.tubelet
        check_video(video, self._spec_of(pictures=shown))
        if isinstance(mask, Tensor):
            mask = self.split(mask, decode, device=video.device)
        rows, columns = (self.objective.motion_parts * side for side in self.spec.grid[1:])
        self.objective.check_motion(motion, (len(video), self.spec.frames, rows, columns, 2))
        replaced, tokens, valid = mask
        features = self.trunk(video, replaced).flatten(2)
        chosen = features.take_along_dim(tokens[:, :, None], dim=1).unflatten(2, (self.trunk.per_token, -1))
        prediction = self.objective.activate(self.head(chosen).flatten(2).float())
        target = self.objective.target_values(video, tokens, motion)
        loss, parts = self.objective.loss(prediction, target, valid)
        if not predict:
            return Reconstruction(loss, parts)
        return Reconstruction(loss, parts, prediction, target, tokens, valid)

    def split(
        self, mask: Tensor, decode: Tensor | None = None, *, device: torch.device | str = "cpu"
    ) -> ReplacementSplit:
        """The hidden tokens of masks, computed ahead of `forward`, which accepts them instead of the masks.

        Args:
            mask: bool (B, t, h, w) or (B, N), True = hidden.
            decode: of the same shape, True = predict this token if it is hidden.

        Raises:
            ModelError: another shape or type, or no token of the batch is hidden.
        """
        batch = len(mask) if isinstance(mask, Tensor) else 1  # other types raise in selected_tokens
        spec = self._spec_of(pictures=isinstance(mask, Tensor) and mask.ndim == 4 and mask.shape[1] == 1)
        tokens, valid = selected_tokens(mask, decode, spec, batch=batch)
        target = torch.device(device)
        replaced = mask.reshape(batch, *spec.grid)
        return ReplacementSplit(
            to_device(replaced, target), to_device(tokens, target), None if valid is None else to_device(valid, target)
        )

    def _spec_of(self, *, pictures: bool) -> ModelSpec:
        return self.picture_spec if pictures and self.picture_spec is not None else self.spec
