"""Attention of long rows that keeps its weights for the way back instead of computing them twice.

PyTorch's fused attention computes the products of queries and keys, and their exponentials, once more in the backward
pass: right where memory is dear or slow. On a CPU a part of the weights may stay (`KEPT`).
"""

import math
from collections.abc import Iterator
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mgm.models.cpu.applies import applies
from mgm.models.cpu.linear import product
from mgm.models.cpu.threads import for_each

LONG: Final = 1024
"""Keys from which on it gains; shorter rows fit a core's caches either way."""
TILE: Final = 2**19
"""Weights that a core works on at a time: about its second-level cache."""
KEPT: Final = 2**25
"""Weights that one call keeps, 128 MiB; those beyond are computed once more."""


def attention(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.scaled_dot_product_attention`.

    query: (B, heads, n, d). key, value: (B, heads, m, d). mask: bool, broadcast to (B, heads, n, m), or None.
    Returns (B, heads, n, d).
    """
    if mask is not None or key.shape[2] < LONG or not applies(query):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # Powers of 2 are three times as fast as powers of e.
    scaled = query * (query.shape[3] ** -0.5 / math.log(2))
    parts = (part.flatten(0, 1).contiguous() for part in (scaled, key, value))
    mixed: Tensor = _Attention.apply(*parts)[0]  # type: ignore[no-untyped-call]
    return mixed.view(query.shape)


class _Attention(torch.autograd.Function):
    """query: (c, n, d), scaled by log2(e) / sqrt(d). key, value: (c, m, d). Returns (c, n, d) and what `_backward` reads."""

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
    """Returns the result (c, n, d); each row's largest score and the sum of its powers, (c, n, 1); kept powers (k, m)."""
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
    """The gradients of query, key and value, of `grad`, that of the result, (c, n, d)."""
    to_query, to_key, to_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)

    def head(i: int) -> None:
        """Fills in one head of all gradients."""
        # Rows are divided by their sums here, where they are short.
        share = (grad[i] * out[i]).sum(1, keepdim=True).div_(total[i])
        asked = grad[i] / total[i]
        for row, power, to_score, stayed in _tiles(query, key, kept, i):
            if not stayed:
                torch.mm(query[i, row], key[i].t(), out=power)
                power.sub_(top[i, row]).exp2_()
            to_value[i].addmm_(power.t(), asked[row])
            torch.mm(asked[row], value[i].t(), out=to_score)
            to_score.sub_(share[row]).mul_(power)
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
        query.new_empty(min(rows, KEPT // key.shape[1]), key.shape[1]),
    )


def _tiles(query: Tensor, key: Tensor, kept: Tensor, head: int) -> Iterator[tuple[slice, Tensor, Tensor, bool]]:
    """Equal tiles of a head's rows.

    Yields which rows, where their powers are held, as much room again, and whether the powers stay for the way back.
    """
    n, m = query.shape[1], key.shape[1]
    size = -(-n // -(-n * m // TILE))
    powers, room = query.new_empty(2, size, m)
    for start in range(0, n, size):
        rows, place = min(size, n - start), head * n + start
        stays = place + rows <= len(kept)
        power = kept[place : place + rows] if stays else powers[:rows]
        yield slice(start, start + rows), power, room[:rows], stays
