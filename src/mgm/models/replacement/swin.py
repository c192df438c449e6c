"""Video Swin in masked prediction, with the decoder of BEVT (Wang et al. 2022)."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from mgm.models.networks.swin import SwinBackbone, SwinSpec
from mgm.models.patches import MEAN, STD
from mgm.models.replacement.trunk import Trunk, normalised, sizes_of, wrong_tokens
from mgm.models.spec import ModelSpec

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
        swin = sizes_of("swin", spec, SWIN_SIZES)
        token = (swin.patch[0], swin.shrink // 2)
        if (spec.tubelet, spec.patch) != token:
            found = f"found tokens of {spec.tubelet} frames and {spec.patch} pixels"
            raise wrong_tokens(found, f"{token[0]} and {token[1]}, the cells of the map before the last")
        super().__init__(spec, swin.dim)
        dim, before = swin.widths[-1], swin.widths[-2]
        self.encoder = SwinBackbone(swin)
        self.up = nn.ConvTranspose3d(dim, dim, (1, 2, 2), (1, 2, 2))
        self.join = nn.Linear(before + dim, dim)
        self.in_time = nn.ConvTranspose3d(dim, dim, (swin.patch[0], 1, 1), (swin.patch[0], 1, 1))
        self.feature_dim, self.per_token = dim, swin.patch[0]
        self.picture_embed: nn.Conv2d | None = None
        self.picture_norm: nn.LayerNorm | None = None

    def set_up(self, *, drop_path: float, checkpointing: bool) -> None:
        """See `Trunk.set_up`."""
        self.encoder.set_drop_path(drop_path)
        self.encoder.checkpointing = checkpointing

    def add_pictures(self) -> None:
        """A patch embedding of pictures alone, as BEVT has it; all later layers are shared. See `Trunk.add_pictures`."""
        swin = self.encoder.spec
        self.picture_embed = nn.Conv2d(3, swin.dim, swin.patch[1:], swin.patch[1:])
        self.picture_norm = nn.LayerNorm(swin.dim)

    def forward(self, video: Tensor, hidden: Tensor) -> Tensor:
        """See `Trunk.forward`. A picture is a clip of one step: its frames are equal, and so are their features."""
        pixels = normalised(video, MEAN, STD)
        of_pictures = self.picture_embed is not None and hidden.shape[1] == 1
        x = self._embed_pictures(pixels) if of_pictures else self.encoder.embed(pixels)
        *_, before, last = self.encoder.stages(self.replace(x, hidden))
        batch, t, h, w, _ = before.shape
        up = self.up(last.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)[:, :, :h, :w]
        joined = self.join(torch.cat((before, up), dim=-1))
        if of_pictures:
            shown = self.encoder.norm(joined).expand(-1, self.per_token, -1, -1, -1)
            return self._with_all(shown.permute(0, 2, 3, 1, 4).flatten(1, 2), self.in_time, self.encoder.patch_embed)
        frames = self.encoder.norm(self.in_time(joined.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1))
        features: Tensor = frames.view(batch, t, self.per_token, h, w, -1).permute(0, 1, 3, 4, 2, 5)
        return self._with_all(features.flatten(1, 3), self.picture_embed, self.picture_norm)

    def _embed_pictures(self, pixels: Tensor) -> Tensor:
        assert self.picture_embed is not None
        assert self.picture_norm is not None
        embedded: Tensor = self.picture_norm(self.picture_embed(pixels[:, :, 0]).permute(0, 2, 3, 1))
        return embedded[:, None]

    def _with_all(self, features: Tensor, *unused: nn.Module | None) -> Tensor:
        """The features, with a gradient of zero for layers that this kind of batch does not use: processes that train together
        must have one for every weight."""
        if self.picture_embed is None or not torch.is_grad_enabled():
            return features
        zero = sum(0 * p.sum() for module in unused if module is not None for p in module.parameters())
        return features + zero
