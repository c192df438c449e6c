"""`mgm bench`: how fast things are, on this machine and these files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from mgm.commands.options import Data, Settings

if TYPE_CHECKING:
    from mgm.training.bench import DataBench

bench = typer.Typer(no_args_is_help=True, help="How fast things are, on this machine and these files.")

WHAT = {
    "open": "opening and closing the file",
    "demux": "finding the packets of the clip",
    "decode": "packets to pictures",
    "convert": "crop, scale, RGB",
    "field": "vectors to a motion field",
    "transform": "mirroring, motion of the crop",
    "mask": "drawing the mask",
    "collate": "clips to a batch",
    "other": "what lies between",
}
WIDTH = 24


@bench.callback()
def main() -> None:
    """How fast things are, on this machine and these files."""


@bench.command()
def data(
    spec: Data,
    settings: Settings = None,
    recipe: Annotated[str, typer.Option(help="One of our recipes by name, or a .yaml file.")] = "mgm-vitb-k400",
    clips: Annotated[int, typer.Option(help="How many clips are read, of as many videos.")] = 64,
    rate: Annotated[
        float | None, typer.Option(help="Clips per second that the training needs, over all its devices.")
    ] = None,
) -> None:
    """Read clips as pretraining does and tell where the time goes: how many workers a GPU needs, and what would save some.

    mgm bench data videos/ --rate 1000 data.size=224 mask.name=mgm
    """
    from mgm.training import load_config
    from mgm.training.bench import bench_data

    console = Console()
    config = load_config(recipe, settings or ())
    with console.status(f"reading {clips} clips"):
        found = bench_data(spec, config, clips=clips, rate=rate)
    shown = (
        f"{config.data.frames} frames x stride {config.data.stride} at {config.data.size} px, mask {config.mask.name}"
    )
    report(console, found, shown)


def report(console: Console, found: DataBench, shown: str) -> None:
    """The table and what follows from it."""
    from mgm.data.loading.stages import STAGES

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("stage", "ms/clip", "share"):
        table.add_column(name, justify="right" if name == "ms/clip" else "left", no_wrap=True)
    table.add_column("what")
    longest = max(found.seconds.values())
    for stage in STAGES:
        seconds = found.seconds[stage]
        bar = "█" * max(round(WIDTH * seconds / longest), int(seconds > 0))
        table.add_row(stage, f"{seconds * 1e3:.2f}", f"{bar} {seconds / found.computing:.0%}", WHAT[stage])
    _say(console, shown)
    console.print(table)
    repeats = f", {found.repeats} of each decoded one" if found.repeats > 1 else ""
    _say(console, "")
    _say(
        console,
        f"{found.clips_per_second:.1f} clips/s from one core: {found.computing * 1e3:.1f} ms a clip{repeats}, and "
        f"{found.waiting * 1e3:.1f} ms of waiting, for files or other programs ({found.clips} clips read)",
    )
    _say(
        console,
        f"{found.decoded:.0f} pictures decoded for a clip that spans {found.span}; a first look at a video takes "
        f"{found.first_look * 1e3:.1f} ms more, once",
    )
    if found.failed:
        _say(console, f"{found.failed} videos cannot be read: mgm scan names them", style="yellow")
    for line in found.advice:
        _say(console, f"- {line}", style="bold")


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
