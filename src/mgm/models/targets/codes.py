"""Codes of a frozen tokenizer as a target, predicted by classification (BEVT, Wang et al. 2022; MAM2, Song et al. 2022)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mgm.errors import ModelError
from mgm.models.patches import to_255
from mgm.models.sizes import check_positive
from mgm.models.targets.target import Target
from mgm.models.tokenizers import Dvae, Tokenizer, Vqgan


@dataclass(frozen=True, eq=False)
class Codes(Target):
    """One code for each frame and patch of a token; its prediction is a score for every code of the vocabulary.

    A new one is a subclass with `name` and `kind`, and a line in `catalog.py`.

    Attributes:
        tokenizer: it is frozen here, belongs to no state dict, and moves to the device of the video; or the size of its vocabulary,
            to build and load a model that is not trained.
    """

    needs: ClassVar = "tokenizer"
    kind: ClassVar[type[Tokenizer]]
    """The class that reads the tokenizer's file."""

    tokenizer: Tokenizer | int

    def __post_init__(self) -> None:
        if isinstance(self.tokenizer, Tokenizer):
            self.tokenizer.eval().requires_grad_(False)
        check_positive("codes", self.codes)

    @property
    def codes(self) -> int:
        """The size of the vocabulary."""
        return self.tokenizer.codes if isinstance(self.tokenizer, Tokenizer) else self.tokenizer

    @property
    def dim(self) -> int:
        """A score per code, for each frame of a token."""
        return self.spec.tubelet * self.codes

    @property
    def width(self) -> int:
        """A code per frame of a token."""
        return self.spec.tubelet

    def __call__(self, source: Tensor, tokens: Tensor) -> Tensor:
        """Returns the codes, float32 (B, n, tubelet): whole numbers, exact."""
        if not isinstance(self.tokenizer, Tokenizer):
            raise ModelError(
                f"target {self.name}",
                "found no tokenizer",
                "its weights to train with",
                "set model.tokenizer",
                reason="missing_value",
            )
        with torch.no_grad():
            if next(self.tokenizer.parameters()).device != source.device:
                self.tokenizer.to(source.device)
            (_, h, w), tubelet = self.spec.grid, self.spec.tubelet
            t = source.shape[2] // tubelet  # one for pictures in batches of their own
            pictures = (to_255(source.permute(0, 2, 3, 4, 1)) / 255).flatten(0, 1).permute(0, 3, 1, 2)
            codes = self.tokenizer.codes_of(pictures, (h, w)).view(len(source), t, tubelet, h * w)
            values = codes.transpose(2, 3).reshape(len(source), t * h * w, tubelet)
            return values.take_along_dim(tokens[:, :, None], dim=1).float()

    def loss(self, prediction: Tensor, values: Tensor, valid: Tensor | None) -> Tensor:
        """The mean cross-entropy, in nats per code."""
        scores = prediction.reshape(-1, self.codes)
        each = F.cross_entropy(scores, values.long().flatten(), reduction="none").view(*values.shape).mean(2)
        return each.mean() if valid is None else (each * valid).sum() / valid.sum()


@dataclass(frozen=True, eq=False)
class VqganCodes(Codes):
    """Codes of a VQGAN of f=16 (Esser et al. 2021), the semantic target of MAM2."""

    name: ClassVar[str] = "vqgan-codes"
    kind: ClassVar[type[Tokenizer]] = Vqgan


@dataclass(frozen=True, eq=False)
class DvaeCodes(Codes):
    """Codes of DALL-E's discrete VAE (Ramesh et al. 2021), the target of BEiT and BEVT."""

    name: ClassVar[str] = "dvae-codes"
    kind: ClassVar[type[Tokenizer]] = Dvae
