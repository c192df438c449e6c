"""The attention that one token of a clip pays to all others, in one block of an encoder or through all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from mgm.data.clips.sampling import middle_start
from mgm.data.clips.source import FileSource
from mgm.data.clips.transform import centre_crop
from mgm.data.loading.tensors import to_video
from mgm.errors import ConfigError
from mgm.models import Encoder
from mgm.notebook import Pictured
from mgm.show.drawing.raster import draw_image
from mgm.show.drawing.shapes import Drawing
from mgm.show.figures import RgbFrames, paint_attention
from mgm.show.panels import clip_rate, clip_times, write_panels
from mgm.show.sheet import HEAT_KEY, SheetRow, draw_sheet
from mgm.show.style import Ground
from mgm.training.checkpoint import open_encoder

Token = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class AttentionSettings:
    """Whose attention is shown, and where in the encoder.

    Attributes:
        query: the token (t, h, w) that attends; None: the one in the centre of the middle step, as in the paper's Figure 5d.
        block: from 0; negative counts from the end.
        head: from 0; None: the mean over heads.
        rollout: through all blocks instead of in one, see `Encoder.attention_rollout`.
    """

    query: Token | None = None
    block: int = -1
    head: int | None = None
    rollout: bool = False

    def __post_init__(self) -> None:
        if self.rollout and self.head is not None:
            raise ConfigError(
                "head", "found with rollout", "one of them", "rollout is over the mean of the heads", reason="conflict"
            )


@dataclass(frozen=True, slots=True, eq=False)
class AttentionMap(Pictured):
    """A clip and the attention of one of its tokens.

    Attributes:
        frames: uint8 (T, H, W, 3), as the encoder sees them.
        weights: float32 (t, h, w), at least 0; their sum is 1, or less with a class token.
        query: the token (t, h, w) that attends.
        pts_seconds: float64 (T,).
        facts: video, weights, block and head, in lines.
    """

    frames: RgbFrames
    weights: npt.NDArray[np.float32]
    query: Token
    pts_seconds: npt.NDArray[np.float64]
    facts: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        steps, height, width = self.weights.shape
        return f"AttentionMap({steps} x {height} x {width} tokens, query {self.query}; {'; '.join(self.facts)})"

    def rows(self) -> tuple[SheetRow, SheetRow]:
        """The frames with the query token, and the attention."""
        token = (self.weights.shape, self.query)
        return (
            SheetRow("frames", self.frames, token=token),
            SheetRow("attention", paint_attention(self.frames, self.weights), token=token),
        )

    def sheet(self, *, columns: int = 8, ground: Ground = "light") -> Drawing:
        """The contact sheet."""
        t, y, x = self.query
        # The frames of the query's step must be among the columns, or the query would not be seen.
        return draw_sheet(
            self.rows(),
            title=f"Attention of token {t}, {y}, {x}",
            facts=self.facts,
            times=clip_times(self.pts_seconds),
            columns=columns,
            keys=[HEAT_KEY],
            ground=ground,
        )

    def show(self, *, columns: int = 8) -> Image.Image:
        """The contact sheet as a `PIL.Image.Image`."""
        return draw_image(self.sheet(columns=columns))

    def write_video(self, path: str | Path, *, rounds: int = 3) -> None:
        """Write frames and attention side by side, `rounds` times, as .mp4 or .gif; see `write_panels`."""
        rows = [(row.label, row.frames) for row in self.rows()]
        write_panels(path, rows, fps=clip_rate(self.pts_seconds), rounds=rounds)


def attend(
    run: str | Path,
    video: str | Path,
    settings: AttentionSettings | None = None,
    *,
    start: int | None = None,
    overrides: Sequence[str] = (),
    recipe: str | Path | None = None,
) -> AttentionMap:
    """The attention of one token of a clip, of which no token is hidden.

    Args:
        run: a run, or external weights (see `mgm.load_encoder`).
        start: first frame; None: the middle of the video.
        overrides: `key=value` settings, for example `data.stride=2`.
        recipe: as in `mgm.probe`.

    Raises:
        ModelError: no encoder, or the token, block or head does not exist.
        VideoError: the video cannot be read.
    """
    settings = settings or AttentionSettings()
    encoder, config = open_encoder(run, overrides, recipe=recipe)
    source, clip = FileSource(), config.clip_settings(motion=False)
    info = source.info(str(video))
    if start is None:
        start = middle_start(info.frames, frames=clip.frames, stride=clip.stride)
    view = source.clip(str(video), start, centre_crop(info.height, info.width, size=clip.size), clip)
    weights, query = attention_weights(encoder, view.frames, settings)
    facts = (
        f"{Path(video).name}: {clip.frames} frames from frame {start}, stride {clip.stride}, {clip.size} px",
        f"weights: {Path(run).name}, {_place(encoder, settings)}; no token is hidden",
    )
    return AttentionMap(view.frames, weights, query, view.pts_seconds, facts)


def attention_weights(
    encoder: Encoder, frames: RgbFrames, settings: AttentionSettings
) -> tuple[npt.NDArray[np.float32], Token]:
    """The weights float32 (t, h, w) of a clip uint8 (T, H, W, 3), and the token that attends.

    Raises:
        ModelError: the clip does not fit, or the token, block or head does not exist.
    """
    grid = encoder.spec.grid
    query = settings.query or (grid[0] // 2, grid[1] // 2, grid[2] // 2)
    if not all(0 <= place < side for place, side in zip(query, grid, strict=True)):
        raise ConfigError(
            "query",
            f"found token {','.join(map(str, query))}",
            f"t,h,w below {','.join(map(str, grid))}",
            reason="invalid_value",
        )
    heads = encoder.spec.encoder.heads
    if settings.head is not None and not 0 <= settings.head < heads:
        raise ConfigError("head", f"found {settings.head}", f"0 to {heads - 1}", reason="invalid_value")
    index = int(np.ravel_multi_index(query, grid))
    clip = to_video(frames)[None].to(next(encoder.parameters()).device)
    with torch.no_grad():
        if settings.rollout:
            row = encoder.attention_rollout(clip, query=index)[0]
        else:
            rows = encoder.attention(clip, query=index, block=settings.block)[0]
            row = rows.mean(0) if settings.head is None else rows[settings.head]
    weights: npt.NDArray[np.float32] = row.float().cpu().numpy().reshape(grid)
    return weights, query


def _place(encoder: Encoder, settings: AttentionSettings) -> str:
    depth = len(encoder.blocks)
    if settings.rollout:
        return f"rollout through all {depth} blocks"
    head = "mean over heads" if settings.head is None else f"head {settings.head}"
    return f"block {encoder.check_block(settings.block)} of 0 to {depth - 1}, {head}"
