"""The section of a report that shows what runs reconstruct of a clip at several of their steps."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from mgm.data.annotations import load_items
from mgm.data.clips.source import FileSource
from mgm.data.unreadable import READ_ERRORS
from mgm.errors import MgmError
from mgm.show.curves import about_run
from mgm.show.figures import RgbFrames, reconstruction
from mgm.show.filmstrip import encode_image, pick_moments, strip
from mgm.show.masked_clip import MaskedClip, read_masked_clip
from mgm.show.report.elements import PageSection, Picture, Strip, Text
from mgm.training.checkpoint import load_autoencoder
from mgm.training.folder import PICTURES, RECIPE_FILE, checkpoint_folders
from mgm.training.recipe import load_config

MOST_STEPS: Final = 6
MOST_PICTURES: Final = 4
MOST_RUNS: Final = 8
_TRIED: Final = 3
"""Videos of the set that are tried: those of another machine cannot be read here."""
_KEEP: Final = "pretrain.keep_every=EPOCHS keeps one of every so many epochs"

Parts = list[Strip | Picture | Text]


def progress_section(folders: Mapping[str, Path], video: str | None = None) -> PageSection | None:
    """A clip as the kept checkpoints of each pretraining reconstruct it, and the pictures that the run drew; None without either.

    Args:
        video: the clip's; None: one of the set that the run was asked for.

    Raises:
        VideoError: `video` cannot be read.
    """
    parts: Parts = []
    for name, folder in list(folders.items())[:MOST_RUNS]:
        words = f"{name}: " if len(folders) > 1 else ""
        parts += [*_strips(folder, video, words), *_pictures(folder, words)]
    lead = "Hidden patches as the model predicts them; with normalised pixels their brightness and contrast are the true ones."
    return PageSection("Reconstructions through time", tuple(parts), lead=lead) if parts else None


def _strips(folder: Path, video: str | None, words: str) -> Parts:
    checkpoints = checkpoint_folders(folder)[::-1]
    if not checkpoints or about_run(folder).get("kind") == "finetune":
        return []
    try:
        model = load_autoencoder(checkpoints[-1])
    except MgmError:  # a classifier of an earlier version, or a model of another kind
        return []
    if not model.objective.has_picture:
        return [Text(f"{words}its target has no pixels, and so no reconstruction.")]
    clip, name = _read_clip(folder, video)
    if clip is None:
        return [Text(f"{words}no reconstruction: {name}. --video names a clip.")]
    picked = [checkpoints[i] for i in pick_moments(len(checkpoints), MOST_STEPS)]
    rows: list[tuple[str, RgbFrames]] = []
    for checkpoint in picked:
        predicted = clip.reconstruct(load_autoencoder(checkpoint))
        original, seen, made = reconstruction(clip.frames, predicted, clip.mask.masked)
        rows = rows or [original, seen]
        rows.append((f"step {_step(checkpoint)}", made[1]))
    one = f" Only one checkpoint is kept: {_KEEP}." if len(checkpoints) == 1 else ""
    return [strip(rows, cell_height=96, caption=f"{words}{name}, the same clip and mask at each step.{one}")]


def _read_clip(folder: Path, video: str | None) -> tuple[MaskedClip | None, str]:
    """A clip and the name of its video; or None, and the reason.

    Raises:
        VideoError: `video` cannot be read.
    """
    config = load_config(folder / RECIPE_FILE)
    asked = video or about_run(folder).get("set", {}).get("asked")
    if not isinstance(asked, str):
        return None, "the run does not name its set"
    try:
        items = load_items(asked)
    except MgmError as error:
        if video is not None:
            raise
        return None, f"its set cannot be read here ({error.line})"
    for item in items[len(items) // 2 :][:_TRIED]:
        try:
            return read_masked_clip(item, FileSource(), config, number=0, motion=False), Path(item.path).name
        except READ_ERRORS:
            if video is not None:
                raise
    return None, f"the videos of its set, {asked}, cannot be read here"


def _pictures(folder: Path, words: str) -> Parts:
    """The pictures of the same clips that the run drew at the steps of `log.pictures`."""
    files = sorted((folder / PICTURES).glob("step-*.png"))
    return [
        Picture(
            _smaller(file), f"Clips of the set at step {_step(file)}", f"{words}drawn by the run at step {_step(file)}"
        )
        for file in (files[i] for i in pick_moments(len(files), MOST_PICTURES))
    ]


def _step(path: Path) -> str:
    """The step of a checkpoint or of a picture, by its name."""
    return f"{int(path.stem.partition('-')[2]):,}"


def _smaller(file: Path) -> bytes:
    with Image.open(BytesIO(file.read_bytes())) as opened:
        return encode_image(np.asarray(opened.convert("RGB")), form="webp")
