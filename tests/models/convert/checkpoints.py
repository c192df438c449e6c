"""Checkpoints of random weights in the layouts of VideoMAE, and the published equations."""

import torch
import torch.nn.functional as F

from mgm.models.convert import Overrides, Weights, from_weights
from tests.models.reference import pretrained_shapes, random_state, tuned_shapes

SMALL = Overrides(frames=4, resolution=32, heads=2)


PRETRAINED = random_state(pretrained_shapes(dim=32, depth=2, width=16, layers=1))


TUNED = random_state(tuned_shapes(dim=32, depth=2, classes=5))


def load(state, overrides=SMALL, *, encoder_only=False, **more):
    return from_weights(Weights(state, **more), overrides, encoder_only=encoder_only)


def reference_blocks(state, x, prefix, depth, heads):
    """The published equations, one head at a time: an implementation of its own."""
    for i in range(depth):
        b = {
            k.removeprefix(f"{prefix}blocks.{i}."): v for k, v in state.items() if k.startswith(f"{prefix}blocks.{i}.")
        }
        dim = x.shape[-1]
        h = F.layer_norm(x, (dim,), b["norm1.weight"], b["norm1.bias"], 1e-6)
        if "attn.qkv.weight" in b:
            wq, wk, wv = b["attn.qkv.weight"].split(dim)
            bq, bk, bv = b["attn.q_bias"], torch.zeros(dim), b["attn.v_bias"]
        else:
            wq, wk, wv = (b[f"attn.{part}.weight"] for part in "qkv")
            bq, bk, bv = (b[f"attn.{part}.bias"] for part in "qkv")
        q, k, v = h @ wq.T + bq, h @ wk.T + bk, h @ wv.T + bv
        width = dim // heads
        outs = []
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            score = (q[..., part] @ k[..., part].transpose(1, 2)) / width**0.5
            outs.append(score.softmax(-1) @ v[..., part])
        x = x + torch.cat(outs, -1) @ b["attn.proj.weight"].T + b["attn.proj.bias"]
        h = F.layer_norm(x, (dim,), b["norm2.weight"], b["norm2.bias"], 1e-6)
        x = x + F.gelu(h @ b["mlp.fc1.weight"].T + b["mlp.fc1.bias"]) @ b["mlp.fc2.weight"].T + b["mlp.fc2.bias"]
    return x


def embedded(state, prefix, video):
    """A convolution over the video, tokens last: (B, N, dim)."""
    kernel, bias = state[f"{prefix}patch_embed.proj.weight"], state[f"{prefix}patch_embed.proj.bias"]
    return F.conv3d(video, kernel, bias, stride=kernel.shape[2:]).flatten(2).transpose(1, 2)


def close(actual, expected):
    """Equal to 1e-5 of the largest value."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
