"""torchvision's MViT with weights under PySlowFast's names."""

import re
from typing import Any

RENAMED = (
    (r"patch_embed\.proj\.(.*)", r"conv_proj.\1"),
    (r"cls_token", "pos_encoding.class_token"),
    (r"pos_embed_(spatial|temporal|class)", r"pos_encoding.\1_pos"),
    (r"(.*)\.attn\.proj\.(.*)", r"\1.attn.project.0.\2"),
    (r"(.*)\.attn\.pool_(.)\.weight", r"\1.attn.pool_\2.pool.weight"),
    (r"(.*)\.attn\.norm_(.)\.(.*)", r"\1.attn.pool_\2.norm_act.0.\3"),
    (r"(.*)\.mlp\.fc1\.(.*)", r"\1.mlp.0.\2"),
    (r"(.*)\.mlp\.fc2\.(.*)", r"\1.mlp.3.\2"),
    (r"(blocks\.\d+)\.proj\.(.*)", r"\1.project.\2"),
    (r"head\.projection\.(.*)", r"head.1.\1"),
)


def answer(inputs: dict[str, Any]) -> dict[str, Any]:
    """Logits of a normalised clip.

    blocks: (heads, width before, width after, query kernel, key kernel, query stride, key stride) of each block.
    """
    from torchvision.models.video.mvit import MSBlockConfig, MViT

    clip, relative, state = inputs["clip"], inputs["relative"], inputs["state"]
    fields = ("num_heads", "input_channels", "output_channels", "kernel_q", "kernel_kv", "stride_q", "stride_kv")
    module = MViT(
        spatial_size=tuple(clip.shape[3:]),
        temporal_size=clip.shape[2],
        block_setting=[MSBlockConfig(**dict(zip(fields, block, strict=True))) for block in inputs["blocks"]],
        residual_pool=relative,
        residual_with_cls_embed=not relative,
        rel_pos_embed=relative,
        proj_after_attn=inputs["widen_in_attention"],
        num_classes=len(state["head.projection.bias"]),
    ).eval()
    expected = module.state_dict()
    named = {}
    for key, value in state.items():
        for theirs, ours in RENAMED:
            if match := re.fullmatch(theirs, key):
                key = match.expand(ours)
                break
        named[key] = value.reshape(expected[key].shape)  # tokens and positions without axes of length 1
    module.load_state_dict(named)
    return {"logits": module(clip)}
