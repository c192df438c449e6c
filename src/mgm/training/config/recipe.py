"""Recipes: by name or path, with `key.key=value` settings that replace theirs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from mgm.errors import ConfigError
from mgm.files.yaml_text import read_yaml, read_yaml_file
from mgm.training.config.explain import parse_config
from mgm.training.config.tree import Config


def list_recipes() -> list[str]:
    """Names of the recipes that come with mgm."""
    return sorted(
        f.name.removesuffix(".yaml") for f in (resources.files("mgm") / "recipes").iterdir() if f.name.endswith(".yaml")
    )


def load_config(recipe: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a recipe - the name of one of ours, or a path - and apply `key.key=value` overrides, the values in YAML.

    Raises:
        ConfigError: every wrong key and value at once, with the nearest valid name.
    """
    return parse_config(_overridden(_read_recipe(recipe), overrides), str(recipe))


def override(config: Config, overrides: Iterable[str]) -> Config:
    """A configuration with `key.key=value` settings replaced. Raises ConfigError as `load_config`."""
    return parse_config(_overridden(config.model_dump(mode="json"), overrides), "settings")


def _read_recipe(recipe: str | Path) -> dict[str, Any]:
    path = Path(recipe)
    try:
        if path.suffix in (".yaml", ".yml"):
            if not path.is_file():
                raise ConfigError(
                    f"{recipe}: no such recipe file; check the path, or use one of ours: {', '.join(list_recipes())}"
                )
            tree = read_yaml_file(path)
        elif str(recipe) in list_recipes():
            tree = read_yaml((resources.files("mgm") / "recipes" / f"{recipe}.yaml").read_text(encoding="utf-8"))
        else:
            near = difflib.get_close_matches(str(recipe), list_recipes(), 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"{recipe}: no recipe of that name, expected one of {', '.join(list_recipes())} or a path to a .yaml file{hint}"
            )
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(f"{recipe}: no valid recipe: {error}") from error
    if not isinstance(tree, dict):
        found = "nothing" if tree is None else type(tree).__name__
        raise ConfigError(f"{recipe}: found {found}, expected sections such as 'data:' and 'pretrain:'")
    return tree


def _overridden(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    given: dict[str, dict[str, Any]] = {}
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator or not key or not value.strip():
            raise ConfigError(f"override {text!r}: expected key=value, for example pretrain.steps=200 (null for none)")
        branch = tree
        *parents, leaf = key.split(".")
        for parent in parents:
            if branch.get(parent) is None:  # a section that is left out, or null where it is optional
                branch[parent] = {}
            child = branch[parent]
            if not isinstance(child, dict):
                raise ConfigError(f"override {text!r}: {parent} is a value, not a section")
            branch = child
        try:
            branch[leaf] = read_yaml(value)
        except ValueError as error:
            raise ConfigError(f"override {text!r}: not valid YAML: {error}") from error
        given[key] = branch
    for key, branch in given.items():
        _settle_length(branch, key, set(given))
    return tree


def _settle_length(branch: dict[str, Any], key: str, given: set[str]) -> None:
    """An override of steps replaces the recipe's epochs and the other way round; the recipe's warm-up, counted in the other unit,
    goes. What was `given` as an override stays, in whatever order."""
    section, _, leaf = key.rpartition(".")
    other = {"steps": "epochs", "epochs": "steps"}.get(leaf)
    replaced = other and f"{section}.{other}" not in given and branch.pop(other, None) is not None
    if replaced and f"{section}.warmup" not in given:
        branch.pop("warmup", None)
