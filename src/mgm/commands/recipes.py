"""`mgm recipes`: list the recipes, show one with the source of every value, compare two."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column

from mgm.commands.next_command import suggest
from mgm.commands.options import AsJson, Settings
from mgm.commands.tables import plain_table
from mgm.terminal import Activity, Terminal, print_json

if TYPE_CHECKING:
    from mgm.training.explain import Setting
    from mgm.training.recipe_file import Recipe

# Section -> the command that a recipe with this section is for. The first one counts: a recipe of pretraining has the settings
# of its evaluation too.
_COMMANDS = {
    "pretrain": ("mgm", "pretrain", "SET"),
    "finetune": ("mgm", "finetune", "RUN", "SET"),
    "probe": ("mgm", "probe", "RUN", "SET"),
}

Name = Annotated[
    str, typer.Argument(help="Name of a recipe of mgm, or a .yaml file, such as the config.yaml of a run.")
]

recipes = typer.Typer(invoke_without_command=True, help="List, show and compare recipes.")


@recipes.callback()
def listing(context: typer.Context, as_json: AsJson = False) -> None:
    """List the recipes of mgm. `mgm recipes show NAME` prints one, `mgm recipes diff A B` compares two."""
    if context.invoked_subcommand is not None:
        return
    with Activity("reading the recipes"):
        from mgm.training.recipe_file import list_recipes, read_recipe

        found = sorted((read_recipe(name) for name in list_recipes()), key=_command_order)
    if as_json:
        print_json([{"name": one.name, "command": _command(one)[:2], "about": one.about} for one in found])
        return
    console = Terminal()
    for command, group in groupby(found, _command):
        table = plain_table(Column(f"for {' '.join(command[:2])}", no_wrap=True), "")
        for recipe in group:
            table.add_row(recipe.name, _title(recipe.about))
        console.print(table)
        console.print()
    suggest("mgm", "recipes", "show", found[0].name)


@recipes.command()
def show(name: Name, settings: Settings = None, as_json: AsJson = False) -> None:
    """Show every setting of a recipe, resolved, with its meaning and the source of its value. The output is a recipe too.

    mgm recipes show mgm-vitb-ssv2 > mine.yaml

    mgm recipes show mgm-vitb-ssv2 pretrain.epochs=2400
    """
    with Activity("reading the recipe"):
        from mgm.training.explain import explain_recipe
        from mgm.training.recipe_file import read_recipe

        shown = explain_recipe(name, settings or ())
        recipe = read_recipe(name)
    if as_json:
        print_json({".".join(setting.key): setting for setting in shown})
        return
    console = Terminal()
    if recipe.about:
        console.print_line(f"# {recipe.about}", style="dim")
    for section, group in groupby(shown, lambda setting: setting.key[0]):
        _print_section(console, section, list(group))
    suggest(*_command(recipe), "--recipe", name, *(settings or ()))


@recipes.command()
def diff(first: Name, second: Name, as_json: AsJson = False) -> None:
    """Show the settings in which two recipes differ.

    mgm recipes diff mgm-vitb-k400 videomae-vitb-k400

    mgm recipes diff runs/a/config.yaml runs/b/config.yaml
    """
    with Activity("reading the recipes"):
        from mgm.training.explain import differing_settings

        pairs = differing_settings(first, second)
    if as_json:
        print_json({".".join(one.key): [one.value, other.value] for one, other in pairs})
        return
    console = Terminal()
    if not pairs:
        console.print_line("no setting differs")
    else:
        table = plain_table(*(Column(heading, overflow="fold") for heading in ("", first, second)))
        for one, other in pairs:
            table.add_row(".".join(one.key), one.text, other.text)
        console.print(table)
    suggest("mgm", "recipes", "show", second)


def _print_section(console: Terminal, section: str, settings: list[Setting]) -> None:
    indent = "" if settings[0].key == (section,) else "  "
    if indent:
        console.print_line(f"{section}:")
    for setting in settings:
        console.print_line(f"{indent}# {setting.meaning}", style="dim")
        console.print_line(f"{indent}{setting.key[-1]}: {setting.text} # {setting.source}")


def _command(recipe: Recipe) -> tuple[str, ...]:
    return next((words for section, words in _COMMANDS.items() if section in recipe.tree), _COMMANDS["pretrain"])


def _command_order(recipe: Recipe) -> int:
    return list(_COMMANDS.values()).index(_command(recipe))


def _title(about: str) -> str:
    """The comment of a recipe up to the first colon, full stop or bracket."""
    return re.split(r"[.:;](?:\s|$)|\s\(", about, maxsplit=1)[0]
