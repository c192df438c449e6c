"""The backbones: tokens in, tokens out. A new one is a class, and a line of `BACKBONES`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from torch import Tensor, nn

from mgm.models.attention import Block
from mgm.models.divided_attention import DividedBlock, same_position_mask
from mgm.models.spec import ModelSpec


class Backbone(Protocol):
    """The blocks of an encoder, and the token positions that they need."""

    def blocks(self) -> list[nn.Module]:
        """The blocks. Each is called as `block(x, *layout)`, (B, n, dim) to (B, n, dim), and has `drop_path`, a rate, and
        `weights(x, query=...)`, the attention of one token to all tokens of an unmasked clip, (B, heads, N)."""
        ...

    def layout(self, visible: Tensor | None) -> tuple[Tensor, ...]:
        """Arguments of every block that depend on the token positions, computed once per batch.

        Args:
            visible: int64 (B, n); None: all N.
        """
        ...


@dataclass(frozen=True)
class Joint:
    """Joint space-time attention: visible tokens attend to all visible tokens (VideoMAE; TimeSformer's "joint")."""

    spec: ModelSpec

    def blocks(self) -> list[nn.Module]:
        """VideoMAE's blocks."""
        stack, eps = self.spec.encoder, self.spec.norm_eps
        return [Block(stack.dim, stack.heads, eps=eps, hidden=stack.hidden) for _ in range(stack.depth)]

    def layout(self, visible: Tensor | None) -> tuple[Tensor, ...]:
        """Nothing: the tokens contain their position embeddings."""
        return ()


@dataclass(frozen=True)
class Divided:
    """Divided space-time attention: along time at each position (h, w), then within each step (TimeSformer)."""

    spec: ModelSpec

    def blocks(self) -> list[nn.Module]:
        """TimeSformer's blocks."""
        stack, steps, eps = self.spec.encoder, self.spec.grid[0], self.spec.norm_eps
        return [
            DividedBlock(stack.dim, stack.heads, steps=steps, eps=eps, hidden=stack.hidden) for _ in range(stack.depth)
        ]

    def layout(self, visible: Tensor | None) -> tuple[Tensor, ...]:
        """The result of `same_position_mask`."""
        return (
            () if visible is None else (same_position_mask(visible, positions=self.spec.tokens // self.spec.grid[0]),)
        )


BACKBONES: Final[Mapping[tuple[str, str], type[Joint] | type[Divided]]] = {
    ("vit", "joint"): Joint,
    ("timesformer", "divided"): Divided,
    # Only TimeSformer's separable position embeddings differ from a ViT; `ModelSpec.position` chooses those.
    ("timesformer", "joint"): Joint,
}
"""All backbones by `ModelSpec.backbone` and `ModelSpec.attention`; `spec.ATTENTIONS` lists the same names."""


def build_backbone(spec: ModelSpec) -> Backbone:
    """The backbone of a specification."""
    return BACKBONES[spec.backbone, spec.attention_kind](spec)
