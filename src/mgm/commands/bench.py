"""`mgm bench`: the speed of reading files on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from mgm.commands.next_command import new_folder, suggest
from mgm.commands.options import AsJson, Data, Recipe, Settings
from mgm.terminal import Activity, Terminal, print_json

if TYPE_CHECKING:
    from mgm.data.benchmark import DataBenchmark

bench = typer.Typer(no_args_is_help=True, help="Measure the speed of reading your files on this machine.")

_DESCRIPTIONS = {
    "open": "opening and closing the file",
    "demux": "finding the packets of the clip",
    "decode": "packets to frames",
    "convert": "crop, scale, RGB",
    "field": "vectors to a motion field",
    "transform": "mirroring, motion of the crop",
    "mask": "drawing the mask",
    "collate": "clips to a batch",
    "other": "everything else",
}
_BAR_WIDTH = 24


@bench.callback()
def main() -> None:
    """Measure the speed of reading your files on this machine."""


@bench.command()
def data(
    videos: Data,
    settings: Settings = None,
    recipe: Recipe = "mgm-vitb-k400",
    clips: Annotated[int, typer.Option(help="Number of clips to read, each from a different video.")] = 64,
    rate: Annotated[
        float | None, typer.Option(help="Clips per second that the training consumes, over all its devices.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read clips as pretraining does: the time of each stage, the workers that a GPU needs, and advice for faster reading.

    mgm bench data videos/ --rate 1000 data.size=224 mask.name=mgm
    """
    with Activity(f"reading {clips} clips"):
        from mgm.data.benchmark import benchmark_data
        from mgm.training import load_config

        config = load_config(recipe, settings or ())
        result = benchmark_data(videos, config, clips=clips, rate=rate)
    if as_json:
        print_json(result.to_dict())
        return
    title = (
        f"{config.data.frames} frames x stride {config.data.stride} at {config.data.size} px, mask {config.mask.name}"
    )
    _print_result(Terminal(), result, title)
    suggest("mgm", "pretrain", videos, *(settings or ()), "--recipe", recipe, "--out", new_folder("runs/pretrain"))


def _print_result(console: Terminal, result: DataBenchmark, title: str) -> None:
    """The time of each stage as a table, the totals and the advice."""
    from mgm.data.benchmark import STAGES

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("stage", "ms/clip", "fraction"):
        table.add_column(name, justify="right" if name == "ms/clip" else "left", no_wrap=True)
    table.add_column("work")
    longest = max(result.seconds.values())
    for stage in STAGES:
        seconds = result.seconds[stage]
        bar = "█" * max(round(_BAR_WIDTH * seconds / longest), int(seconds > 0))
        table.add_row(stage, f"{seconds * 1e3:.2f}", f"{bar} {seconds / result.computing:.0%}", _DESCRIPTIONS[stage])
    console.print_line(title)
    console.print(table)
    repeats = f", {result.repeats} of each decoded one" if result.repeats > 1 else ""
    console.print_line("")
    console.print_line(
        f"{result.clips_per_second:.1f} clips/s from one core: {result.computing * 1e3:.1f} ms per clip{repeats}, and "
        f"{result.waiting * 1e3:.1f} ms of waiting, for files or other programs ({result.clips} clips read)",
    )
    console.print_line(
        f"{result.decoded:.0f} frames decoded for a clip that spans {result.span}; probing a video takes "
        f"{result.probe_seconds * 1e3:.1f} ms more, once",
    )
    if result.failed:
        from mgm.data.unreadable import LEAVE_OUT_ADVICE

        console.print_line(f"{result.failed} videos cannot be read: {LEAVE_OUT_ADVICE}", style="yellow")
    for line in result.advice:
        console.print_line(f"- {line}", style="bold")
