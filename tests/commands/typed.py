"""Whether a command line can be typed: the command parses it, and does not run."""

from collections.abc import Sequence

import typer.main
from typer.core import TyperGroup

from mgm.commands.main import app

ROOT = typer.main.get_command(app)


def parse(words: Sequence[str]) -> None:
    """Parse the words after `mgm`; a usage error if a command, an option or an argument is missing or unknown."""
    command, context, rest = ROOT, None, list(words)
    while isinstance(command, TyperGroup):
        context = command.make_context("mgm", rest, parent=context)
        _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
    if rest != ["--help"]:
        command.make_context(" ".join(words), rest, parent=context)


def options(words: Sequence[str]) -> set[str]:
    """The options of the command that the words begin with; of all commands if there is none."""
    command = ROOT
    for word in words:
        if not isinstance(command, TyperGroup) or word not in command.commands:
            break
        command = command.commands[word]
    below = list(command.commands.values()) if isinstance(command, TyperGroup) else [command]
    below += [c for group in below if isinstance(group, TyperGroup) for c in group.commands.values()]
    return {"--help", *(name for c in [command, *below] for p in c.params for name in (*p.opts, *p.secondary_opts))}
