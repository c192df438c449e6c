"""Video Swin in masked prediction, with the decoder of BEVT (Wang et al. 2022)."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.networks.swin import SwinBackbone, SwinSpec
from mgm.models.patches import MEAN, STD
from mgm.models.replacement.trunk import Trunk, normalised
from mgm.models.sizes import ModelSpec

SWIN_SIZES: Final[Mapping[str, SwinSpec]] = {
    "debug": SwinSpec(dim=16, depths=(1, 2, 1), heads=(1, 2, 4), window=(2, 4, 4)),
    "B": SwinSpec(),
}
"""The backbones by `ModelSpec.size`."""


class SwinTrunk(Trunk):
    """The last map, doubled in space by a transposed convolution, beside the map before it; a linear layer brings both to the width
    of the last map, and another transposed convolution refines tokens to frames. The norm is that of the backbone.

    A token is a cell of the map before the last one: of 16 x 16 pixels for Swin-B.
    """

    encoder: SwinBackbone

    def __init__(self, spec: ModelSpec) -> None:
        if spec.size not in SWIN_SIZES:
            raise ModelError(
                "size", f"found {spec.size!r}", f"{' or '.join(SWIN_SIZES)} for swin", reason="unknown_name"
            )
        swin = SWIN_SIZES[str(spec.size)]
        token = (swin.patch[0], swin.shrink // 2)
        if (spec.tubelet, spec.patch) != token:
            raise ModelError(
                "patch",
                f"found tokens of {spec.tubelet} frames and {spec.patch} pixels",
                f"{token[0]} and {token[1]}, the cells of the map before the last",
                "leave model.patch and model.tubelet out",
                reason="mismatch",
            )
        super().__init__(spec, swin.dim)
        dim, before = swin.widths[-1], swin.widths[-2]
        self.encoder = SwinBackbone(swin)
        self.up = nn.ConvTranspose3d(dim, dim, (1, 2, 2), (1, 2, 2))
        self.join = nn.Linear(before + dim, dim)
        self.in_time = nn.ConvTranspose3d(dim, dim, (swin.patch[0], 1, 1), (swin.patch[0], 1, 1))
        self.feature_dim, self.per_token = dim, swin.patch[0]

    def set_up(self, *, drop_path: float, checkpointing: bool) -> None:
        """See `Trunk.set_up`."""
        self.encoder.set_drop_path(drop_path)
        self.encoder.checkpointing = checkpointing

    def forward(self, video: Tensor, hidden: Tensor) -> Tensor:
        """See `Trunk.forward`."""
        x = self.encoder.embed(normalised(video, MEAN, STD))
        *_, before, last = self.encoder.stages(self.replace(x, hidden))
        batch, t, h, w, _ = before.shape
        up = self.up(last.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)[:, :, :h, :w]
        joined = self.join(torch.cat((before, up), dim=-1))
        frames = self.encoder.norm(self.in_time(joined.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1))
        features: Tensor = frames.view(batch, t, self.per_token, h, w, -1).permute(0, 1, 3, 4, 2, 5)
        return features.flatten(1, 3)
