"""Figures 1 and 3: top-1 over the epochs of pretraining and over the mask ratio, as published, with results of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mgm.evaluation.paper import FIGURES
from mgm.evaluation.result_table import result_files
from mgm.printable import plural
from mgm.show.chart import Panel, Series, draw_charts, mark_of
from mgm.show.drawing.shapes import Drawing
from mgm.show.style import Ground, Mark
from mgm.training.config import Config
from mgm.training.folder import RECIPE_FILE
from mgm.training.recipe import load_config
from mgm.training.results import Metric, Result, read_results

PIXELS, TOKENS, MOTION = "pixels", "tokens", "motion"
"""Kinds of reconstruction target, which are the marks of Figure 1."""
_MARKS: Final[dict[str, Mark]] = {PIXELS: "circle", TOKENS: "square", MOTION: "triangle"}

# Table 1 on SSv2: method -> target, (pretraining epochs, top-1 in percent). BEVT's 150 epochs follow 800 on images.
_OTHERS: Final = {
    "BEVT": (TOKENS, (150, 70.6)),
    "M3Video": (MOTION, (400, 69.2)),
    "MAM2": (TOKENS, (1200, 71.3)),
    "OmniMAE": (PIXELS, (1600, 69.5)),
    "MotionMAE": (MOTION, (2400, 71.8)),
}
_RATIO: Final = (0.75, 67.3)
"""The only point of Figure 3a that the paper gives as a number (Table 4)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A result of one's own with the settings that it came from."""

    result: Result
    metric: Metric
    config: Config

    @property
    def epochs(self) -> float:
        """Passes over the set in pretraining, as the settings have them."""
        length = self.config.pretrain
        if length.epochs is not None:
            return float(length.epochs)
        clips = length.clips if length.clips is not None else (length.steps or 0) * length.batch
        return clips / max(self.result.set.train, 1)


def read_measured(places: Sequence[Path]) -> list[Measured]:
    """The top-1 of every evaluation in runs and the folders below, of runs whose settings are beside them. Without evaluations: [].

    Raises:
        FileError: a place does not exist.
    """
    found = []
    for file in result_files(places):
        settings = file.parent / RECIPE_FILE
        for result in read_results(file):
            if result.kind == "evaluation" and settings.is_file():
                found.append(Measured(result, result.metrics[0], load_config(settings)))
    return found


def figure_1(measured: Sequence[Measured] = (), *, ground: Ground = "light") -> Drawing:
    """Top-1 on Something-Something V2 over the epochs of pretraining (Table 1), and of each set of one's own beside it."""
    series = [
        Series("MGM (pixels)", _published("MGM"), 0),
        Series("VideoMAE (pixels)", _published("VideoMAE"), 1),
    ]
    for number, (method, (target, point)) in enumerate(_OTHERS.items()):
        series.append(Series(f"{method} ({target})", (point,), 2 + number % 2, _MARKS[target], hollow=number > 1))
    paper = Panel(
        "Something-Something V2, published",
        "epochs of pretraining",
        "top-1 (%)",
        tuple(series),
        x_ticks=(150, 400, 800, 1200, 1600, 2400),
        notes=("in brackets and by mark: the reconstruction target",),
    )
    own = _panels(measured, "epochs of pretraining", lambda one: one.epochs)
    return draw_charts(
        [paper, *own],
        title="Top-1 accuracy and length of pretraining (Figure 1)",
        facts=["ViT-B and others of Table 1 of Fan et al., ICCV 2023, fine-tuned", *_facts(measured)],
        ground=ground,
    )


def figure_3(measured: Sequence[Measured] = (), *, ground: Ground = "light") -> Drawing:
    """Top-1 over the mask ratio and over the epochs of pretraining, published and one's own."""
    ratio = Panel(
        "a) mask ratio, SSv2, 200 epochs",
        "mask ratio",
        "top-1 (%)",
        (Series("MGM", (_RATIO,), 0),),
        x_ticks=(0.6, 0.75, 0.9),
        notes=("the paper gives its other points as a picture only",),
    )
    length = Panel(
        "b) epochs of pretraining, SSv2",
        "epochs of pretraining",
        "top-1 (%)",
        (Series("MGM", _published("MGM"), 0),),
        x_ticks=(400, 800, 1200, 1600, 2400),
    )
    constant = [one for one in measured if one.config.mask.ratios.is_constant]
    own = _panels(constant, "mask ratio", lambda one: one.config.mask.ratio)
    own += _panels(measured, "epochs of pretraining", lambda one: one.epochs)
    return draw_charts(
        [ratio, length, *own],
        title="Mask ratio and length of pretraining (Figure 3)",
        facts=["ViT-B of Fan et al., ICCV 2023, fine-tuned (Tables 1 and 4)", *_facts(measured)],
        size=(360, 270),
        ground=ground,
    )


def _published(method: str) -> tuple[tuple[float, float], ...]:
    """The points of a method in Table 1 on SSv2."""
    rows = (f for f in FIGURES if (f.table, f.on) == ("1", "ssv2") and f.method.split(",")[0] == method)
    return tuple((float(row.method.split()[1]), round(100 * row.value, 2)) for row in rows)


def _facts(measured: Sequence[Measured]) -> list[str]:
    sets = dict.fromkeys(one.result.set.name for one in measured)
    return [f"yours: {', '.join(sets)}; bars are 95% intervals over the test videos"] if measured else []


def _panels(measured: Sequence[Measured], x_label: str, x_of: Callable[[Measured], float]) -> list[Panel]:
    """A panel for each set of one's own, with a series for each mask."""
    panels = []
    for number, name in enumerate(dict.fromkeys(one.result.set.name for one in measured)):
        of_set = [one for one in measured if one.result.set.name == name]
        masks = dict.fromkeys(one.config.mask.name for one in of_set)
        series = []
        for place, mask in enumerate(masks):
            points = sorted(((x_of(one), one) for one in of_set if one.config.mask.name == mask), key=lambda p: p[0])
            series.append(_series(mask, place, points))
        counts = {plural(one.result.videos.judged, "test video") for one in of_set}
        panels.append(
            Panel(f"yours {number + 1}: {name}", x_label, "top-1 (%)", tuple(series), notes=tuple(sorted(counts)))
        )
    return panels


def _series(mask: str, number: int, points: Sequence[tuple[float, Measured]]) -> Series:
    ends = [one.metric.intervals[0] if one.metric.intervals else None for _, one in points]
    intervals = [
        (100 * (end.low if end else one.metric.value), 100 * (end.high if end else one.metric.value))
        for end, (_, one) in zip(ends, points, strict=True)
    ]
    values = tuple((x, 100 * one.metric.value) for x, one in points)
    return Series(mask, values, number, mark_of(number), tuple(intervals))
