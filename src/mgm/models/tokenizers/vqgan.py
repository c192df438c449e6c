"""The tokenizer of a VQGAN (Esser et al. 2021) as taming-transformers publishes it; the network is transformers'."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import torch
from torch import Tensor

from mgm.errors import ModelError
from mgm.files.torch_file import read_torch
from mgm.models.tokenizers.tokenizer import Tokenizer

_CODEBOOK: Final = "quantize.embedding.weight"
_PARTS: Final = ("encoder.", "quant_conv.", _CODEBOOK)
# Lightning keeps the classes of its callbacks in a checkpoint; they are names here, and nothing of theirs is run.
_INERT: Final = ("pytorch_lightning.", "lightning.", "taming.")


class Vqgan(Tokenizer):
    """The encoder of VQGAN f=16 and the nearest entry of its codebook: a picture of 224 pixels has 14 x 14 codes.

    Args:
        codes: entries of the codebook, of dim values; 1,024 or 16,384 x 256 in the published files.
        base: channels of the first layer, 128 in the published files. All others follow: multiples 1, 1, 2, 2, 4 of it, attention
            at a sixteenth of 256 pixels.

    Raises:
        ModelError: the package transformers is missing (extra `hf`).
    """

    pixels: ClassVar[int] = 16

    def __init__(self, codes: int, *, dim: int = 256, base: int = 128) -> None:
        super().__init__(codes)
        network = _network(codes, dim=dim, base=base)
        self.encoder, self.quant_conv, self.quantize = network.encoder, network.quant_conv, network.quantize
        self.eval().requires_grad_(False)

    @classmethod
    def read_state(cls, file: Path) -> Mapping[str, Tensor]:
        """As `Tokenizer.read_state`: the encoder and the codebook of a checkpoint of Lightning (`state_dict`) or a state dict.

        The decoder, the discriminator and what training left in the file are ignored.
        """
        content = read_torch(file, inert=_INERT)
        state = content.get("state_dict", content) if isinstance(content, Mapping) else None
        if not isinstance(state, Mapping):
            raise ModelError(file, f"found {type(content).__name__}", "a state dict", reason="malformed")
        return {
            key: value
            for key, value in state.items()
            if isinstance(key, str) and isinstance(value, Tensor) and key.startswith(_PARTS)
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self:
        """As `Tokenizer.from_state`, by taming-transformers' names."""
        for key, axes in ((_CODEBOOK, 2), ("encoder.conv_in.weight", 4)):
            if key not in state or state[key].ndim != axes:
                found = tuple(state[key].shape) if key in state else "missing"
                raise ModelError(key, f"found {found}", f"a tensor of {axes} axes", reason="mismatch")
        (codes, dim), base = state[_CODEBOOK].shape, len(state["encoder.conv_in.weight"])
        with torch.device("meta"):
            made = cls(codes, dim=dim, base=base)
        expected = made.state_dict()
        wrong = [key for key in expected if key not in state] or [key for key in state if key not in expected]
        wrong = wrong or [key for key in expected if state[key].shape != expected[key].shape]
        if wrong:
            found, wanted = (tuple(part[wrong[0]].shape) if wrong[0] in part else "none" for part in (state, expected))
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise ModelError(
                f"{wrong[0]}{more}",
                f"found {found}",
                f"{wanted}, as a VQGAN of f=16 has it",
                "other variants of VQGAN are not supported",
                reason="mismatch",
            )
        made.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
        return made.requires_grad_(False)

    def encode(self, pictures: Tensor) -> Tensor:
        """As `Tokenizer.encode`; the network reads 2 x - 1."""
        cells: Tensor = self.quant_conv(self.encoder(2 * pictures - 1))
        book = self.quantize.embedding.weight
        flat = cells.permute(0, 2, 3, 1)
        # |cell - entry|^2 without |cell|^2, which is the same for every entry.
        nearest: Tensor = (book.square().sum(1) - 2 * flat @ book.T).argmin(3)
        return nearest


def _network(codes: int, *, dim: int, base: int) -> Any:
    """transformers' network of the same layers and names; only its encoder's half is used."""
    try:
        from transformers import ChameleonVQVAE, ChameleonVQVAEConfig
    except ImportError as error:
        raise ModelError.missing_package("the tokenizer vqgan", "transformers", extra="hf") from error
    config = ChameleonVQVAEConfig(
        embed_dim=dim,
        num_embeddings=codes,
        double_latent=False,
        latent_channels=256,
        resolution=256,
        in_channels=3,
        base_channels=base,
        channel_multiplier=[1, 1, 2, 2, 4],
        num_res_blocks=2,
        attn_resolutions=[16],
        dropout=0.0,
        attn_type="vanilla",
    )
    return ChameleonVQVAE(config)
