"""`mgm`: the list of commands, and the line of an error in a terminal."""

from __future__ import annotations

import os
import sys
import warnings
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from mgm.commands.attention import attention
from mgm.commands.bench import bench
from mgm.commands.compare import compare
from mgm.commands.data import data
from mgm.commands.demo import demo
from mgm.commands.doctor import doctor
from mgm.commands.embed import embed
from mgm.commands.evaluate import evaluate
from mgm.commands.explore import explore
from mgm.commands.export import export
from mgm.commands.figure import figure
from mgm.commands.finetune import finetune
from mgm.commands.loading import announce_loops, announce_torch
from mgm.commands.mistyped import answer_with_setting
from mgm.commands.models import models
from mgm.commands.motion import motion
from mgm.commands.pack import pack
from mgm.commands.predict import predict
from mgm.commands.prepare import prepare
from mgm.commands.pretrain import pretrain
from mgm.commands.preview import preview
from mgm.commands.probe import probe
from mgm.commands.recipes import recipes
from mgm.commands.reconstruct import reconstruct
from mgm.commands.report import report
from mgm.commands.results import results
from mgm.commands.saliency import saliency
from mgm.commands.scan import scan
from mgm.commands.transfer import transfer
from mgm.errors import MgmError
from mgm.lazy import TRAINING_PACKAGES, missing_package
from mgm.printable import printable
from mgm.terminal import print_error, reader_left
from mgm.version import VERSION


class _Commands(TyperGroup):
    """Handles an interrupt before typer, which would exit without a message, and options that are settings."""

    def invoke(self, ctx: Any) -> Any:
        words = [*ctx._protected_args, *ctx.args]
        if "" in words:  # as a path it would be the working directory
            raise typer.BadParameter("an argument is empty; is a variable of the shell not set?", ctx=ctx)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            _interrupted(interrupt)
        except BrokenPipeError:  # typer would exit with status 1
            reader_left()
        except Exception as error:
            if type(error).__name__ == "NoSuchOption":  # click's, or that of the copy of click in newer typer
                answer_with_setting(error, words)
            raise


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

# In the order of `mgm --help`. A new command is a file of this folder, its import and its name here.
PANELS = {
    "Begin": (demo, doctor),
    "Videos": (scan, prepare, pack),
    "Motion and masks": (motion, preview, explore, saliency),
    "Train": (pretrain, finetune, report),
    "Evaluate": (probe, evaluate, transfer, compare, results),
    "Use a model": (predict, embed, reconstruct, attention, export),
    "Lists and figures": (models, figure),
}
GROUP_PANELS = {"Videos": {"data": data, "bench": bench}, "Lists and figures": {"recipes": recipes}}
COMMANDS = tuple(chain.from_iterable(PANELS.values()))
GROUPS = {name: group for groups in GROUP_PANELS.values() for name, group in groups.items()}

for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
for panel, groups in GROUP_PANELS.items():
    for group_name, group in groups.items():
        app.add_typer(group, name=group_name, rich_help_panel=panel)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    """Motion-guided masking of video.

    Read motion vectors from compressed video, draw masks that follow them, and pretrain video models with both.
    Start with [bold]mgm demo[/bold].
    """


def run() -> None:
    """Entry point. An error that the user can act on is one line on standard error and exit status 1; others keep their traceback.

    An interrupt is one line and exit status 130, as in other programs.
    """
    # On few cores OpenMP's spinning threads take time from those that decode. Read when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    warnings.formatwarning = _warning
    for stream in (sys.stdout, sys.stderr):  # a terminal's encoding may lack characters of a name
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    announce_torch()
    announce_loops()
    try:
        app()
    except SystemExit as ended:
        if not isinstance(ended.__context__, BrokenPipeError):  # `mgm --help | head -1`: rich would exit with status 1
            raise
    except MgmError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name in TRAINING_PACKAGES:
            _fail(missing_package("this command", error.name))
        raise
    except KeyboardInterrupt as interrupt:
        _interrupted(interrupt)


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Warnings of mgm are one line for the user; those of libraries keep their file and line."""
    if Path(filename).is_relative_to(Path(__file__).parents[1]):
        return f"mgm: {printable(str(message))}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def _interrupted(interrupt: KeyboardInterrupt) -> NoReturn:
    kept = str(interrupt) or "saved files are intact"  # see `mgm.commands.interrupted`
    _fail(f"interrupted; {printable(kept)}", status=130)


def _fail(message: str, *, status: int = 1) -> NoReturn:
    print_error(message)
    sys.exit(status)
