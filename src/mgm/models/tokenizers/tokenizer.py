"""The base of tokenizers: one code of a fixed vocabulary for each patch of a picture."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, Self

import torch
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.tokenizers.lanczos import resize

# Pictures in one pass: the first maps of a tokenizer are as large as the pictures, with a hundred channels and more.
_AT_ONCE: Final = 16


class Tokenizer(nn.Module, ABC):
    """A frozen network from pictures to codes 0..codes - 1. Subclasses write `read_state`, `from_state` and `encode`.

    Args:
        codes: size of the vocabulary.
    """

    pixels: ClassVar[int]
    """Side of the square of pixels that a code stands for."""

    codes: int

    def __init__(self, codes: int) -> None:
        super().__init__()
        self.codes = codes

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The tokenizer in a file of its authors, see `read_state`. Raises ModelError about the path."""
        try:
            return cls.from_state(cls.read_state(Path(path)))
        except ModelError as error:
            raise error.within(path) if error.subject != str(path) else error from error

    @classmethod
    @abstractmethod
    def read_state(cls, file: Path) -> Mapping[str, Tensor]:
        """The state dict in a file of the authors; no code in it is run. Raises ModelError about the file."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self:
        """The tokenizer of a state dict, whose shapes give its sizes. Raises ModelError that names the tensor that does not fit."""

    @abstractmethod
    def encode(self, pictures: Tensor) -> Tensor:
        """pictures: float32 (N, 3, H, W), RGB in [0, 1]. Returns int64 (N, H / pixels, W / pixels)."""

    @torch.no_grad()
    def codes_of(self, pictures: Tensor, grid: tuple[int, int]) -> Tensor:
        """One code per cell of a grid (h, w): the pictures are resized so that a code stands for a cell.

        Args:
            pictures: as for `encode`, of any size.

        Returns:
            int64 (N, h, w).
        """
        size = (grid[0] * self.pixels, grid[1] * self.pixels)
        # Labels: in the precision of the weights, whatever that of the training.
        with torch.autocast(pictures.device.type, enabled=False):
            return torch.cat([self.encode(resize(part, size)) for part in torch.split(pictures, _AT_ONCE)])
