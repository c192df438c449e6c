"""The masked autoencoder: encode what is visible, predict what is hidden (Tong et al. 2022; Fan et al. 2023)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.attention import Block, initialise_blocks
from mgm.models.encoder import Encoder
from mgm.models.patches import brightness, check_video, patches_of, split_mask, video_of
from mgm.models.position import position_code
from mgm.models.sizes import ModelSpec
from mgm.models.targets import TARGETS, Target


# A tuple and not a frozen dataclass: Lightning Fabric rebuilds a model's output and refuses frozen dataclasses.
class Reconstruction(NamedTuple):
    """What a masked autoencoder returns.

    loss: float32 scalar, mean squared error over masked tokens.
    prediction, target: (B, n_masked, dim), in the order of the tokens; None unless asked for.
    """

    loss: Tensor
    prediction: Tensor | None
    target: Tensor | None


class Decoder(nn.Module):
    """The blocks, the norm and the head that turn tokens of the decoder's width into predictions.

    spec: sizes. out: values that are predicted per token.
    """

    def __init__(self, spec: ModelSpec, out: int) -> None:
        super().__init__()
        dim, depth, heads = spec.decoder.dim, spec.decoder.depth, spec.decoder.heads
        self.blocks = nn.ModuleList(
            Block(dim, heads, eps=spec.norm_eps, hidden=spec.decoder.hidden) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim, eps=spec.head_norm_eps)
        self.head = nn.Linear(dim, out)
        initialise_blocks(self)

    def forward(self, x: Tensor, *, last: int) -> Tensor:
        """x: (B, n, dim). Returns the predictions (B, last, out) of the last tokens."""
        for layer in self.blocks[:-1]:
            x = layer(x)
        # Nothing reads the other tokens after the last block, so it computes none of them.
        x = self.blocks[-1](x, last=last)
        out: Tensor = self.head(self.norm(x))
        return out


class MaskedAutoencoder(nn.Module):
    """VideoMAE: encoder on the visible tokens, decoder on visible and mask tokens, loss on the masked tokens.

    spec: sizes and shapes. target: a name of `TARGETS`, or a `Target`.
    Raises ModelError on an unknown target.
    """

    def __init__(self, spec: ModelSpec, *, target: str | Target = "normalised-pixels") -> None:
        super().__init__()
        if isinstance(target, str):
            if target not in TARGETS:
                raise ModelError(f"target: found {target!r}, expected one of {', '.join(TARGETS)}, or a Target")
            target = TARGETS[target](spec)
        self.spec = spec
        self.target = target
        self.encoder = Encoder(spec)
        self.encoder_to_decoder = nn.Linear(spec.encoder.dim, spec.decoder.dim, bias=False)
        self.mask_token = nn.Parameter(torch.empty(1, 1, spec.decoder.dim))
        self.decoder = Decoder(spec, target.dim)
        nn.init.xavier_uniform_(self.encoder_to_decoder.weight)
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)
        self.position: Tensor
        code = position_code(spec.position, spec.grid, spec.decoder.dim)
        self.register_buffer("position", code, persistent=False)

    def forward(self, video: Tensor, mask: Tensor, *, predict: bool = False) -> Reconstruction:
        """The loss of predicting the masked tokens, and with `predict` the prediction and its target too.

        video: (B, 3, T, H, W), uint8, or floating point normalised as for `Encoder`.
        mask: bool (B, t, h, w) or (B, N), True = hidden; the same number of hidden tokens, at least one, in every clip.
        It may stay on the CPU.
        Raises ModelError when shapes, types, counts or values do not fit.
        """
        visible, masked = self._split(video, mask)
        prediction = self._predict(video, visible, masked)
        target = self.target(video, masked)
        loss = F.mse_loss(prediction.float(), target)
        return Reconstruction(loss, prediction, target) if predict else Reconstruction(loss, None, None)

    @torch.no_grad()
    def reconstruct(self, video: Tensor, mask: Tensor) -> Tensor:
        """The clip with its masked patches predicted, a picture to look at: uint8 (B, 3, T, H, W).

        Visible patches are those of the input, bit by bit where it is uint8. Where the target is normalised pixels, a
        masked patch is scaled by the mean and deviation of the true patch, which the model was never asked to predict.
        Arguments and errors as in `forward`; ModelError too where the target is no picture.
        """
        visible, masked = self._split(video, mask)
        prediction = self._predict(video, visible, masked)
        patches = _to_uint8(brightness(patches_of(video, self.spec)))
        row = torch.arange(len(video), device=video.device)[:, None]
        patches[row, masked] = _to_uint8(self.target.pixels(prediction, video, masked) * 255)
        return video_of(patches, self.spec)

    def _predict(self, video: Tensor, visible: Tensor, masked: Tensor) -> Tensor:
        seen = self.encoder_to_decoder(self.encoder.encode(video, visible)) + self.position[visible]
        hidden = self.mask_token + self.position[masked]
        # Mask tokens come last, whatever their place: the code carries it, and the last block can leave out the rest.
        prediction: Tensor = self.decoder(torch.cat((seen, hidden), dim=1), last=masked.shape[1])
        return prediction

    def _split(self, video: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        check_video(video, self.spec)
        visible, masked = split_mask(mask, self.spec, batch=len(video))
        if masked.shape[1] == 0:
            raise ModelError(
                f"mask: found all {self.spec.tokens} tokens visible, expected at least one hidden to predict"
            )
        return visible.to(video.device), masked.to(video.device)


def _to_uint8(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
