"""`mgm figure`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

import mgm
from mgm.commands.next_command import suggest
from mgm.commands.options import Dark, Files, check_suffixes
from mgm.errors import ConfigError
from mgm.terminal import Activity, note, print_result

if TYPE_CHECKING:
    from mgm.show.drawing.shapes import Drawing
    from mgm.show.style import Ground

_FROM_RESULTS, _FROM_A_VIDEO = ("1", "3"), ("4", "5")


def figure(
    number: Annotated[str, typer.Argument(help="1, 3, 4 or 5: the paper's figures.", metavar="1|3|4|5")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(help="1 and 3: runs with results, or none. 4 and 5: a video, and settings section.key=value."),
    ] = None,
    run: Annotated[str | None, typer.Option(help="5: run or weights whose attention is shown.")] = None,
    recipe: Annotated[
        str, typer.Option(help="4 and 5: recipe of the clip and the masks. With --run: that of the run.")
    ] = "mgm-vitb-k400",
    start: Annotated[
        int | None, typer.Option(help="First frame of the clip. Default: the clip in the middle of the video.")
    ] = None,
    boxes: Annotated[Path | None, typer.Option(help="5: file with the true boxes of the video.")] = None,
    columns: Annotated[int, typer.Option(help="4 and 5: number of frames.", min=1)] = 6,
    out: Files = None,
    dark: Dark = False,
) -> None:
    """Draw a figure of the paper: 1 and 3 from published and own results, 4 and 5 from a video.

    mgm figure 5 video.mp4 --run runs/a --out figure-5.pdf
    """
    files = out or [Path(f"figure-{number}.png")]
    given = inputs or []
    if number not in (*_FROM_RESULTS, *_FROM_A_VIDEO):
        raise ConfigError("figure", f"found {number!r}", "1, 3, 4 or 5", reason="unknown_name")
    with Activity(f"drawing figure {number}"):
        check_suffixes(files, moving=False)
        ground: Ground = "dark" if dark else "light"
        if number in _FROM_RESULTS:
            drawn, next_words = _of_results(number, given, ground)
        else:
            drawn = _of_a_video(number, given, _Clip(run, recipe, start, boxes, columns), ground)
            next_words = ["preview", given[0]]
        from mgm.show.drawing.save import save_drawing

        for file in files:
            save_drawing(drawn, file)
    for file in files:
        print_result(f"{file}")
    suggest("mgm", *next_words)


class _Clip(NamedTuple):
    """The clip of Figures 4 and 5."""

    run: str | None
    recipe: str
    start: int | None
    boxes: Path | None
    columns: int


def _of_results(number: str, given: list[str], ground: Ground) -> tuple[Drawing, list[str]]:
    """The figure, and the words of the next command."""
    from mgm.show.paper_figures.accuracy import figure_1, figure_3, read_measured

    measured = read_measured([Path(place) for place in given])
    if given and not measured:
        note(f"{', '.join(given)}: no run has results of 'mgm evaluate'; the figure shows the paper's points alone")
    next_words = ["results", *given] if measured else ["evaluate", "RUN", "SET"]
    return (figure_1 if number == "1" else figure_3)(measured, ground=ground), next_words


def _of_a_video(number: str, given: list[str], choice: _Clip, ground: Ground) -> Drawing:
    from mgm.show.paper_figures.clip import figure_4, figure_5

    video, settings = _split(number, given)
    if number == "4":
        config = mgm.load_config(choice.recipe, settings)
        return figure_4(video, config, start=choice.start, columns=choice.columns, ground=ground)
    if choice.run is None:
        config = mgm.load_config(choice.recipe, settings)
    else:
        from mgm.training.checkpoint import open_encoder

        _, config = open_encoder(choice.run, settings)
    return figure_5(
        video, choice.run, config, start=choice.start, boxes=choice.boxes, columns=choice.columns, ground=ground
    )


def _split(number: str, given: list[str]) -> tuple[str, list[str]]:
    """The video, and the settings after it."""
    if not given or "=" in given[0]:
        advice = f"name a video: mgm figure {number} video.mp4"
        raise ConfigError("figure", "found no video", advice=advice, reason="missing_value")
    return given[0], given[1:]
