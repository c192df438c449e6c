"""A page of the videos that a classifier is most wrong about: frames, the class, and what was answered instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.clips.transform import centre_crop
from mgm.data.items import VideoItem, part_length
from mgm.data.unreadable import READ_ERRORS
from mgm.evaluation.multi_view import Evaluation
from mgm.show.figures import RgbFrames
from mgm.show.filmstrip import strip
from mgm.show.report.elements import PageSection, Strip
from mgm.show.report.facts import Headline
from mgm.show.report.report import Report, write_report

PAGE = "mistakes.html"
_FRAMES, _SIDE = 8, 128


def write_mistakes(found: Evaluation, count: int) -> Path | None:
    """Write the page of at most `count` videos into the folder of the predictions; None if no video is wrong.

    The most wrong video is the one whose class has the lowest probability. Raises FileError if the page cannot be written.
    """
    judged, classes = found.judged, found.result.details["classes"]
    of_class = judged.probability[np.arange(len(judged.label)), judged.label]
    wrong = [int(i) for i in np.argsort(of_class, kind="stable") if not judged.hits[i]]
    if not wrong:
        return None
    parts = []
    for i in wrong[:count]:
        answer = int(judged.probability[i].argmax())
        caption = (
            f"{judged.names[i]}: {classes[judged.label[i]]} ({of_class[i]:.1%}), "
            f"taken for {classes[answer]} ({judged.probability[i, answer]:.1%})"
        )
        parts.append(_strip(found.items[i], classes[judged.label[i]], caption))
    result = found.result
    top1 = result.metric("top-1")
    report = Report(
        title=f"Most wrong of {result.set.name}",
        summary=f"{len(wrong):,} of {len(judged.label):,} videos are wrong; the {len(parts)} whose class was least expected:",
        made=f"mgm evaluate, {result.model.name if result.model is not None else ''}".rstrip(", "),
        headlines=tuple(Headline(metric.write(metric.value), metric.name) for metric in (top1, *result.metrics[1:3])),
        sections=(PageSection("Videos", tuple(part for part in parts if part is not None)),),
    )
    path = found.folder / PAGE
    write_report(path, report)
    return path


def _strip(item: VideoItem, name: str, caption: str) -> Strip | None:
    """Frames spread over the video; None if it cannot be read any more."""
    try:
        frames = _frames(item)
    except READ_ERRORS:
        return None
    return strip([(name, frames)], columns=_FRAMES, cell_height=96, caption=caption)


def _frames(item: VideoItem) -> RgbFrames:
    """uint8 (T, side, side, 3)."""
    source = FileSource()
    info = source.info(item.path)
    indices = np.linspace(0, part_length(item, info) - 1, _FRAMES).round().astype(np.int64)
    crop = [centre_crop(info.height, info.width, size=_SIDE)]
    settings = ClipSettings(_FRAMES, 1, _SIDE, None)
    return source.clips(item.path, item.start + indices, crop, settings)[0].frames
