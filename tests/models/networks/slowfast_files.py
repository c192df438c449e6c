"""Weights of SlowFast under the names of its three publishers, listed from their code."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mgm.models.networks.slowfast import SlowFastSpec

Publisher = Literal["PySlowFast", "pytorchvideo", "Caffe2"]


class Names(NamedTuple):
    """The names of one weight; "" where the publisher has no such network."""

    PySlowFast: str
    pytorchvideo: str
    Caffe2: str


def slowfast_weights(spec: SlowFastSpec, *, classes: int, seed: int = 0) -> dict[Names, Tensor]:
    """Random weights of a network."""
    found: dict[Names, Tensor] = {}
    draw = torch.Generator().manual_seed(seed)

    def conv(names: Names, *shape: int) -> None:
        key = Names(f"{names[0]}.weight", f"{names[1]}.weight", f"{names[2]}_w")
        found[key] = torch.randn(shape, generator=draw) / math.prod(shape[1:]) ** 0.5

    def norm(names: Names, width: int) -> None:
        for theirs, caffe in (("weight", "s"), ("bias", "b"), ("running_mean", "rm"), ("running_var", "riv")):
            key = Names(f"{names[0]}.{theirs}", f"{names[1]}.{theirs}", f"{names[2]}_{caffe}")
            found[key] = torch.rand(width, generator=draw) + 0.5

    def with_norm(names: Names, norms: Names, *shape: int) -> None:
        conv(names, *shape)
        norm(norms, shape[0])

    widths = {"": spec.width, "t_": spec.width // 8}
    for path, (prefix, width) in enumerate(widths.items()):
        stem, video = f"s1.pathway{path}_stem", f"blocks.0.multipathway_blocks.{path}"
        with_norm(
            Names(f"{stem}.conv", f"{video}.conv", f"{prefix}conv1"),
            Names(f"{stem}.bn", f"{video}.norm", f"{prefix}res_conv1_bn"),
            width, 3, 5 if path else 1, 7, 7,
        )  # fmt: skip
    for stage in range(4):
        last = "t_pool1" if stage == 0 else f"t_res{stage + 1}_{spec.depths[stage - 1] - 1}_branch2c_bn"
        fast = widths["t_"] * (1 if stage == 0 else 4 * 2 ** (stage - 1))
        fuse = f"s{stage + 1}_fuse", f"blocks.{stage}.multipathway_fusion"
        with_norm(
            Names(f"{fuse[0]}.conv_f2s", f"{fuse[1]}.conv_fast_to_slow", f"{last}_subsample"),
            Names(f"{fuse[0]}.bn", f"{fuse[1]}.norm", f"{last}_subsample_bn"),
            2 * fast, fast, spec.fusion_kernel, 1, 1,
        )  # fmt: skip
        for path, (prefix, width) in enumerate(widths.items()):
            inner, out = width * 2**stage, 4 * width * 2**stage
            dim = fast if path else (widths[""] if stage == 0 else 2 * widths[""] * 2**stage) + 2 * fast
            for block in range(spec.depths[stage]):
                here = f"s{stage + 2}.pathway{path}_res{block}"
                video = f"blocks.{stage + 1}.multipathway_blocks.{path}.res_blocks.{block}"
                caffe = f"{prefix}res{stage + 2}_{block}"
                if block == 0:
                    with_norm(
                        Names(f"{here}.branch1", f"{video}.branch1_conv", f"{caffe}_branch1"),
                        Names(f"{here}.branch1_bn", f"{video}.branch1_norm", f"{caffe}_branch1_bn"),
                        out, dim, 1, 1, 1,
                    )  # fmt: skip
                temporal = 3 if (path or stage > 1) and block < spec.temporal[stage] else 1
                shapes = (inner, dim, temporal, 1, 1), (inner, inner, 1, 3, 3), (out, inner, 1, 1, 1)
                for letter, shape in zip("abc", shapes, strict=True):
                    with_norm(
                        Names(f"{here}.branch2.{letter}", f"{video}.branch2.conv_{letter}", f"{caffe}_branch2{letter}"),
                        Names(
                            f"{here}.branch2.{letter}_bn",
                            f"{video}.branch2.norm_{letter}",
                            f"{caffe}_branch2{letter}_bn",
                        ),
                        *shape,
                    )
                dim = out
    for block in spec.nonlocal_after:
        dim = 16 * spec.width
        here, caffe = f"s4.pathway0_nonlocal{block}", f"nonlocal_conv4_{block}"
        for part, shape in (
            ("theta", (dim // 2, dim)),
            ("phi", (dim // 2, dim)),
            ("g", (dim // 2, dim)),
            ("out", (dim, dim // 2)),
        ):
            conv(Names(f"{here}.conv_{part}", "", f"{caffe}_{part}"), *shape, 1, 1, 1)
            bias = Names(f"{here}.conv_{part}.bias", f"{here}.{part}", f"{caffe}_{part}_b")
            found[bias] = torch.randn(shape[0], generator=draw)
        norm(Names(f"{here}.bn", f"{here}.bn", f"{caffe}_bn"), dim)
    features = 32 * sum(widths.values())
    conv(Names("head.projection", "blocks.6.proj", "pred"), classes, features)
    found[Names("head.projection.bias", "blocks.6.proj.bias", "pred_b")] = torch.randn(classes, generator=draw)
    return found


def published(weights: dict[Names, Tensor], publisher: Publisher) -> dict[str, Tensor]:
    """The weights under one publisher's names, without the counters of batch norm."""
    return {getattr(names, publisher): value for names, value in weights.items()}
