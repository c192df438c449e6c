"""Pages of the site that are made from the code: the README as its start, notebooks with what they show, names, commands, settings.

A hook of mkdocs, named in mkdocs.yml: nothing that it makes is written into docs/.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from notebooks import as_markdown
from pydantic import BaseModel

from mgm.commands.main import app
from mgm.training import list_recipes
from mgm.training.config import Config
from mgm.training.recipe_file import read_recipe

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ("motion", "your-training", "pretrain")
DEFAULTS = Config.model_validate({})
PACKAGES = ("mgm", "mgm.video", "mgm.masks", "mgm.data", "mgm.models", "mgm.training", "mgm.errors")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    made = {
        "index.md": start(),
        "reference/python.md": public_names(),
        "reference/commands.md": commands(),
        "reference/settings.md": settings(),
    }
    made |= {f"notebooks/{name}.md": as_markdown(ROOT / "docs" / "notebooks" / f"{name}.ipynb") for name in NOTEBOOKS}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Files beside docs/ are no pages of the site: name them instead of linking them. Pages in folders link to those above."""
    if "/" in page.file.src_uri:
        return markdown
    return re.sub(r"\[([^]]+)\]\(\.\./([^)]+)\)", _name_of_file, markdown)


def _name_of_file(link: re.Match[str]) -> str:
    """The words of a link and the path behind it; the path alone where the words are its end."""
    words, path = link.groups()
    return f"`{path}`" if path.endswith(words.strip("`")) else f"{words} (`{path}`)"


def start() -> str:
    """The README, whose links start in the folder above docs/; notebooks are pages."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](", text).replace(".ipynb)", ".md)")


def public_names() -> str:
    """A section for each package with the names of its stub, once each."""
    text, seen = "# Python\n\nThe public names. Each is imported when it is first used.\n", set()
    for package in PACKAGES:
        names = [name for name in stub_names(package) if name not in seen]
        seen.update(names)
        text += f"\n## {package}\n\n" + "".join(f"::: {name}\n\n" for name in names)
    return text


def stub_names(package: str) -> Iterator[str]:
    """The full names of what a package's stub imports, at their homes; of a module without a stub, its classes."""
    folder = ROOT / "src" / package.replace(".", "/")
    stub = folder / "__init__.pyi"
    if not stub.exists():
        for node in ast.parse(folder.with_suffix(".py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                yield f"{package}.{node.name}"
        return
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module != package:
            yield from (f"{home(node.module, name.name)}.{name.name}" for name in node.names)


def home(module: str, name: str) -> str:
    """The module that defines a name, followed through the stubs and packages that hand it on."""
    folder = ROOT / "src" / module.replace(".", "/")
    for file in (folder / "__init__.pyi", folder / "__init__.py"):
        if file.exists():
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ImportFrom) and node.module and any(n.name == name for n in node.names):
                    return home(node.module, name)
    return module


def commands() -> str:
    """Every command with its arguments and options, from the program itself."""
    root = typer.main.get_command(app)
    text = "# Commands\n\nThe output of `mgm COMMAND --help` for all commands.\n"
    for name, command in sorted(leaves(root, "mgm")):
        arguments = " ".join(
            label(parameter) if parameter.required else f"[{label(parameter)}]"
            for parameter in command.params
            if parameter.param_type_name == "argument"
        )
        plain = (command.help or "").replace("\\[", "[")  # a bracket that Rich would take for its markup
        summary, _, rest = plain.strip().partition("\n")
        text += f"\n## {name}\n\n{summary}\n\n```\n{name} {arguments} [options]\n```\n"
        text += "".join(f"\n{examples(part)}\n" for part in rest.strip().split("\n\n") if part.strip())
        rows = [row for parameter in command.params if (row := described(parameter))]
        text += "\n| argument, option | meaning |\n|---|---|\n" + "".join(rows)
    return text


def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """(full name, command) of all that can be run: commands, and groups of them that do something by themselves."""
    if hasattr(command, "commands"):
        if command.invoke_without_command and name != "mgm":
            yield name, command
        for part, child in command.commands.items():
            if not child.hidden:
                yield from leaves(child, f"{name} {part}")
    else:
        yield name, command


def examples(part: str) -> str:
    """A paragraph of a command's help; one that is a command line, as such."""
    line = " ".join(part.split())
    return f"```\n{line}\n```" if line.startswith(("mgm ", "ffmpeg ")) else line


def label(argument: Any) -> str:
    """How an argument is named: SET, or its name where the help shows a whole form."""
    shown = argument.metavar or ""
    return shown if shown.isalpha() else argument.name


def described(parameter: Any) -> str:
    """A row of the table of a command."""
    if parameter.name == "help" or getattr(parameter, "hidden", False):
        return ""
    option = parameter.param_type_name == "option"
    name = ", ".join([*parameter.opts, *parameter.secondary_opts]) if option else label(parameter)
    default = parameter.default if option else None
    shown_default = f" Default: `{cell(shown(default))}`." if default not in (None, False, "") else ""
    return f"| `{name}` | {cell(parameter.help or '')}{shown_default} |\n"


def settings() -> str:
    """Every setting with its default and meaning, and the recipes with their first comment."""
    text = "# Settings\n\n`section.key=value` after a command, or in a recipe ([recipes](../recipes.md)).\n"
    for name, field in Config.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            defaults = getattr(DEFAULTS, name)
            rows = [(key, getattr(defaults, key), part.description) for key, part in section.model_fields.items()]
            text += f"\n## {name}\n\n| key | default | meaning |\n|---|---|---|\n"
            text += "".join(
                f"| `{name}.{key}` | `{cell(shown(value))}` | {cell(about or '')} |\n" for key, value, about in rows
            )
        else:
            text += f"\n`{name}`: {field.description}\n"
    text += "\n## Recipes\n\n| name | what it is |\n|---|---|\n"
    for recipe in list_recipes():
        text += f"| `{recipe}` | {cell(read_recipe(recipe).about)} |\n"
    return text


def shown(value: object) -> str:
    """A default as YAML writes it."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
