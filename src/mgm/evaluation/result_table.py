"""Tables of results beside the paper's figures: as rows, and as Markdown, CSV or LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgm.errors import FileError
from mgm.evaluation.metrics import verdict
from mgm.evaluation.paper import PaperFigure, differences, figures_beside
from mgm.training.folder import RECIPE_FILE
from mgm.training.results import RESULT_FILES, Metric, Result, read_results

DEFAULT_METHOD = "MGM, 800 epochs"
COLUMNS = ("run", "set", "figure", "value", "95% interval", "videos", "views", "paper", "theirs", "difference")


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One metric of one result, beside one figure of the paper, or none."""

    file: Path
    result: Result
    metric: Metric
    paper: PaperFigure | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the two are not comparable."""
        return () if self.paper is None else differences(self.result, self.paper)

    @property
    def difference(self) -> str:
        """ "not comparable: 5x3 views, theirs 2x3", or the difference and what it means."""
        if self.paper is None:
            return ""
        if self.reasons:
            return f"not comparable: {'; '.join(self.reasons)}"
        gain = PublishedGain(self.metric, self.paper.value)
        scaled = f"{gain.value * 100:+.1f}" if self.metric.unit == "fraction" else f"{gain.value:+.2f}"
        return f"{scaled}, {verdict(gain)}"

    @property
    def run(self) -> str:
        """The name of the run or the weights; of a checkpoint, after that of its run."""
        folder, model = self.file.parent, self.result.model
        if model is None:
            return folder.name
        is_checkpoint = self.file.name.startswith(f"{model.name}.") and (folder / RECIPE_FILE).is_file()
        return f"{folder.name}/{model.name}" if is_checkpoint else model.name

    def cells(self) -> tuple[str, ...]:
        """The row as text, one cell for each of `COLUMNS`."""
        metric, result, paper = self.metric, self.result, self.paper
        views = result.protocol.get("temporal views"), result.protocol.get("spatial views")
        expected = result.videos.expected
        return (
            self.run,
            result.set.name,
            metric.name if result.kind == "evaluation" else f"{result.kind}: {metric.name}",
            metric.write(metric.value),
            metric.bounds,
            f"{metric.count}" if metric.count == expected else f"{metric.count} of {expected}",
            "" if None in views else f"{views[0]}x{views[1]}",
            "" if paper is None else f"{paper.method} (Table {paper.table})".replace("Table section", "section"),
            "" if paper is None else metric.write(paper.value),
            self.difference,
        )

    def to_dict(self) -> dict[str, Any]:
        """The row for programs, with the whole record."""
        paper = self.paper
        beside = None if paper is None else {"table": paper.table, "method": paper.method, "value": paper.value}
        return {
            "file": str(self.file),
            "metric": self.metric.name,
            "paper": beside,
            "not comparable": list(self.reasons),
            "difference": self.difference,
            "result": self.result.model_dump(mode="json"),
        }


@dataclass(frozen=True, slots=True)
class PublishedGain:
    """A metric against a published figure, which is taken as exact: its own interval was not published."""

    metric: Metric
    published: float

    @property
    def value(self) -> float:
        """Difference to the figure."""
        return self.metric.value - self.published

    @property
    def is_certain(self) -> bool:
        """Whether the metric has intervals, and all of them exclude the figure."""
        intervals = self.metric.intervals
        return bool(intervals) and all(not each.low <= self.published <= each.high for each in intervals)


def find_results(places: Iterable[Path]) -> list[Path]:
    """The files of results in runs, and in all folders below; at least one.

    Raises:
        FileError: a place does not exist, or none of them contains results.
    """
    places = list(places)
    found = result_files(places)
    if not found:
        names = ", ".join(map(str, places))
        advice = "measure some with 'mgm evaluate' or 'mgm probe'"
        raise FileError(names, "contains no results", f"files such as {RESULT_FILES[0]}", advice, reason="not_found")
    return found


def result_files(places: Iterable[Path]) -> list[Path]:
    """As `find_results`; without results, an empty list.

    Raises:
        FileError: a place does not exist.
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise FileError(place, "does not exist", "a run, or a folder of runs", "check the path", reason="not_found")
        files = [place] if place.is_file() else place.rglob("*.json")
        found += sorted(file for file in files if file.name.endswith(RESULT_FILES))
    return list(dict.fromkeys(found))


def result_rows(files: Iterable[Path], *, method: str = DEFAULT_METHOD, every_metric: bool = False) -> list[ResultRow]:
    """The rows of all results in some files. Raises ModelError if one is damaged.

    Args:
        method: words of the paper's methods to show beside a result.
        every_metric: also those that no table of the paper has, such as calibration.
    """
    return [
        row
        for file in files
        for result in read_results(file)
        for metric in _shown(result, every_metric=every_metric)
        for row in _beside(file, result, metric, method)
    ]


def _shown(result: Result, *, every_metric: bool) -> Sequence[Metric]:
    """Top-1 of an evaluation; every metric of other kinds, which have few."""
    return result.metrics if every_metric or result.kind != "evaluation" else result.metrics[:1]


def _beside(file: Path, result: Result, metric: Metric, method: str) -> Iterator[ResultRow]:
    figures = figures_beside(result, metric, method)
    if not figures:
        yield ResultRow(file, result, metric)
    yield from (ResultRow(file, result, metric, figure) for figure in figures)


def _csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _latex(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in row) + r" \\" for row in (columns, *rows)]
    head, *body = lines
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{'l' * len(columns)}}}",
            "\\hline",
            head,
            "\\hline",
            *body,
            "\\hline",
            "\\end{tabular}",
            "",
        ]
    )


_FORMATS: Mapping[str, Callable[[Sequence[str], Sequence[Sequence[str]]], str]] = {
    "markdown": _markdown,
    "csv": _csv,
    "latex": _latex,
}


def format_table(columns: Sequence[str], rows: Sequence[Sequence[str]], form: str) -> str:
    """A table as the text of a file: "markdown", "csv" or "latex"."""
    return _FORMATS[form](columns, rows)
