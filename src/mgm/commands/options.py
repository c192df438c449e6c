"""Arguments that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgm.errors import FileError
from mgm.terminal import note

if TYPE_CHECKING:
    from mgm.data.annotations import VideoSet
    from mgm.training.folder import Start


def recipe_names(typed: str) -> list[str]:
    """The recipes whose names begin so, for the shell's tab key."""
    from mgm.training.recipe_file import list_recipes

    return [name for name in list_recipes() if name.startswith(typed)]


def mask_names(typed: str) -> list[str]:
    """The masks, separated by commas, whose last name begins so, for the shell's tab key."""
    from mgm.masks import list_masks

    before, comma, last = typed.rpartition(",")
    return [f"{before}{comma}{name}" for name in list_masks() if name.startswith(last)]


SET_HELP = (
    "Set of videos: a folder, an annotation file, or train=FILE,test=FILE,root=FOLDER; 'mgm data show' prints how "
    "it is read."
)
Data = Annotated[str, typer.Argument(help=SET_HELP, metavar="SET")]
Recipe = Annotated[str, typer.Option(help="Name of a recipe of mgm, or a .yaml file.", autocompletion=recipe_names)]
ForeignRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        autocompletion=recipe_names,
        help="Recipe to use instead of the run's own settings. Default for weights of other projects: mgm-vitb-k400.",
    ),
]
Out = Annotated[Path, typer.Option(help="Folder of the run: config.yaml, log.jsonl, tensorboard/, checkpoints/.")]
Resume = Annotated[
    str,
    typer.Option(
        help="auto: continue the run in --out exactly where it stopped, or start one. never: start one. A path: start at that "
        "checkpoint, or at the newest one of that run."
    ),
]
Extend = Annotated[
    Path | None,
    typer.Option(
        help="Run with the schedule wsd to lengthen: start before its decay, with another length, in a new --out."
    ),
]
Change = Annotated[
    str,
    typer.Option(help="Settings in which a resumed run may differ from its checkpoint: names, separated by commas."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON, for programs.")]
Groups = Annotated[
    str | None,
    typer.Option(
        help="Groups of videos, such as those of one recording: a .csv of video and group (FILE:COLUMN), or a regular "
        "expression such as '/(g[0-9]+)_'. "
        "Intervals then cover the choice of groups."
    ),
]
Ray = Annotated[
    bool,
    typer.Option("--ray", help="Run on the Ray cluster at RAY_ADDRESS, else on a local one; needs the extra 'ray'."),
]
Network = Annotated[
    str | None,
    typer.Option(
        "--model", help="Network of 'mgm models', for weights of its authors; the same as model.network=NAME."
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="File with the names of the classes in the order of the model's outputs, for weights without names."
    ),
]
Settings = Annotated[
    list[str] | None, typer.Argument(help="Settings section.key=value, which replace those of the recipe.")
]

Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--out",
        help="File to write; may be given several times. .png; .svg or .pdf: vector graphics; .mp4 or .gif: moving.",
    ),
]
Dark = Annotated[bool, typer.Option("--dark", help="Dark background.")]


def check_suffixes(files: Sequence[Path], *, moving: bool = True) -> None:
    """Refuse files that cannot be written before the work begins."""
    from mgm.show.drawing.save import STILLS
    from mgm.show.panels import MOVING

    known = (*STILLS, *MOVING) if moving else STILLS
    for file in files:
        if file.suffix.lower() not in known:
            raise FileError.wrong_suffix(file, known)


def with_network(settings: Sequence[str] | None, network: str | None) -> tuple[str, ...]:
    """The settings, with the network of the option `--model` first: others replace its clips and views."""
    return (*(() if network is None else (f"model.network={network}",)), *(settings or ()))


def open_set(data: str) -> VideoSet:
    """The set that an argument describes, read once per machine. Prints its notes to standard error, on the first device only."""
    from mgm.training.shared_set import shared_set

    videos = shared_set(data)
    for line in videos.notes:
        note(line)
    return videos


def start_of(resume: str, extend: Path | None, change: str) -> Start:
    """The start of a run that the options describe."""
    from mgm.training.folder import Start

    return Start.of(resume, extend, filter(None, change.split(",")))
