"""Figures 4 and 5: the masks of the paper on one clip; and its boxes, mask, motion and attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from mgm.show.attention import AttentionSettings, attention_weights
from mgm.show.drawing.shapes import Drawing
from mgm.show.figures import colour_motion, hide_masked, paint_attention
from mgm.show.panels import clip_times
from mgm.show.preview import Preview, preview_clip
from mgm.show.preview_settings import settings_of
from mgm.show.sheet import HEAT_KEY, HIDDEN_KEY, LegendKey, SheetRow, draw_sheet, fixed_scale
from mgm.show.style import Ground
from mgm.training.checkpoint import open_encoder
from mgm.training.config import Config

PAPER_MASKS: Final = {
    "block": "random block",
    "tube": "random tube",
    "smm-sparse": "SMM (sparse)",
    "smm": "SMM (dense)",
    "mgm-sparse": "MGM (sparse)",
    "mgm": "MGM (dense)",
}
"""The masks of Table 4e and Figure 4, and their names there."""


def figure_4(
    video: str, config: Config, *, start: int | None = None, columns: int = 6, ground: Ground = "light"
) -> Drawing:
    """The masks of the paper over one clip, as the encoder sees it."""
    shown = preview_clip(video, start=start, settings=settings_of(config, tuple(PAPER_MASKS)))
    rows = [SheetRow("frames", shown.clip.frames)]
    for name, mask in shown.masks.items():
        seen = hide_masked(shown.clip.frames, mask.masked)
        rows.append(SheetRow(PAPER_MASKS[name], seen, outline=mask.masked))
    return _sheet(
        "Masks of one clip (Figure 4)", rows, shown, config, keys=[HIDDEN_KEY], columns=columns, ground=ground
    )


def figure_5(
    video: str,
    run: str | Path | None,
    config: Config,
    *,
    start: int | None = None,
    boxes: Path | None = None,
    columns: int = 6,
    ground: Ground = "light",
) -> Drawing:
    """One clip: a) frames with true boxes, b) the mask, c) motion, and with a run d) the attention of the centre token.

    Args:
        run: a run or weights; None: without d).
        config: the settings of the run, or of a recipe.
        boxes: as for `mgm.preview`.
    """
    settings = settings_of(config, ("mgm",))
    shown = preview_clip(video, start=start, settings=replace(settings, motion=settings.motion or "auto"), boxes=boxes)
    frames, mask, motion = shown.clip.frames, shown.masks["mgm"], shown.clip.motion
    keys = [HIDDEN_KEY]
    rows = [
        SheetRow("a) frames", frames, boxes=shown.boxes),
        SheetRow("b) mgm mask", hide_masked(frames, mask.masked), outline=mask.masked),
    ]
    if motion is not None:
        scale = fixed_scale(motion.extent)
        coloured = colour_motion(motion.vectors, extent=motion.extent, size=frames.shape[1:3], full_scale=scale)
        rows.append(SheetRow("c) motion", coloured, arrows=motion))
    if run is not None:
        encoder, _ = open_encoder(run)
        weights, query = attention_weights(encoder, frames, AttentionSettings())
        token = (encoder.spec.grid, query)
        rows.append(SheetRow("d) attention", paint_attention(frames, weights), token=token))
        keys.append(HEAT_KEY)
    title = "What moves and what is hidden" if run is None else "What moves, what is hidden, what is attended to"
    return _sheet(f"{title} (Figure 5)", rows, shown, config, keys=keys, columns=columns, ground=ground)


def _sheet(
    title: str,
    rows: Sequence[SheetRow],
    shown: Preview,
    config: Config,
    *,
    keys: Sequence[LegendKey],
    columns: int,
    ground: Ground,
) -> Drawing:
    clip = shown.clip
    source = "none" if clip.motion is None else clip.motion.source
    facts = [
        f"{Path(clip.path).name}: {config.data.frames} frames from frame {int(clip.frame_indices[0])}, stride {config.data.stride}",
        f"{config.mask.ratio:.0%} of the tokens are hidden; motion: {source}, camera {config.data.camera}",
    ]
    return draw_sheet(
        rows,
        title=title,
        facts=facts,
        times=clip_times(clip.pts_seconds),
        columns=columns,
        keys=keys,
        ground=ground,
    )
