"""The masked autoencoder: encode visible tokens, predict hidden ones (Tong et al. 2022; Fan et al. 2023)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.decoder import DECODERS, DecoderBranch, decode, new_mask_token
from mgm.models.encoder import Encoder
from mgm.models.patches import TokenSplit, check_video, patchify, split_tokens, to_255, unpatchify
from mgm.models.position import position_embedding
from mgm.models.regressor import Regressor
from mgm.models.sizes import Stack
from mgm.models.spec import ModelSpec
from mgm.models.targets import ReconstructionObjective, Target, TargetChoice, build_objective
from mgm.models.tokenizers import Tokenizer


# A tuple and not a frozen dataclass: Lightning Fabric rebuilds a model's output and refuses frozen dataclasses.
class Reconstruction(NamedTuple):
    """The output of a masked autoencoder.

    Attributes:
        loss: float32 scalar, the weighted sum of the targets' errors (`Target.loss`) over the reconstructed tokens.
        parts: {target: float32 scalar}, the errors before weighting; those at visible tokens are named "visible TARGET".
        prediction, target: float32 (B, n, dim) and (B, n, width), in the order of the tokens, several targets concatenated (see
            `ReconstructionObjective.split` and `split_values`); None unless requested.
        tokens: int64 (B, n), indices of these tokens; None unless requested.
        valid: bool (B, n), False for padding; None without padding, or unless requested.
    """

    loss: Tensor
    parts: Mapping[str, Tensor]
    prediction: Tensor | None = None
    target: Tensor | None = None
    tokens: Tensor | None = None
    valid: Tensor | None = None


class MaskedAutoencoder(nn.Module):
    """VideoMAE: encoder on the visible tokens, decoder on visible and mask tokens, loss on the masked tokens.

    Args:
        spec: sizes and shapes, backbone, kind of decoder, one or several of them, and a regressor before them.
        target: a name of `TARGETS`, a `Target`, or {name: weight} of several.
        tokenizer: the network whose codes a target predicts; the size of its vocabulary suffices to load a model.
        visible_target: the same, of values that a linear layer predicts from the encoder's output at the VISIBLE tokens; their
            weighted errors are added to the loss. Ours: what a token shows is learned without guessing what is hidden. None: none.
        teacher: the encoder whose features the target "teacher" predicts; a specification suffices to load a model.
        checkpointing: activation checkpointing in encoder and decoder, see `Encoder`.
        pictures: whether clips of one tubelet are accepted too, still pictures as in OmniMAE (Girdhar et al. 2023); their tokens
            have the positions of a clip's first step.

    Raises:
        ModelError: an unknown target, or a teacher or a tokenizer that does not fit, or decoders of other targets.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        target: TargetChoice = "normalised-pixels",
        teacher: Encoder | ModelSpec | None = None,
        image_teacher: Encoder | ModelSpec | None = None,
        tokenizer: Tokenizer | int | None = None,
        visible_target: TargetChoice | None = None,
        checkpointing: bool = False,
        pictures: bool = False,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.picture_spec = replace(spec, frames=spec.tubelet) if pictures else None
        self.objective = build_objective(
            spec, target, teacher=teacher, image_teacher=image_teacher, tokenizer=tokenizer
        )
        self.encoder = Encoder(spec)
        self.encoder.checkpointing = checkpointing
        self.regressor = None if spec.regressor_depth is None else Regressor(spec, spec.regressor_depth)
        if self.regressor is not None:
            self.regressor.checkpointing = checkpointing
        if spec.decoders is None:
            self._build_decoder(spec, checkpointing=checkpointing)
        else:
            self._build_decoders(spec.decoders, checkpointing=checkpointing)
        self.visible_objective = None if visible_target is None else build_objective(spec, visible_target)
        if self.visible_objective is not None:
            self.visible_head = nn.Linear(spec.encoder.dim, self.visible_objective.dim)

    def _build_decoder(self, spec: ModelSpec, *, checkpointing: bool) -> None:
        """The decoder that all targets share, by the reference's names."""
        outs = [target.dim for target, _ in self.objective.targets]
        self.encoder_to_decoder = nn.Linear(spec.encoder.dim, spec.decoder.dim, bias=False)
        self.decoder = DECODERS[spec.decoder_attention](spec, outs, spec.decoder)
        self.decoder.checkpointing = checkpointing
        nn.init.xavier_uniform_(self.encoder_to_decoder.weight)
        self.mask_token = new_mask_token(spec, spec.decoder.dim)
        self.position: Tensor
        self.register_buffer("position", position_embedding(spec, spec.decoder.dim), persistent=False)

    def _build_decoders(self, stacks: tuple[tuple[str, Stack], ...], *, checkpointing: bool) -> None:
        """A decoder for each target, in the order of the targets."""
        dims, widths = {target.name: target.dim for target, _ in self.objective.targets}, dict(stacks)
        if set(dims) != set(widths):
            raise ModelError(
                "decoders",
                f"found those of {', '.join(widths)}",
                f"one for each of the targets {', '.join(dims)}",
                "targets that share a decoder share all of them: leave the decoders out",
                reason="mismatch",
            )
        self.decoders = nn.ModuleDict(
            {
                name: DecoderBranch(self.spec, [dim], widths[name], checkpointing=checkpointing)
                for name, dim in dims.items()
            }
        )

    @property
    def reads_motion(self) -> bool:
        """Whether a target needs the motion of the clip."""
        return any(o is not None and o.reads_motion for o in (self.objective, self.visible_objective))

    @property
    def motion_parts(self) -> int:
        """Displacements per side of a patch in the motion that `forward` receives."""
        return max([o.motion_parts for o in (self.objective, self.visible_objective) if o is not None])

    @property
    def target(self) -> Target | ReconstructionObjective:
        """See `ReconstructionObjective.target`."""
        return self.objective.target

    def forward(
        self,
        video: Tensor,
        mask: Tensor | TokenSplit,
        decode: Tensor | None = None,
        *,
        motion: Tensor | None = None,
        predict: bool = False,
    ) -> Reconstruction:
        """The loss of predicting the masked tokens, and with `predict` the prediction and its target too.

        Args:
            video: (B, 3, T, H, W), uint8, or floating point normalised as for `Encoder`.
            mask: bool (B, t, h, w) or (B, N), True = hidden; the same number of hidden tokens, at least one, in every clip, and
                with divided attention in every step. A mask on the CPU spares a synchronisation with the GPU. Alternatively the
                result of `split`, with decode=None.
            decode: bool of the same shape, True = reconstruct this token if it is hidden (VideoMAE V2's decoder mask, section 3.2
                of Wang et al. 2023); None reconstructs all hidden tokens. Other tokens are not computed.
            motion: float32 (B, T, h, w, 2), mean displacement (dx, dy) of every patch and frame in pixels, NaN where unknown; for
                the targets "motion" and "asinh-motion". For "trajectory" h and w are twice those of the tokens (`motion_parts`).

        Raises:
            ModelError: shapes, types, counts or values do not fit.
        """
        visible, tokens, valid = split = self._split(video, mask, decode)
        parts_per_side = self.motion_parts
        rows, columns = (parts_per_side * side for side in self.spec.grid[1:])
        for objective in (self.objective, self.visible_objective):
            if objective is not None:
                objective.check_motion(motion, (len(video), self.spec.frames, rows, columns, 2))
        encoded = self.encoder.encode(video, visible)
        prediction = self.objective.activate(self._decode(encoded, split).float())
        target = self.objective.target_values(video, tokens, motion)
        loss, parts = self.objective.loss(prediction, target, valid)
        if self.visible_objective is not None:
            seen = self.visible_objective.target_values(video, visible, motion)
            guess = self.visible_objective.activate(self.visible_head(encoded).float())
            more, of_visible = _loss_at_visible(self.visible_objective, guess, seen, valid)
            loss, parts = loss + more, {**parts, **{f"visible {name}": part for name, part in of_visible.items()}}
        if not predict:
            return Reconstruction(loss, parts)
        return Reconstruction(loss, parts, prediction, target, tokens, valid)

    @torch.no_grad()
    def reconstruct(self, video: Tensor, mask: Tensor) -> Tensor:
        """The clip with its masked patches predicted, for display: uint8 (B, 3, T, H, W).

        Visible patches equal the input, exactly if it is uint8. For the target normalised-pixels a masked patch is scaled
        by the mean and deviation of the true patch, which the model does not predict.
        Of several targets the first with pixels is shown.
        Arguments and errors as in `forward`; also ModelError if no target has pixels.
        """
        visible, masked, _ = split = self._split(video, mask, None)
        prediction = self.objective.activate(self._decode(self.encoder.encode(video, visible), split))
        spec = self._spec_of(video)
        patches = _to_uint8(to_255(patchify(video, spec)))
        row = torch.arange(len(video), device=video.device)[:, None]
        patches[row, masked] = _to_uint8(self.objective.pixels(prediction, video, masked) * 255)
        return unpatchify(patches, spec)

    def _decode(self, encoded: Tensor, split: TokenSplit) -> Tensor:
        """The decoder's output, or the decoders' side by side: (B, n, dim)."""
        regressed = None if self.regressor is None else self.regressor(encoded, split.visible, split.hidden)
        if self.spec.decoders is not None:
            return torch.cat([branch(encoded, regressed, split) for branch in self.decoders.values()], dim=2)
        return decode(self.encoder_to_decoder, self.mask_token, self.position, self.decoder, encoded, regressed, split)

    def split(self, mask: Tensor, decode: Tensor | None = None, *, device: torch.device | str = "cpu") -> TokenSplit:
        """The token indices of masks, computed ahead of `forward`, which accepts them instead of the masks.

        Reading masks splits a compiled model into several graphs. DistributedDataParallel moves all inputs of `forward` to the
        GPU, where reading a mask synchronises; indices that are already there stay.
        mask, decode, errors: as in `forward`. device: that of the video.
        """
        batch = len(mask) if isinstance(mask, Tensor) else 1  # other types raise in split_tokens
        steps = mask.shape[1] if isinstance(mask, Tensor) and mask.ndim == 4 else None
        spec = self.picture_spec if self.picture_spec is not None and steps == 1 else self.spec
        return split_tokens(mask, decode, spec, batch=batch).to(device)

    def _split(self, video: Tensor, mask: Tensor | TokenSplit, decode: Tensor | None) -> TokenSplit:
        """The token indices on the video's device."""
        spec = self._spec_of(video)
        check_video(video, spec)
        if not isinstance(mask, TokenSplit):
            return split_tokens(mask, decode, spec, batch=len(video)).to(video.device)
        if decode is not None:
            raise ModelError(
                "decode", "found a mask beside a split", "None", "`split` takes both masks", reason="conflict"
            )
        clips, tokens = len(mask.visible), mask.visible.shape[1] + mask.hidden.shape[1]
        if clips != len(video) or tokens > spec.tokens:
            raise ModelError(
                "mask",
                f"found a split of {clips} clips with {tokens} tokens",
                f"{len(video)} clips with at most {spec.tokens}",
                "split the masks of these clips with this model",
                reason="mismatch",
            )
        return mask

    def _spec_of(self, video: Tensor) -> ModelSpec:
        """The specification of a clip: with `pictures` one of a single tubelet is a picture."""
        if self.picture_spec is None or not isinstance(video, Tensor) or video.ndim != 5:
            return self.spec
        return self.picture_spec if video.shape[2] == self.spec.tubelet else self.spec


def _loss_at_visible(
    objective: ReconstructionObjective, guess: Tensor, seen: Tensor, valid: Tensor | None
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """`ReconstructionObjective.loss` at the visible tokens. A clip counts as often as it has hidden tokens to reconstruct.

    That is its share of the other part, and the weight of a micro-batch: the parts of a step add up to it.
    """
    if valid is None:
        return objective.loss(guess, seen, None)
    shares = valid.sum(1) / valid.sum()
    each = [objective.loss(guess[clip : clip + 1], seen[clip : clip + 1], None) for clip in range(len(guess))]
    parts = {name: (torch.stack([found[name] for _, found in each]) * shares).sum() for name in each[0][1]}
    return (torch.stack([loss for loss, _ in each]) * shares).sum(), parts


def _to_uint8(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
