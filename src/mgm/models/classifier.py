"""A classifier on top of an encoder, as the reference fine-tunes it."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.attentive import AttentivePooler
from mgm.models.encoder import Encoder
from mgm.models.sizes import check_classes

HeadPooling = Literal["mean", "attentive"]


class Classifier(nn.Module):
    """Mean over all tokens -> LayerNorm -> dropout -> linear head (VideoMAE's fine-tuning).

    Args:
        encoder: used and modified, not copied: its final norm is removed, and a new one follows the mean.
        pooling: "mean", VideoMAE's; "attentive": an `AttentivePooler` replaces the mean, for objects of few tokens.
        block: the head reads the output of this block (from 0; negative counts from the end); later blocks do not run.
        checkpointing: activation checkpointing, see `Encoder`.
        classes: number of labels.
        dropout: rate before the head.
        drop_path: rate of stochastic depth of the last block.
        head_scale: factor on the initial head, small so that training starts from almost equal probabilities.
        labels: names of the classes, in the order of the logits; None if unknown.

    Raises:
        ModelError: a number is out of range.
    """

    def __init__(
        self,
        encoder: Encoder,
        classes: int,
        *,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        head_scale: float = 0.001,
        pooling: HeadPooling = "mean",
        block: int = -1,
        checkpointing: bool = False,
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.labels = check_classes(classes, labels)
        if pooling not in get_args(HeadPooling):
            raise ModelError("pooling", f"found {pooling!r}", "mean or attentive", reason="unknown_name")
        if not 0 <= dropout < 1:
            raise ModelError("dropout", f"found {dropout}", "at least 0 and less than 1", reason="invalid_value")
        index = encoder.check_block(block)
        # On several devices, DistributedDataParallel would wait for their gradients.
        encoder.blocks[index + 1 :].requires_grad_(False)
        encoder.set_drop_path(drop_path)
        encoder.remove_norm()
        encoder.checkpointing = checkpointing
        dim = encoder.spec.encoder.dim
        self.encoder = encoder
        self.block = block
        self.pooler = AttentivePooler(dim, encoder.spec.encoder.heads) if pooling == "attentive" else None
        self.fc_norm = nn.LayerNorm(dim, eps=encoder.spec.head_norm_eps)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.weight.mul_(head_scale)

    def forward(self, video: Tensor) -> Tensor:
        """video: (B, 3, T, H, W) as for `Encoder`. Returns logits (B, classes)."""
        tokens = self.encoder(video, block=self.block)
        pooled = tokens.mean(1) if self.pooler is None else self.pooler(F.layer_norm(tokens, tokens.shape[2:]))
        logits: Tensor = self.head(self.dropout(self.fc_norm(pooled)))
        return logits

    @property
    def pooling(self) -> HeadPooling:
        """How the tokens become one feature per clip."""
        return "mean" if self.pooler is None else "attentive"
