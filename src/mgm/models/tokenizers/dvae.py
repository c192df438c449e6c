"""The tokenizer of DALL-E's discrete VAE (Ramesh et al. 2021): its encoder, whose codes BEiT and BEVT predict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.files.inert_torch import read_pickled_module
from mgm.files.torch_file import read_torch
from mgm.models.state_dict import check_names_and_shapes, wrong_keys
from mgm.models.tokenizers.tokenizer import Tokenizer

_GROUPS: Final = 4
_BLOCKS: Final = 2  # of a group
_GAIN: Final = 1 / (_GROUPS * _BLOCKS) ** 2
"""On the residual path of every block."""
_MARGIN: Final = 0.1
"""Pixels in [0, 1] are compressed to [.1, .9], where the decoder's density of the VAE is defined."""


class Dvae(Tokenizer):
    """Convolutions in four groups, 2 x 2 max pooling after the first three, a score per code and place, the highest score.

    A picture of 112 pixels has 14 x 14 codes. Parameters have the authors' names.

    Args:
        codes: 8,192 in the published file.
        width: channels of the first group, 256 there; they double in each group.
    """

    pixels: ClassVar[int] = 8

    def __init__(self, codes: int = 8192, *, width: int = 256) -> None:
        super().__init__(codes)
        groups = {}
        before = width
        for group in range(_GROUPS):
            blocks = {}
            for block in range(_BLOCKS):
                blocks[f"block_{block + 1}"] = DvaeBlock(before, width << group)
                before = width << group
            groups[f"group_{group + 1}"] = nn.ModuleDict(blocks)
        output = nn.ModuleDict({"conv": DvaeConvolution(before, codes, 1)})
        self.blocks = nn.ModuleDict({"input": DvaeConvolution(3, width, 7), **groups, "output": output})
        self.eval().requires_grad_(False)

    @classmethod
    def read_state(cls, file: Path) -> Mapping[str, Tensor]:
        """As `Tokenizer.read_state`: of the authors' `encoder.pkl`, a whole module, its parameters alone; or a state dict."""
        if file.suffix == ".pkl":
            return read_pickled_module(file, records=["dall_e"])
        content = read_torch(file)
        if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
            raise ModelError(file, "found no state dict", "DALL-E's encoder.pkl, or its state dict", reason="malformed")
        return content

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self:
        """As `Tokenizer.from_state`, by the authors' names."""
        ends = ("blocks.input.w", "blocks.output.conv.w")
        absent = [key for key in ends if key not in state or state[key].ndim != 4]
        if absent:
            raise wrong_keys(absent, [])
        with torch.device("meta"):
            made = cls(len(state[ends[1]]), width=len(state[ends[0]]))
        check_names_and_shapes(state, made.state_dict())
        made.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
        return made.requires_grad_(False)

    def scores(self, pictures: Tensor) -> Tensor:
        """pictures: as for `encode`. Returns (N, codes, H / 8, W / 8), the logits of the codes."""
        x = self.blocks["input"]((1 - 2 * _MARGIN) * pictures + _MARGIN)
        for group in range(_GROUPS):
            for block in self.blocks[f"group_{group + 1}"].values():  # type: ignore[operator]
                x = block(x)
            if group < _GROUPS - 1:
                x = F.max_pool2d(x, 2)
        out: Tensor = self.blocks["output"]["conv"](F.relu(x))  # type: ignore[index]
        return out

    def encode(self, pictures: Tensor) -> Tensor:
        """As `Tokenizer.encode`."""
        return self.scores(pictures).argmax(1)


class DvaeConvolution(nn.Module):
    """A convolution that keeps the size, with the authors' names and initial deviation."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.empty(after, before, kernel, kernel).normal_(std=(before * kernel**2) ** -0.5))
        self.b = nn.Parameter(torch.zeros(after))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, before, H, W). Returns (N, after, H, W)."""
        return F.conv2d(x, self.w, self.b, padding=self.w.shape[-1] // 2)


class DvaeBlock(nn.Module):
    """Identity, or a linear map of the channels, plus four convolutions, each after a ReLU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        within = after // 4
        self.id_path = DvaeConvolution(before, after, 1) if before != after else nn.Identity()
        sizes = [(before, within, 3), (within, within, 3), (within, within, 3), (within, after, 1)]
        self.res_path = nn.ModuleDict(
            {f"conv_{number + 1}": DvaeConvolution(*size) for number, size in enumerate(sizes)}
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, before, H, W). Returns (N, after, H, W)."""
        residual = x
        for convolution in self.res_path.values():
            residual = convolution(F.relu(residual))
        out: Tensor = self.id_path(x) + _GAIN * residual
        return out
