"""Frozen networks that turn pictures into codes, for the targets of codes: a new one is a `Tokenizer` in a file of this folder."""

from mgm.models.tokenizers.dvae import Dvae
from mgm.models.tokenizers.tokenizer import Tokenizer
from mgm.models.tokenizers.vqgan import Vqgan

__all__ = ["Dvae", "Tokenizer", "Vqgan"]
