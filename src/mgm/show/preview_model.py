"""A run as the model of a preview: its reconstruction and its attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mgm.errors import ModelError
from mgm.masks import TokenMask
from mgm.models import MaskedAutoencoder
from mgm.show.attention import AttentionSettings, Token, attention_weights
from mgm.show.figures import RgbFrames
from mgm.show.masked_clip import MaskedClip
from mgm.training.checkpoint import load_pretrained, open_encoder


class RunModel:
    """The model of a run or of weights.

    Raises:
        ModelError: no encoder is found.
    """

    def __init__(self, run: str | Path) -> None:
        self._run = run
        self._encoder, self.config = open_encoder(run)

    def reconstruct(self, frames: RgbFrames, mask: TokenMask) -> RgbFrames:
        """See `mgm.models.MaskedAutoencoder.reconstruct`. Raises ModelError if the weights are not an autoencoder's."""
        model = load_pretrained(self._run)
        if not isinstance(model, MaskedAutoencoder):
            advice = "give the folder of 'mgm pretrain', or leave out the row reconstruction"
            raise ModelError(self._run, "contains a classifier", "an autoencoder", advice, reason="mismatch")
        return MaskedClip(frames, None, mask).reconstruct(model)

    def attend(self, frames: RgbFrames) -> tuple[npt.NDArray[np.float32], Token]:
        """The attention of the centre token in the last block."""
        return attention_weights(self._encoder, frames, AttentionSettings())
