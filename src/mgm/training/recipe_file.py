"""Recipe files: found by name or path, joined with those that they are based on, and the origin of every value."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from mgm.errors import ConfigError, did_you_mean

BASE = "base"
"""Key of a recipe file with the recipes that it changes."""

LENGTHS: Final = ("epochs", "steps", "clips")
"""Keys of a section for the length of a run, of which it has one."""

SettingKey = tuple[str, ...]
"""Section and name of a setting, or the name of one without a section."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value is written: the recipe, and its comment there or else the comment of its section, "" if neither has one."""

    recipe: str
    comment: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe with everything that its bases contain.

    Attributes:
        name: its name, or its path.
        about: the comment at the top of its file, as one paragraph.
        tree: the settings that are written in it or in its bases; not checked.
        origins: key -> origin, of each of them.
    """

    name: str
    about: str
    tree: dict[str, Any]
    origins: dict[SettingKey, Origin]


def list_recipes() -> tuple[str, ...]:
    """Names of the built-in recipes."""
    folder = resources.files("mgm") / "recipes"
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


def read_recipe(recipe: str | Path) -> Recipe:
    """Read a recipe and its bases, of which a later one replaces the values of those before it.

    A base counts with all that its own bases contain. Sections are joined key by key; another value, such as mask.options, is
    replaced as a whole. A length replaces one in another unit together with its warm-up.

    Args:
        recipe: name of a built-in recipe, or path of a .yaml file. A path in `base:` is relative to the file that contains it.

    Raises:
        ConfigError: no such recipe, not a recipe, or one that is based on itself.
    """
    return _read_with_bases(str(recipe), "", (), {})


def replace_length(section: dict[str, Any], given: set[str]) -> None:
    """Remove the length of a section in another unit than the given one, and its warm-up, unless they are given too."""
    if not given.intersection(LENGTHS):
        return
    replaced = [section.pop(unit, None) for unit in LENGTHS if unit not in given]
    if any(length is not None for length in replaced) and "warmup" not in given:
        section.pop("warmup", None)


def _read_with_bases(name: str, folder: str, above: tuple[str, ...], known: dict[str, Recipe]) -> Recipe:
    """Read a recipe with its bases.

    Args:
        folder: that paths are relative to.
        above: the recipes that are based on it.
        known: those that were read already.
    """
    place = str(Path(folder, name)) if _is_path(name) else name
    if place in above:
        chain = " > ".join([*above, place])
        raise ConfigError(f"{above[-1]}: {BASE}", f"a recipe is based on itself: {chain}", reason="conflict")
    if place not in known:
        try:
            text = _read_text(place)
        except ConfigError as error:
            raise error.within(f"{above[-1]}: {BASE}") if above else error from error
        own, comments = _content(text, place)
        recipe = Recipe(place, _about(text), {}, {})
        for base in _base_names(own.pop(BASE, None), place):
            below = _read_with_bases(base, str(Path(place).parent) if _is_path(place) else "", (*above, place), known)
            recipe = _with_values(recipe, below.tree, below.origins)
        known[place] = _with_values(recipe, own, {key: _origin(key, comments, place) for key in _keys(own)})
    return known[place]


def _is_path(name: str) -> bool:
    return Path(name).suffix in (".yaml", ".yml")


def _read_text(recipe: str) -> str:
    try:
        if _is_path(recipe):
            if not Path(recipe).is_file():
                advice = "check the path, or use a built-in recipe: 'mgm recipes' lists them"
                raise ConfigError(recipe, "no such recipe file", advice=advice, reason="not_found")
            from mgm.files.yaml_text import read_settings_text  # here: the list of commands is read without PyYAML

            return read_settings_text(Path(recipe))
        if recipe in list_recipes():
            return (resources.files("mgm") / "recipes" / f"{recipe}.yaml").read_text(encoding="utf-8")
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError.cannot_read(recipe, error) from error
    except ValueError as error:
        raise _malformed(recipe, error) from error
    raise ConfigError(
        recipe,
        "unknown recipe",
        "a name from 'mgm recipes', or a path to a .yaml file",
        did_you_mean(recipe, list_recipes()),
        reason="unknown_name",
    )


def _malformed(recipe: str, error: ValueError) -> ConfigError:
    return ConfigError(recipe, f"not a valid recipe: {error}", reason="malformed")


def _content(text: str, recipe: str) -> tuple[dict[str, Any], dict[SettingKey, str]]:
    """The settings in a file, which the caller may change, and its comments."""
    try:
        tree, comments = deepcopy(_parse(text))
    except ValueError as error:
        raise _malformed(recipe, error) from error
    if not isinstance(tree, dict):
        found = f"found {'nothing' if tree is None else type(tree).__name__}"
        raise ConfigError(recipe, found, "sections such as 'data:' and 'pretrain:'", reason="malformed")
    return tree, comments


@lru_cache(maxsize=128)
def _parse(text: str) -> tuple[Any, dict[SettingKey, str]]:
    """Kept, because a recipe is the base of many others, and PyYAML needs milliseconds for each."""
    from mgm.files.yaml_text import read_comments, read_yaml

    return read_yaml(text), read_comments(text)


def _base_names(value: Any, recipe: str) -> list[str]:
    names = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(name, str) for name in names):
        expected = "the name of a recipe, or a list of names"
        raise ConfigError(f"{recipe}: {BASE}", f"found {reprlib.repr(value)}", expected, reason="invalid_type")
    return names


def _about(text: str) -> str:
    lines = re.match(r"(?:#.*\n)*", text)
    assert lines is not None
    return " ".join(line.removeprefix("#").strip() for line in lines.group().splitlines())


def _origin(key: SettingKey, comments: Mapping[SettingKey, str], recipe: str) -> Origin:
    return Origin(recipe, comments.get(key, comments.get(key[:1], "")))


def _keys(tree: Mapping[str, Any]) -> Iterator[SettingKey]:
    for section, values in tree.items():
        yield from ((section, name) for name in values) if isinstance(values, dict) else ((section,),)


def _with_values(below: Recipe, tree: Mapping[str, Any], origins: dict[SettingKey, Origin]) -> Recipe:
    """A recipe with the values of `tree` in place of its own."""
    joined = dict(below.tree)
    for section, values in tree.items():
        before = joined.get(section)
        joined[section] = before | values if isinstance(before, dict) and isinstance(values, dict) else values
        if joined[section] is not values:
            replace_length(joined[section], set(values))
    found = below.origins | origins
    return Recipe(below.name, below.about, joined, {key: found[key] for key in _keys(joined)})
