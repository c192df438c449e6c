"""`mgm attention`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgm.commands.next_command import suggest
from mgm.commands.options import Dark, Files, ForeignRecipe, Settings, check_suffixes
from mgm.errors import ConfigError
from mgm.terminal import Activity, print_result

if TYPE_CHECKING:
    from mgm.show.attention import AttentionMap


def attention(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run, or weights as for 'mgm probe'.")],
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A video, or a URL.")],
    settings: Settings = None,
    query: Annotated[
        str | None,
        typer.Option(
            help="Token t,h,w whose attention is shown, counted from 0. Default: the centre of the middle step."
        ),
    ] = None,
    layer: Annotated[int, typer.Option(help="Block of the encoder, from 0; negative counts from the end.")] = -1,
    head: Annotated[int | None, typer.Option(help="Attention head, from 0. Default: the mean over heads.")] = None,
    rollout: Annotated[
        bool, typer.Option("--rollout", help="Attention through all blocks (rollout) instead of in one.")
    ] = False,
    start: Annotated[
        int | None, typer.Option(help="First frame of the clip. Default: the clip in the middle of the video.")
    ] = None,
    out: Files = None,
    columns: Annotated[int, typer.Option(help="Number of frames of a picture.", min=1)] = 8,
    dark: Dark = False,
    recipe: ForeignRecipe = None,
) -> None:
    """Show to which parts of a clip one of its tokens attends in the encoder, as a picture and a video.

    mgm attention runs/a video.mp4 --query 4,3,3 --out attention.pdf
    """
    files = out or [Path("attention.png"), Path("attention.mp4")]
    with Activity(f"reading {run}") as activity:
        from mgm.show.attention import AttentionSettings, attend

        check_suffixes(files)
        chosen = AttentionSettings(_token(query), layer, head, rollout)
        found = attend(run, video, chosen, start=start, overrides=tuple(settings or ()), recipe=recipe)
        for file in files:
            activity.rename(f"drawing {file}")
            _write(found, file, columns=columns, dark=dark)
    for file in files:
        print_result(f"{file}")
    print_result(_summary(found))
    suggest("mgm", "figure", 5, video, "--run", run)


def _write(found: AttentionMap, file: Path, *, columns: int, dark: bool) -> None:
    from mgm.show.drawing.save import STILLS, save_drawing

    if file.suffix.lower() in STILLS:
        save_drawing(found.sheet(columns=columns, ground="dark" if dark else "light"), file)
    else:
        found.write_video(file)


def _summary(found: AttentionMap) -> str:
    t = found.query[0]
    own, total = float(found.weights[t].sum()), float(found.weights.sum())
    top = float(found.weights.max()) * found.weights.size / total
    most = f"the token with the most has {top:.1f} times the mean"
    return f"{own / total:.0%} of the attention is paid to the query's own step; {most}"


def _token(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    try:
        t, y, x = (int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(
            "--query", f"found {text!r}", "three whole numbers t,h,w, as 4,7,7", reason="invalid_value"
        ) from error
    return t, y, x
