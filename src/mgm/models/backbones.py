"""The backbones: tokens in, tokens out. A new one is one small class and one line in `backbone_of`."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from mgm.models.attention import Block
from mgm.models.sizes import ModelSpec
from mgm.models.timesformer import DividedBlock, same_position_mask


class Backbone(Protocol):
    """Which blocks an encoder has, and what they must know of where the tokens are."""

    @property
    def equal_steps(self) -> bool:
        """Every step must have the same number of visible tokens."""
        ...

    def blocks(self) -> list[nn.Module]:
        """The blocks. Each is called as `block(x, *layout)`, (B, n, dim) to (B, n, dim), and has `drop_path`, a rate, and
        `weights(x, query=...)`, the attention of one token to all tokens of an unmasked clip, (B, heads, N)."""
        ...

    def layout(self, visible: Tensor | None) -> tuple[Tensor, ...]:
        """What all blocks need of where the tokens are, computed once per batch. visible: int64 (B, n); None: all N."""
        ...


@dataclass(frozen=True)
class Joint:
    """Joint space-time attention: every visible token attends to all of them (VideoMAE; TimeSformer's "joint")."""

    spec: ModelSpec
    equal_steps: bool = False

    def blocks(self) -> list[nn.Module]:
        """VideoMAE's blocks."""
        stack, eps = self.spec.encoder, self.spec.norm_eps
        return [Block(stack.dim, stack.heads, eps=eps, hidden=stack.hidden) for _ in range(stack.depth)]

    def layout(self, visible: Tensor | None) -> tuple[Tensor, ...]:
        """Nothing: the places are in the codes."""
        return ()


@dataclass(frozen=True)
class Divided:
    """Divided space-time attention: along time at each place, then within each step (TimeSformer)."""

    spec: ModelSpec
    equal_steps: bool = True

    def blocks(self) -> list[nn.Module]:
        """TimeSformer's blocks."""
        stack, steps, eps = self.spec.encoder, self.spec.grid[0], self.spec.norm_eps
        return [
            DividedBlock(stack.dim, stack.heads, steps=steps, eps=eps, hidden=stack.hidden) for _ in range(stack.depth)
        ]

    def layout(self, visible: Tensor | None) -> tuple[Tensor, ...]:
        """Which tokens share a place."""
        return () if visible is None else (same_position_mask(visible, places=self.spec.tokens // self.spec.grid[0]),)


def backbone_of(spec: ModelSpec) -> Backbone:
    """The backbone that `spec` asks for. TimeSformer with joint attention has the blocks of a ViT: only its codes of time
    and space were its own, for which `position` stands here."""
    return Divided(spec) if spec.divided else Joint(spec)
