"""Attention to many keys that keeps its weights for the backward pass instead of computing them twice.

PyTorch's fused attention computes the products of queries and keys, and their exponentials, again in the backward pass:
right where memory is scarce or slow. On a CPU, part of the weights can be kept (`_MOST_KEPT`).
"""

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mgm.models.accelerate.linear import applies, linear, product
from mgm.models.accelerate.threads import for_each
from mgm.models.attention import Attention, CrossAttention

_FEWEST_KEYS: Final = 1024
"""Fewest keys for which this attention is faster; shorter rows fit into a core's caches anyway."""
_TILE: Final = 2**19
"""Weights that a core works on at a time: about its second-level cache."""
_MOST_KEPT: Final = 2**25
"""Weights that one call keeps, 128 MiB; the others are computed again."""


class AcceleratedAttention(Attention):
    """`Attention` with the operations of this package in training mode."""

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return linear(x, weight, bias) if self.training else super()._linear(x, weight, bias)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        return attention(query, key, value, mask) if self.training else super()._attend(query, key, value, mask)


class AcceleratedCrossAttention(CrossAttention):
    """`CrossAttention` with the attention of this package in training mode."""

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return attention(query, key, value) if self.training else super()._attend(query, key, value)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.scaled_dot_product_attention`.

    Args:
        query: (B, heads, n, d).
        key, value: (B, heads, m, d).
        mask: bool, broadcast to (B, heads, n, m), or None.

    Returns:
        (B, heads, n, d).
    """
    if mask is not None or key.shape[2] < _FEWEST_KEYS or not applies(query):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # Powers of 2 are faster than powers of e.
    scaled = query * (query.shape[3] ** -0.5 / math.log(2))
    flat = (part.flatten(0, 1).contiguous() for part in (scaled, key, value))
    mixed: Tensor = _Attention.apply(*flat)[0]  # type: ignore[no-untyped-call]
    return mixed.view(query.shape)


class _Attention(torch.autograd.Function):
    """query: (c, n, d), scaled by log2(e) / sqrt(d). key, value: (c, m, d). Returns (c, n, d) and the inputs of `_backward`."""

    @staticmethod
    def forward(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        result: tuple[Tensor, Tensor, Tensor, Tensor] = _forward(query, key, value)
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs, *output)
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: None) -> tuple[Tensor, Tensor, Tensor]:
        gradients: tuple[Tensor, Tensor, Tensor] = _backward(grad.contiguous(), *ctx.saved_tensors)
        return gradients


@torch.library.custom_op("mgm::attention", mutates_args=())
def _forward(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns the result (c, n, d); the largest score and the sum of powers of each row, (c, n, 1); kept powers (k, m)."""
    out, top, total, kept = _empty(query, key)

    def head(i: int) -> None:
        """Fills in one head of all results."""
        for row, power, _, _ in _tiles(query, key, kept, i):
            torch.mm(query[i, row], key[i].t(), out=power)
            torch.amax(power, 1, keepdim=True, out=top[i, row])
            power.sub_(top[i, row]).exp2_()
            torch.sum(power, 1, keepdim=True, out=total[i, row])
            out[i, row] = product(power, value[i].t())
        out[i].div_(total[i])

    for_each(head, len(query))
    return out, top, total, kept


@torch.library.custom_op("mgm::attention_backward", mutates_args=())
def _backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, top: Tensor, total: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value. grad: the gradient of the result, (c, n, d)."""
    to_query, to_key, to_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)

    def head(i: int) -> None:
        """Fills in one head of all gradients."""
        # Divided by the sums of the rows here, where rows have d values and not m.
        mean = (grad[i] * out[i]).sum(1, keepdim=True).div_(total[i])
        scaled = grad[i] / total[i]
        for row, power, to_score, is_kept in _tiles(query, key, kept, i):
            if not is_kept:
                torch.mm(query[i, row], key[i].t(), out=power)
                power.sub_(top[i, row]).exp2_()
            to_value[i].addmm_(power.t(), scaled[row])
            torch.mm(scaled[row], value[i].t(), out=to_score)
            to_score.sub_(mean[row]).mul_(power)
            to_query[i, row] = product(to_score, key[i].t())
            to_key[i].addmm_(to_score.t(), query[i, row])
        to_query[i].mul_(math.log(2))
        to_key[i].mul_(math.log(2))

    for_each(head, len(query))
    return to_query, to_key, to_value


@_forward.register_fake
def _(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _empty(query, key)


@_backward.register_fake
def _(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _empty(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows = query.shape[0] * query.shape[1]
    return (
        torch.empty_like(query),
        query.new_empty(*query.shape[:2], 1),
        query.new_empty(*query.shape[:2], 1),
        query.new_empty(min(rows, _MOST_KEPT // key.shape[1]), key.shape[1]),
    )


class _Tile(NamedTuple):
    """Some rows of a head's attention weights: powers of 2 of their scores, float32 (rows, m)."""

    rows: slice
    powers: Tensor
    scratch: Tensor
    """As much memory again."""
    is_kept: bool
    """The powers are kept for the backward pass."""


def _tiles(query: Tensor, key: Tensor, kept: Tensor, head: int) -> Iterator[_Tile]:
    """Tiles of equal size over the rows of a head."""
    n, m = query.shape[1], key.shape[1]
    size = -(-n // -(-n * m // _TILE))
    powers, scratch = query.new_empty(2, size, m)
    for start in range(0, n, size):
        rows, first = min(size, n - start), head * n + start
        is_kept = first + rows <= len(kept)
        power = kept[first : first + rows] if is_kept else powers[:rows]
        yield _Tile(slice(start, start + rows), power, scratch[:rows], is_kept)
