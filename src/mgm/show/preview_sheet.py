"""The sheet of a preview: rows of a clip for few masks, small multiples for many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from mgm.errors import ConfigError
from mgm.masks import Mask, TokenMask
from mgm.show.drawing.shapes import Drawing
from mgm.show.figures import colour_motion, hide_masked, paint_attention, paint_mask, paint_visibility, reconstruction
from mgm.show.panels import clip_times
from mgm.show.preview import Preview, PreviewModel
from mgm.show.sheet import (
    BOX_KEY,
    EDGE_KEY,
    GAP,
    HEAT_KEY,
    HIDDEN_KEY,
    MARGIN,
    VEIL_KEY,
    LegendKey,
    SheetRow,
    draw_cell,
    draw_heading,
    draw_keys,
    draw_sheet,
    fixed_scale,
    pick_columns,
)
from mgm.show.style import LABEL, SMALL, VEIL, Ground

ROW_NAMES: Final = ("frames", "motion", "mask", "encoder", "reconstruction", "attention")
ROWS: Final = ("frames", "motion", "encoder")
"""The rows of a sheet without another choice: the last is what the encoder sees."""
FEW: Final = 3
"""More masks than these are shown as small multiples."""
_KEYS: Final = {"mask": VEIL_KEY, "encoder": HIDDEN_KEY, "attention": HEAT_KEY}
_MULTIPLES_WIDE: Final = 3
_MULTIPLE_HIGH: Final = 88.0


def draw_preview(shown: Preview, *, rows: Sequence[str] = ROWS, columns: int = 8, ground: Ground = "light") -> Drawing:
    """The contact sheet of a preview: title, clip, mask and border rule, rows, and the key of all colours.

    Args:
        rows: names of `ROW_NAMES`, in their order; `mask` and later ones are repeated for each mask. With more than three masks
            each is shown by three frames, grouped by what it follows and sorted by the share of the motion that it hides.

    Raises:
        ConfigError: an unknown row, or one that needs a model.
    """
    for name in rows:
        if name not in ROW_NAMES:
            raise ConfigError("rows", f"found {name!r}", f"some of {', '.join(ROW_NAMES)}", reason="unknown_name")
    if len(shown.masks) > FEW:
        return _draw_multiples(shown, ground)
    drawn = list(_rows(shown, rows))
    keys = [_KEYS[name] for name in rows if name in _KEYS]
    keys += [_visibility_key(shown)] if any(row.end is not None for row in drawn) else []
    return draw_sheet(
        drawn,
        title=_title(shown),
        facts=_facts(shown),
        times=clip_times(shown.clip.pts_seconds),
        columns=columns,
        keys=keys,
        end_name="visibility over draws",
        ground=ground,
    )


def _rows(shown: Preview, rows: Sequence[str]) -> Iterator[SheetRow]:
    frames, motion = shown.clip.frames, shown.clip.motion
    if "frames" in rows:
        yield SheetRow("frames", frames, boxes=shown.boxes)
    if "motion" in rows and motion is not None:
        yield _motion_row(shown)
    of_masks = [name for name in rows if name in ("mask", "encoder", "reconstruction")]
    for name, mask in shown.masks.items():
        for number, kind in enumerate(of_masks):
            label = name if len(of_masks) == 1 else f"{name}: {kind}"
            notes = shown.notes()[name] if number == 0 else ()
            seen = shown.draws[name].visibility.mean(axis=0)
            end = paint_visibility(seen, white=_white(shown)) if number == 0 else None
            yield _mask_row(shown, kind, label, mask, notes=notes, end=end)
    if "attention" in rows:
        weights, query = _model(shown, "attention").attend(frames)
        yield SheetRow("attention", paint_attention(frames, weights), token=(weights.shape, query))


def _white(shown: Preview) -> float:
    """The visibility that is shown white: twice that of a mask which hides every token equally often."""
    return min(2 * (1 - shown.settings.ratio), 1.0)


def _visibility_key(shown: Preview) -> LegendKey:
    white, draws = _white(shown), shown.settings.draws
    most = "100%" if white == 1 else f"{white:.0%} or more"
    return LegendKey(f"visible in 0% to {most} of {draws} draws", VEIL, "ramp")


def _motion_row(shown: Preview) -> SheetRow:
    motion = shown.clip.motion
    assert motion is not None
    scale = fixed_scale(motion.extent)
    size = shown.clip.frames.shape[1:3]
    directed = motion.source != "difference"
    coloured = colour_motion(motion.vectors, extent=motion.extent, size=size, full_scale=scale)
    return SheetRow("motion", coloured, arrows=motion if directed else None)


def _mask_row(
    shown: Preview, kind: str, label: str, mask: TokenMask, *, notes: tuple[str, ...], end: np.ndarray | None
) -> SheetRow:
    frames = shown.clip.frames
    if kind == "mask":
        return SheetRow(
            label, paint_mask(frames, mask.masked, thickness=0), notes, outline=mask.masked, boxes=shown.boxes, end=end
        )
    if kind == "encoder":
        return SheetRow(label, hide_masked(frames, mask.masked), notes, outline=mask.masked, end=end)
    predicted = _model(shown, kind).reconstruct(frames, mask)
    return SheetRow(label, reconstruction(frames, predicted, mask.masked)[2][1], notes, outline=mask.masked, end=end)


def _model(shown: Preview, row: str) -> PreviewModel:
    if shown.model is None:
        raise ConfigError(row, "found no model", "a run", "give --run, or leave out this row", reason="missing_value")
    return shown.model


def _title(shown: Preview) -> str:
    names = list(shown.masks)
    masks = " and ".join(names) if len(names) <= 2 else ", ".join(names) if len(names) <= FEW else f"{len(names)} masks"
    ratio, rules = f"{shown.settings.ratio:.0%}", _rules(shown).values()
    # A mask without a fixed count hides another share, which is beside it.
    return f"{masks}: {ratio} hidden" if all(rule.fixed_count for rule in rules) else f"{masks}: mask ratio {ratio}"


def _rules(shown: Preview) -> dict[str, Mask]:
    return {name: shown.settings.rule(name) for name in shown.masks}


def _facts(shown: Preview) -> list[str]:
    settings, clip = shown.settings, shown.clip
    t, h, w = settings.grid
    motion = "none" if clip.motion is None else f"{clip.motion.source}, camera {settings.camera}"
    rules = []
    for name, rule in _rules(shown).items():
        boundary = getattr(rule, "boundary", None)
        rules += [f"{name}: border rule {boundary}"] if boundary is not None else []
    facts = [
        f"{Path(clip.path).name}: {settings.frames} frames from frame {int(clip.frame_indices[0])}, stride {settings.stride}, "
        f"{settings.size} px; {t} x {h} x {w} tokens",
        "; ".join([f"motion: {motion}", *(rules if len(shown.masks) <= FEW else []), f"seed {settings.seed}"]),
    ]
    return [*facts, f"settings of {settings.origin}"] if settings.origin else facts


def _draw_multiples(shown: Preview, ground: Ground) -> Drawing:
    frames = shown.clip.frames
    _, height, width, _ = frames.shape
    moments = pick_columns(len(frames), 3)
    cell = (width * _MULTIPLE_HIGH / height, _MULTIPLE_HIGH)
    wide = len(moments) * (cell[0] + GAP) + 3 * GAP
    drawing = Drawing(2 * MARGIN + _MULTIPLES_WIDE * wide - 4 * GAP, 0, _title(shown), ground)
    top = draw_heading(drawing, drawing.title, _facts(shown))
    scale = 1.0 if shown.clip.motion is None else fixed_scale(shown.clip.motion.extent)
    for family, rows in _families(shown):
        drawing.text((MARGIN, top), family, size=LABEL, upright="top")
        top += LABEL + 12
        for number, row in enumerate(rows):
            left = MARGIN + number % _MULTIPLES_WIDE * wide
            upper = top + number // _MULTIPLES_WIDE * (cell[1] + 40)
            for place, moment in enumerate(moments):
                draw_cell(drawing, row, int(moment), (left + place * (cell[0] + GAP), upper), cell, scale)
            drawing.text((left, upper + cell[1] + 4), row.label, size=SMALL + 1, upright="top")
            for note in row.notes[:1]:
                right = left + wide - 4 * GAP
                colour = drawing.theme.faint
                drawing.text(
                    (right, upper + cell[1] + 5), note, size=SMALL, colour=colour, align="right", upright="top"
                )
        top += math.ceil(len(rows) / _MULTIPLES_WIDE) * (cell[1] + 40) + 6
    keys: list[LegendKey] = [HIDDEN_KEY, EDGE_KEY, *([BOX_KEY] if shown.boxes is not None else [])]
    drawing.height = draw_keys(drawing, keys, top, full_scale=scale if shown.clip.motion is not None else None) + MARGIN
    return drawing


def _families(shown: Preview) -> Iterator[tuple[str, list[SheetRow]]]:
    """The clip; masks that follow its motion; others. Masks that hide more of the motion come first."""
    start, middle, end = (
        shown.clip.pts_seconds[k] - shown.clip.pts_seconds[0] for k in pick_columns(len(shown.clip.frames), 3)
    )
    clip = [SheetRow(f"frames at {start:.2f}, {middle:.2f} and {end:.2f} s", shown.clip.frames, boxes=shown.boxes)]
    if shown.clip.motion is not None:
        clip.append(_motion_row(shown))
    yield "the clip", clip
    for family, follows in (("masks that follow the motion", True), ("masks that do not follow it", False)):
        rows = []
        for name in sorted(shown.masks, key=lambda name: (-(shown.draws[name].motion_share or 0), name)):
            if shown.settings.rule(name).uses_motion == follows:
                found, mask = shown.draws[name], shown.masks[name]
                notes = [] if found.motion_share is None else [f"hides {found.motion_share:.0%} of the motion"]
                rows.append(
                    SheetRow(name, hide_masked(shown.clip.frames, mask.masked), tuple(notes), outline=mask.masked)
                )
        if rows:
            yield family, rows
