"""The specification from which an encoder and its decoder are built."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, fields
from typing import Any, Final, Literal, Self, get_args

from mgm.errors import ModelError
from mgm.models.sizes import SIZES, Size, Stack, check_positive, unknown_name

FixedPosition = Literal["sincos-1d", "sincos-3d"]
PositionKind = Literal[FixedPosition, "learned-separable"]
PatchInit = Literal["conv", "xavier", "whitened"]
BackboneName = Literal["vit", "timesformer"]
AttentionKind = Literal["joint", "divided"]
ATTENTIONS: Final[Mapping[str, tuple[str, ...]]] = {"vit": ("joint",), "timesformer": ("divided", "joint")}
"""The kinds of attention of each backbone, the default first."""
DecoderAttention = Literal["self", "cross"]
PredictionHead = Literal["linear", "mlp"]


def check_resolution(value: object) -> None:
    """Raises ModelError unless `value` is one side in pixels, or (height, width)."""
    if isinstance(value, int):
        check_positive("resolution", value)
        return
    if not isinstance(value, tuple) or len(value) != 2:
        raise ModelError(
            "resolution", f"found {value!r}", "one side in pixels, or a tuple (height, width)", reason="invalid_type"
        )
    for side in value:
        check_positive("resolution", side)


def _check_epsilon(name: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise ModelError(name, f"found {value!r}", "a number of at least 0 and below 1", reason="invalid_value")


@dataclass(frozen=True)
class ModelSpec:
    """The shapes and the arithmetic of a model, stored in checkpoints (`to_dict`).

    Attributes:
        size: a name of `SIZES`, or a `Size` for other widths.
        patch: side of a patch in pixels.
        tubelet: frames per token.
        frames: frames per clip (T).
        resolution: pixels of a frame, one side or (height, width).
        position: position embedding of a token: "sincos-1d" is the reference's, "sincos-3d" helps small models; both are fixed.
            "learned-separable" is a learned embedding per position (h, w) plus one per step in time, as in MAE-ST's encoders.
        patch_init: initialisation of the patch embedding: "conv" as VideoMAE (PyTorch's convolution), "xavier" as MAE (He et al.
            2022). With "xavier" patches weigh twice as much against their position embeddings, which matters to a small model.
            "whitened": training replaces the weights by the principal components of the user's own patches; until then they are
            those of "conv".
        position_grid: the grid (t, h, w) whose fixed embeddings are interpolated to the model's grid; None: embeddings are computed
            on the model's grid. `Encoder.at` sets it.
        backbone: "vit" (VideoMAE's), or "timesformer" (Bertasius et al. 2021), which attends along time, then within a step.
        attention: "joint" or "divided" of a backbone that has both; None: its default, joint for vit, divided for timesformer.
        decoder_attention: "self": visible and mask tokens attend to each other (VideoMAE); "cross": mask tokens attend to the
            encoder's output alone (CrossMAE, Fu et al. 2024).
        decoder_depth: blocks of the decoder; None: the size's.
        decoder_dim: width of the decoder; None: the size's. The heads keep their width.
        decoder_heads: attention heads of the decoder; None: heads of the size's width.
        prediction_head: the decoder's last layers: "linear" (VideoMAE), or "mlp", for each target a linear layer to 512, GELU and a
            linear layer (MME, Sun et al. 2023).
        decoders: (target, widths) of each target, which then has a decoder, a projection and a mask token of its own (MME's
            decoder_num, MotionMAE, MAM2); None: all targets share one decoder.
        regressor_depth: blocks, of the encoder's width, in which queries for the hidden tokens attend to the encoder's output; the
            decoder gets their results and no visible tokens (MAM2, Song et al. 2022, after CAE, Chen et al. 2022); None: no
            regressor.
        norm_eps: epsilon of the LayerNorms of blocks and at the end of the encoder (reference 1e-6, Hugging Face 1e-12).
        head_norm_eps: epsilon of the LayerNorm before a head, the decoder's or the classifier's (Hugging Face 1e-5).
        encoder_norm: whether the encoder ends with a LayerNorm; a classifier's encoder does not.
        class_token: whether a learned token goes through the encoder's blocks with the others; it is not returned (MAE-ST).

    Raises:
        ModelError: a value is unknown, or the clip is not divisible into whole patches.
    """

    size: str | Size = "B"
    _: KW_ONLY
    patch: int = 16
    tubelet: int = 2
    frames: int = 16
    resolution: int | tuple[int, int] = 224
    position: PositionKind = "sincos-1d"
    patch_init: PatchInit = "conv"
    position_grid: tuple[int, int, int] | None = None
    backbone: BackboneName = "vit"
    attention: AttentionKind | None = None
    decoder_attention: DecoderAttention = "self"
    decoder_depth: int | None = None
    decoder_dim: int | None = None
    decoder_heads: int | None = None
    prediction_head: PredictionHead = "linear"
    decoders: tuple[tuple[str, Stack], ...] | None = None
    regressor_depth: int | None = None
    norm_eps: float = 1e-6
    head_norm_eps: float = 1e-6
    encoder_norm: bool = True
    class_token: bool = False

    def __post_init__(self) -> None:
        self._check_names()
        for name in ("patch", "tubelet", "frames"):
            check_positive(name, getattr(self, name))
        for name in ("decoder_depth", "decoder_dim", "decoder_heads", "regressor_depth"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        for name in ("norm_eps", "head_norm_eps"):
            _check_epsilon(name, getattr(self, name))
        check_resolution(self.resolution)
        self._check_combinations()
        self._check_position_grid()
        self._check_divisible()
        # One form per value, so that equal specifications compare equal.
        height, width = self.frame_size
        if height == width:
            object.__setattr__(self, "resolution", height)
        if self.attention == ATTENTIONS[self.backbone][0]:
            object.__setattr__(self, "attention", None)
        if self.position_grid == self.grid:
            object.__setattr__(self, "position_grid", None)

    def _check_names(self) -> None:
        if not isinstance(self.size, Size) and (not isinstance(self.size, str) or self.size not in SIZES):
            raise unknown_name("size", self.size, SIZES, "or a Size")
        for name, choices in (
            ("position", get_args(PositionKind)),
            ("patch_init", get_args(PatchInit)),
            ("backbone", tuple(ATTENTIONS)),
            ("decoder_attention", get_args(DecoderAttention)),
            ("prediction_head", get_args(PredictionHead)),
        ):
            if getattr(self, name) not in choices:
                raise unknown_name(name, getattr(self, name), choices)
        if self.attention is not None and self.attention not in ATTENTIONS[self.backbone]:
            raise ModelError(
                "attention",
                f"found {self.attention!r}",
                f"{' or '.join(ATTENTIONS[self.backbone])} for the backbone {self.backbone}",
                "only the backbone timesformer has divided attention",
                reason="conflict",
            )

    def _check_combinations(self) -> None:
        if self.divided and self.class_token:
            raise ModelError(
                "class_token",
                "found True",
                "False with divided attention",
                "or choose attention joint",
                reason="conflict",
            )
        if self.position_grid is not None and self.position == "learned-separable":
            raise ModelError(
                "position_grid",
                "found a grid for learned position embeddings, which are stored and not computed",
                advice="leave it out",
                reason="conflict",
            )
        if self.regressor_depth is not None and self.decoder_attention != "self":
            raise ModelError(
                "regressor_depth",
                "found a regressor before a decoder of cross-attention",
                "decoder_attention self",
                "after a regressor, a decoder gets no visible tokens to attend to",
                reason="conflict",
            )
        if self.decoders is not None and len({name for name, _ in self.decoders}) < max(1, len(self.decoders)):
            names = ", ".join(name for name, _ in self.decoders) or "none"
            raise ModelError("decoders", f"found {names}", "one for each target", reason="invalid_value")
        if self.decoder_heads is not None:
            _ = self.decoder  # raises
        elif self.decoder_dim is not None and self.decoder_dim % self._decoder_head:
            raise ModelError(
                "decoder_dim",
                f"found {self.decoder_dim}",
                f"a multiple of the width of a head, {self._decoder_head}",
                reason="invalid_value",
            )

    def _check_position_grid(self) -> None:
        if self.position_grid is None:
            return
        if not isinstance(self.position_grid, tuple) or len(self.position_grid) != 3:
            raise ModelError(
                "position_grid", f"found {self.position_grid!r}", "three numbers (t, h, w)", reason="invalid_type"
            )
        for positions in self.position_grid:
            check_positive("position_grid", positions)

    def _check_divisible(self) -> None:
        height, width = self.frame_size
        if height % self.patch or width % self.patch:
            raise ModelError(
                "resolution",
                f"{height} x {width} pixels are not divisible into patches of {self.patch}",
                advice=f"choose {_multiple(height, self.patch)} x {_multiple(width, self.patch)}, or another patch",
                reason="invalid_value",
            )
        if self.frames % self.tubelet:
            raise ModelError(
                "frames",
                f"{self.frames} frames are not divisible into tubelets of {self.tubelet}",
                advice=f"choose {_multiple(self.frames, self.tubelet)}, or another tubelet",
                reason="invalid_value",
            )

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of a frame in pixels."""
        if isinstance(self.resolution, int):
            return self.resolution, self.resolution
        height, width = self.resolution
        return height, width

    @property
    def grid(self) -> tuple[int, int, int]:
        """(t, h, w): tubelets per clip, patches per column, patches per row."""
        height, width = self.frame_size
        return self.frames // self.tubelet, height // self.patch, width // self.patch

    @property
    def tokens(self) -> int:
        """Tokens of a clip, N = t*h*w."""
        t, h, w = self.grid
        return t * h * w

    @property
    def token_pixels(self) -> int:
        """Pixels of a token, tubelet * patch * patch; each has 3 values."""
        return self.tubelet * self.patch * self.patch

    @property
    def video_shape(self) -> tuple[int, int, int, int]:
        """(3, T, H, W): the shape of an input video, without the batch."""
        return 3, self.frames, *self.frame_size

    @property
    def encoder(self) -> Stack:
        """The encoder's blocks."""
        return self._widths.encoder

    @property
    def decoder(self) -> Stack:
        """The blocks of the decoder that all targets share, with `decoder_depth`, `decoder_dim` and `decoder_heads` if given."""
        stack = self._widths.decoder
        dim = self.decoder_dim or stack.dim
        # A hidden width that is not 4 x dim belongs to the size's own width.
        hidden = stack.hidden if dim == stack.dim else None
        heads = self.decoder_heads or dim // self._decoder_head
        return Stack(dim, self.decoder_depth or stack.depth, heads, hidden)

    @property
    def divided(self) -> bool:
        """Whether attention is divided into time and space; every step then has the same number of visible tokens."""
        return self.attention_kind == "divided"

    @property
    def attention_kind(self) -> str:
        """`attention`, or the backbone's default."""
        return self.attention or ATTENTIONS[self.backbone][0]

    @property
    def _decoder_head(self) -> int:
        """The width of a head of the size's decoder."""
        return self._widths.decoder.dim // self._widths.decoder.heads

    @property
    def _widths(self) -> Size:
        return SIZES[self.size] if isinstance(self.size, str) else self.size

    def to_dict(self) -> dict[str, Any]:
        """The specification as JSON values."""
        values = asdict(self)
        if not isinstance(self.resolution, int):
            values["resolution"] = list(self.resolution)
        if self.position_grid is not None:
            values["position_grid"] = list(self.position_grid)
        if self.decoders is not None:
            values["decoders"] = {name: asdict(stack) for name, stack in self.decoders}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The specification of a result of `to_dict`; missing keys take their defaults.

        Raises:
            ModelError: an unknown key or an invalid value.
        """
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise ModelError(
                "model specification", f"found unknown {', '.join(unknown)}", ", ".join(names), reason="unknown_name"
            )
        known = dict(values)
        try:
            if isinstance(known.get("size"), Mapping):
                known["size"] = Size(Stack(**known["size"]["encoder"]), Stack(**known["size"]["decoder"]))
            if isinstance(known.get("decoders"), Mapping):
                known["decoders"] = tuple((str(name), Stack(**stack)) for name, stack in known["decoders"].items())
            for name in ("resolution", "position_grid"):
                if isinstance(known.get(name), list):
                    known[name] = tuple(known[name])
            return cls(**known)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(
                "model specification", f"cannot be read from {values} ({error})", reason="malformed"
            ) from error


def _multiple(value: int, unit: int) -> int:
    """The multiple of `unit` nearest to `value`, at least one unit."""
    return max(1, round(value / unit)) * unit
