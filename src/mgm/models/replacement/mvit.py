"""MViTv2 in masked prediction, as MaskFeat pretrains it (Wei et al. 2022)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.attention import linear_drop_path
from mgm.models.networks.mvit import MASKFEAT_S, MViT
from mgm.models.networks.mvit_spec import MViTSpec
from mgm.models.networks.network import PIXEL_MEAN, PIXEL_STD
from mgm.models.replacement.trunk import Trunk, normalised, sizes_of, wrong_tokens
from mgm.models.spec import ModelSpec

MVIT_SIZES: Final[Mapping[str, MViTSpec]] = {
    "debug": replace(MASKFEAT_S, depth=3, widen=(1, 2), pool=(1,), dim=16, key_stride=2),
    "S": MASKFEAT_S,
}
"""The networks by `ModelSpec.size`. One pooling less than usual, so that a token of 16 pixels is a cell of the last grid."""


class MViTTrunk(Trunk):
    """The class token takes part and predicts nothing."""

    encoder: MViT

    def __init__(self, spec: ModelSpec) -> None:
        height, width = spec.frame_size
        sizes = replace(sizes_of("mvit", spec, MVIT_SIZES), frames=spec.frames, size=height)
        last = sizes.blocks()[-1]
        grid = (last.grid[0], *(side // last.query_stride for side in last.grid[1:]))
        if height != width or grid != spec.grid:
            found = f"found tokens {spec.grid} of {spec.frames} frames of {height} x {width}"
            raise wrong_tokens(found, f"{grid}, the cells of the last block, of a square")
        super().__init__(spec, sizes.dim)
        self.encoder = MViT(sizes, classes=1)
        self.encoder.head = nn.Identity()  # type: ignore[assignment]  # it classifies nothing here
        self.feature_dim = self.encoder.feature_dim

    def set_up(self, *, drop_path: float, checkpointing: bool) -> None:
        """See `Trunk.set_up`; there is no checkpointing."""
        if checkpointing:
            raise ModelError(
                "checkpointing", "found true for mvit", "false", "lower pretrain.micro_batch", reason="unsupported"
            )
        rates = linear_drop_path(drop_path, len(self.encoder.blocks))
        for block, rate in zip(self.encoder.blocks, rates, strict=True):
            block.drop_path = rate  # type: ignore[assignment]

    def forward(self, video: Tensor, hidden: Tensor) -> Tensor:
        """See `Trunk.forward`."""
        embedded, grid = self.encoder.embed(normalised(video, [PIXEL_MEAN] * 3, [PIXEL_STD] * 3))
        replaced = self.replace(embedded.view(len(video), *grid, -1), hidden).flatten(1, 3)
        return self.encoder.encode(replaced, grid)[:, -self.spec.tokens :, None]
