"""Previews of the videos of a set as files, with a table of the statistics of their masks."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

from mgm.data.annotations import VideoItem, load_items
from mgm.data.clips.sampling import middle_start
from mgm.data.items import evenly_spaced
from mgm.errors import DataError, VideoError
from mgm.files.atomic import atomic_write, make_folder
from mgm.masks import DrawStatistics, pool_statistics
from mgm.printable import table_cell
from mgm.show.drawing.save import STILLS, save_drawing
from mgm.show.preview import Preview, PreviewModel, PreviewSettings, preview_clip
from mgm.show.preview_sheet import ROWS, draw_preview
from mgm.show.style import Ground

FORMS = (".png", ".mp4")
"""Suffixes of the files of a preview."""


@dataclass(frozen=True, slots=True)
class PreviewForm:
    """How previews are drawn.

    Attributes:
        suffixes: of the files: .png, .svg, .pdf, .mp4, .gif; the first is named in results.
        rows: names of `mgm.show.preview_sheet.ROW_NAMES`.
        ground: "light" or "dark".
    """

    suffixes: tuple[str, ...] = FORMS
    rows: tuple[str, ...] = ROWS
    ground: Ground = "light"

    def write(self, shown: Preview, path: Path) -> Path:
        """Write the files of a preview, named as `path` with each suffix; returns the first."""
        files = [path.with_name(path.name + suffix) for suffix in self.suffixes]
        for file in files:
            if file.suffix in STILLS:
                save_drawing(draw_preview(shown, rows=self.rows, ground=self.ground), file)
            else:
                shown.write_video(file)
        return files[0]


class WrittenPreview(NamedTuple):
    """A preview and the path of its picture."""

    preview: Preview
    picture: Path


@dataclass(frozen=True, slots=True)
class PreviewReport:
    """Previews of the videos of a set.

    Attributes:
        written: the previews with their pictures.
        failed: errors of videos that could not be read.
        statistics: path of the table, one row per clip and mask; None without previews.
    """

    written: tuple[WrittenPreview, ...]
    failed: tuple[VideoError, ...]
    statistics: Path | None

    def __repr__(self) -> str:
        return f"PreviewReport({len(self.written)} previews, {len(self.failed)} unreadable videos, {self.statistics})"

    def to_dict(self) -> dict[str, Any]:
        """For programs: the pictures, the pooled statistics of each mask, and the errors."""
        return {
            "pictures": [picture for _, picture in self.written],
            "masks": self.pooled(),
            "statistics": self.statistics,
            "failed": [error.line for error in self.failed],
        }

    def pooled(self) -> dict[str, DrawStatistics]:
        """Statistics over all clips by name of the mask."""
        names = self.written[0].preview.draws if self.written else ()
        return {name: pool_statistics([one.preview.draws[name] for one in self.written]) for name in names}


def preview(
    paths: Sequence[str | Path],
    *,
    out: str | Path,
    start: int | None = None,
    settings: PreviewSettings | None = None,
    moving: bool = True,
    boxes: str | Path | None = None,
    form: PreviewForm | None = None,
    model: PreviewModel | None = None,
    names: Sequence[str] | None = None,
) -> list[WrittenPreview]:
    """Write `NAME.png` (a contact sheet) and the video `NAME.mp4` for each video into the folder `out`.

    Both show frames, motion, and what the encoder sees with each mask, with the statistics over `settings.draws` draws.

    Args:
        moving: False: without the video.
        boxes: a file with the true boxes of the objects, instead of the one beside each video; see `mgm.data.boxes.read_boxes`.
        form: other files and rows.
        model: for the rows `reconstruction` and `attention`.
        names: NAME of each video; None: see `picture_names`.
    """
    form = form or PreviewForm(FORMS if moving else FORMS[:1])
    folder = Path(out)
    make_folder(folder)
    made = []
    for path, name in zip(paths, names or picture_names(paths), strict=True):
        shown = preview_clip(path, start=start, settings=settings or PreviewSettings(), boxes=boxes, model=model)
        made.append(WrittenPreview(shown, form.write(shown, folder / name)))
    return made


def preview_set(
    videos: Sequence[str],
    *,
    out: str | Path,
    clips: int = 10,
    start: int | None = None,
    settings: PreviewSettings | None = None,
    boxes: str | Path | None = None,
    form: PreviewForm | None = None,
    model: PreviewModel | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PreviewReport:
    """Preview up to `clips` videos, evenly spaced, and write `statistics.csv`.

    Args:
        videos: videos, folders of videos, annotation files or specifications of sets, see `mgm.load_set`.
        start: first frame; None: the middle of the video, or of its annotated part.
        progress: called with (videos done, videos to preview).
        others: as for `preview`.

    Raises:
        VideoError: the only video cannot be read.
        DataError: a set cannot be used, or `boxes` with several videos.
        FileError: the folder cannot be written.
    """
    settings, folder = settings or PreviewSettings(), Path(out)
    found = _items_outside(folder, videos)
    chosen = evenly_spaced(found, clips)
    if boxes is not None and len(chosen) > 1:
        raise DataError(
            boxes,
            f"found {len(chosen)} videos",
            "one, the video of these boxes",
            "name it in place of the set",
            reason="conflict",
        )
    make_folder(folder)
    written: list[WrittenPreview] = []
    failed: list[VideoError] = []
    names = [Path(chosen[0].path).stem] if len(found) == 1 else picture_names([item.path for item in chosen])
    for number, (item, name) in enumerate(zip(chosen, names, strict=True)):
        if progress is not None:
            progress(number, len(chosen))
        numbered = replace(settings, seed=settings.seed + number)  # else clips of one length would share a mask
        try:
            first = middle_of_part(item, settings) if start is None else start
            written += preview(
                [item.path],
                out=folder,
                start=first,
                settings=numbered,
                boxes=boxes,
                form=form,
                model=model,
                names=[name],
            )
        except VideoError as error:
            if len(chosen) == 1:
                raise
            failed.append(error)
    table = write_statistics(folder / "statistics.csv", written) if written else None
    return PreviewReport(tuple(written), tuple(failed), table)


def _items_outside(folder: Path, videos: Sequence[str]) -> list[VideoItem]:
    """The first part of every file, but for those in a folder: videos of an earlier preview do not belong to the set."""
    found: dict[str, VideoItem] = {}
    for given in videos:
        for item in load_items(given):
            found.setdefault(item.path, item)
    own = Path(os.path.realpath(folder))
    return [item for path, item in found.items() if own not in Path(os.path.realpath(path)).parents]


def middle_of_part(item: VideoItem, settings: PreviewSettings) -> int | None:
    """First frame of a clip in the middle of a part of a file; None for a whole file, whose length is not known yet."""
    if item.end is None:
        return item.start or None
    return item.start + middle_start(item.end - item.start, frames=settings.frames, stride=settings.stride)


def picture_names(paths: Sequence[str | Path]) -> list[str]:
    """The names of the pictures of videos: their own, and before it those of their last two folders, as class folders often number
    their files alike. A second one of a name, such as another part of the video or a file with another suffix, has a number."""
    names: list[str] = []
    taken: set[str] = set()
    for path in paths:
        own = "_".join(p for p in Path(os.path.realpath(path)).with_suffix("").parts[-3:] if p.strip("/\\"))
        numbered = chain([own], (f"{own}-{number}" for number in count(2)))
        name = next(name for name in numbered if name.casefold() not in taken)  # some file systems have no cases
        taken.add(name.casefold())
        names.append(name)
    return names


def write_statistics(path: str | Path, made: Sequence[WrittenPreview]) -> Path:
    """Write the statistics over draws as a table, one row per clip and mask; empty if a clip does not permit one."""
    path = Path(path)
    columns = (
        "ratio",
        "motion_share",
        "object_share",
        "step_iou",
        "overlap",
        "least_visible",
        "never_visible",
        "fallback_share",
    )
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(("video", "start", "mask", "draws", *columns))
    for shown, _ in made:
        for name, found in shown.draws.items():
            values = [getattr(found, column) for column in columns]
            table.writerow((table_cell(shown.clip.path), int(shown.clip.frame_indices[0]), name, found.draws, *values))
    with atomic_write(path) as file:
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))  # names need not be valid text
    return path
