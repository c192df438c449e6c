"""Whether a command line can be typed: it is parsed by the command itself, which does not run."""

from collections.abc import Sequence

import typer.main
from typer.core import TyperGroup

from mgm.commands.main import app


def parse(words: Sequence[str]) -> None:
    """Parse the words after `mgm`; a usage error if a command, an option or an argument is missing or unknown."""
    command, context, rest = typer.main.get_command(app), None, list(words)
    while isinstance(command, TyperGroup):
        context = command.make_context("mgm", rest, parent=context)
        _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
    if rest != ["--help"]:
        command.make_context(" ".join(words), rest, parent=context)
