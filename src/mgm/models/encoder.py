"""The encoder: a backbone over the visible tokens of a clip."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.attention import initialise_blocks, linear_drop_path, run_block
from mgm.models.backbones import build_backbone
from mgm.models.patches import MEAN, STD, check_video, patchify, split_mask, to_device
from mgm.models.position import interpolate_embedding, position_embedding
from mgm.models.spec import ModelSpec


class Encoder(nn.Module):
    """VideoMAE's ViT (Tong et al. 2022), or another backbone of `BACKBONES`, over visible tokens only.

    Names of parameters are those of the reference's checkpoints; `patch_embed` is its convolution written as a linear layer over
    the channel-last pixels of a token, so that hidden patches are never embedded.

    Args:
        spec: sizes and shapes.
        drop_path: rate of stochastic depth of the last block, growing linearly from 0 at the first.

    Attributes:
        checkpointing: in training, store the blocks' inputs only and recompute the rest in the backward pass: less memory, about a
            third more work, the same gradients.
    """

    def __init__(self, spec: ModelSpec, *, drop_path: float = 0.0) -> None:
        super().__init__()
        self.spec = spec
        self.checkpointing = False
        self.backbone = build_backbone(spec)
        dim = spec.encoder.dim
        # PyTorch initialises a Linear as a Conv3d of equal fan-in; the reference keeps that initialisation.
        self.patch_embed = nn.Linear(3 * spec.token_pixels, dim)
        if spec.patch_init == "xavier":
            nn.init.xavier_uniform_(self.patch_embed.weight)
            nn.init.zeros_(self.patch_embed.bias)
        self.blocks = nn.ModuleList(self.backbone.blocks())
        self.norm = nn.LayerNorm(dim, eps=spec.norm_eps) if spec.encoder_norm else nn.Identity()
        initialise_blocks(self.blocks)
        self.set_drop_path(drop_path)
        self._init_position(spec)
        self.scale: Tensor
        self.shift: Tensor
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        self.register_buffer("scale", (1 / (255 * std)).repeat(spec.token_pixels), persistent=False)
        self.register_buffer("shift", (-mean / std).repeat(spec.token_pixels), persistent=False)

    def forward(self, video: Tensor, mask: Tensor | None = None, *, block: int | None = None) -> Tensor:
        """The representation of the visible tokens, in the order of the tokens.

        Args:
            video: (B, 3, T, H, W), uint8 RGB, normalised here; or floating point, taken as normalised with ImageNet's mean and
                standard deviation.
            mask: bool (B, t, h, w) or (B, N), True = hidden, the same number in every clip, and with divided attention in every
                step; None: all tokens are visible. A mask on the CPU spares a synchronisation with the GPU.
            block: return the output of this block (from 0; negative counts from the end), without the final norm.

        Returns:
            (B, n_visible, dim).

        Raises:
            ModelError: shapes, types, counts or values do not fit.
        """
        check_video(video, self.spec)
        visible = None
        if mask is not None:
            visible = to_device(split_mask(mask, self.spec, batch=len(video))[0], video.device)
        return self.encode(video, visible, block=block)

    def encode(self, video: Tensor, visible: Tensor | None, *, block: int | None = None) -> Tensor:
        """`forward` without checks. visible: int64 (B, n), the tokens to encode, on the video's device; None: all."""
        return self.transform(self.embed(video, visible), visible, block=block)

    def transform(self, x: Tensor, visible: Tensor | None = None, *, block: int | None = None) -> Tensor:
        """`encode` from the result of `embed`, of the same `visible` tokens."""
        depth = len(self.blocks) if block is None else self.check_block(block) + 1
        x = self._with_class_token(x)
        layout = self.backbone.layout(visible)
        for layer in self.blocks[:depth]:
            x = run_block(layer, x, *layout, checkpointing=self.checkpointing)
        if block is None:
            x = self.norm(x)
        return x if self.class_token is None else x[:, 1:]

    def embed(self, video: Tensor, visible: Tensor | None = None) -> Tensor:
        """Tokens before the first block, (B, n, dim): linear embedding of the pixels plus the position embedding."""
        pixels = patchify(video, self.spec, visible).flatten(2)
        normalised = pixels.to(self.patch_embed.weight.dtype)
        if video.dtype == torch.uint8:
            normalised = normalised * self.scale + self.shift
        positions = self.position_embedding()
        positions = positions if visible is None else positions[visible]
        x: Tensor = self.patch_embed(normalised) + positions
        return x

    def position_embedding(self) -> Tensor:
        """The position embeddings of all tokens, (N, dim), row-major (t, h, w)."""
        if self.position is not None:
            return self.position
        return (self.position_time[:, None] + self.position_space).flatten(0, 1)

    def attention(self, video: Tensor, *, query: int, block: int = -1) -> Tensor:
        """The attention that one token pays to all tokens of an unmasked video, in one block.

        Args:
            query: index of the token, row-major (t, h, w).

        Returns:
            (B, heads, N); each row sums to 1, or to less with a class token, which takes the rest. Of divided attention it is the
            attention within the token's step, 0 to other steps.

        Raises:
            ModelError: the video does not fit, or the token or the block does not exist.
        """
        check_video(video, self.spec)
        self._check_query(query)
        index = self.check_block(block)
        x = self._with_class_token(self.embed(video))
        for layer in self.blocks[:index]:
            x = layer(x)
        first = 0 if self.class_token is None else 1
        weights: Tensor = self.blocks[index].weights(x, query=first + query)  # type: ignore[operator]  # `Backbone.blocks`
        return weights[..., first:]

    @torch.no_grad()
    def attention_rollout(self, video: Tensor, *, query: int) -> Tensor:
        """The attention that one token pays to all tokens through all blocks (Abnar and Zuidema 2020).

        In each block half of it stays at the token, and half goes by the mean over heads.

        Arguments and errors as in `attention`; also ModelError for divided attention.
        Returns (B, N); rows sum to 1, or to less with a class token.
        """
        check_video(video, self.spec)
        self._check_query(query)
        if self.spec.divided:
            raise ModelError(
                "rollout",
                "found divided attention",
                "joint attention",
                "show the attention of one block",
                reason="unsupported",
            )
        x = self._with_class_token(self.embed(video))
        first = 0 if self.class_token is None else 1
        steps = []
        for layer in self.blocks:
            steps.append(layer.mean_weights(x))  # type: ignore[operator]  # `Backbone.blocks`
            x = layer(x)
        row = x.new_zeros(len(x), 1, x.shape[1])
        row[:, :, first + query] = 1
        for weights in reversed(steps):
            row = (row + row @ weights) / 2
        return row[:, 0, first:]

    def _check_query(self, query: int) -> None:
        if not 0 <= query < self.spec.tokens:
            raise ModelError("query", f"found token {query}", f"0 to {self.spec.tokens - 1}", reason="invalid_value")

    def at(
        self,
        *,
        frames: int | None = None,
        resolution: int | tuple[int, int] | None = None,
        position: Literal["recomputed", "interpolated"] = "recomputed",
    ) -> "Encoder":
        """An encoder with the same weights for clips of another length or size.

        Args:
            frames, resolution: as in `ModelSpec`; None keeps them. Patch and tubelet stay: they are in the weights.
            position: origin of the position embeddings. "recomputed": their formula on the new grid; with sincos-3d a position
                keeps its embedding. "interpolated": the embeddings of the old grid, interpolated to the new one; with sincos-1d,
                whose formula numbers the tokens, only this keeps them similar. Learned embeddings can only be interpolated.

        Returns:
            A copy, on the same device and in the same mode.

        Raises:
            ModelError: the clip cannot be divided into patches, or learned embeddings would have to be recomputed.
        """
        if position not in ("recomputed", "interpolated"):
            raise ModelError("position", f"found {position!r}", "recomputed or interpolated", reason="unknown_name")
        learned, known = self.position is None, self.spec.position_grid or self.spec.grid
        spec = replace(
            self.spec,
            frames=self.spec.frames if frames is None else frames,
            resolution=self.spec.resolution if resolution is None else resolution,
            position_grid=known if position == "interpolated" and not learned else None,
        )
        state = {name: value.detach().clone() for name, value in self.state_dict().items()}
        if learned and spec.grid != self.spec.grid:
            if position == "recomputed":
                raise ModelError(
                    "position",
                    "learned embeddings have no formula to recompute",
                    advice="pass position='interpolated'",
                    reason="unsupported",
                )
            (t, h, w), (new_t, new_h, new_w) = self.spec.grid, spec.grid
            time, space = state["position_time"], state["position_space"]
            state["position_time"] = interpolate_embedding(time, (t, 1, 1), (new_t, 1, 1))
            state["position_space"] = interpolate_embedding(space, (1, h, w), (1, new_h, new_w))
        with torch.random.fork_rng(devices=[]):  # the initial weights are replaced
            other = Encoder(spec)
        other.load_state_dict(state)
        for mine, theirs in zip(self.blocks, other.blocks, strict=True):
            theirs.drop_path = mine.drop_path
        other.checkpointing = self.checkpointing
        return other.to(self.patch_embed.weight).train(self.training)

    def set_drop_path(self, rate: float) -> None:
        """Set stochastic depth: 0 in the first block, growing linearly to `rate` in the last.

        Raises:
            ModelError: the rate is outside of [0, 1).
        """
        for layer, own in zip(self.blocks, linear_drop_path(rate, len(self.blocks)), strict=True):
            layer.drop_path = own  # type: ignore[assignment]  # see `Backbone.blocks`

    def remove_norm(self) -> None:
        """Remove the final norm, as fine-tuning does; `spec.encoder_norm` becomes False."""
        self.norm = nn.Identity()
        self.spec = replace(self.spec, encoder_norm=False)

    def _init_position(self, spec: ModelSpec) -> None:
        """Create the class token and the position embeddings: a fixed buffer, or two learned tables."""
        dim = spec.encoder.dim
        self.class_token = nn.Parameter(torch.empty(1, 1, dim)) if spec.class_token else None
        self.position: Tensor | None
        learned = spec.position == "learned-separable"
        self.register_buffer("position", None if learned else position_embedding(spec, dim), persistent=False)
        if learned:
            t, h, w = spec.grid
            self.position_time = nn.Parameter(torch.empty(t, dim))
            self.position_space = nn.Parameter(torch.empty(h * w, dim))
        for table in (self.class_token, *((self.position_time, self.position_space) if learned else ())):
            if table is not None:
                nn.init.trunc_normal_(table, std=0.02)

    def _with_class_token(self, x: Tensor) -> Tensor:
        if self.class_token is None:
            return x
        return torch.cat((self.class_token.expand(x.shape[0], -1, -1), x), dim=1)

    def check_block(self, block: int) -> int:
        """The index of a block, counted from 0. block: from 0, or negative from the end. Raises ModelError if out of range."""
        depth = len(self.blocks)
        if not -depth <= block < depth:
            raise ModelError(
                "block",
                f"found {block}",
                f"{-depth} to {depth - 1}",
                f"the encoder has {depth} blocks",
                reason="invalid_value",
            )
        return block % depth
