"""Every setting of a recipe with its value, its meaning and its source, and the settings in which two recipes differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgm.files.yaml_text import yaml_value
from mgm.training.config import Config
from mgm.training.recipe import load_config, override_key
from mgm.training.recipe_file import SettingKey, read_recipe


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a recipe.

    Attributes:
        key: its section and its name.
        value: as a recipe has it, of JSON's types.
        meaning: its description.
        source: the comment of the value and the recipe that contains it; else "override" or "default".
    """

    key: SettingKey
    value: Any
    meaning: str
    source: str

    @property
    def text(self) -> str:
        """The value as YAML on one line."""
        return yaml_value(self.value)


def explain_recipe(recipe: str | Path, overrides: Iterable[str] = ()) -> list[Setting]:
    """Every setting of a recipe, defaults included, in the order of the sections.

    Raises:
        ConfigError: as `load_config`.
    """
    given = tuple(overrides)
    config, read = load_config(recipe, given), read_recipe(recipe)
    overridden = {override_key(text)[:2] for text in given}

    def setting(key: SettingKey, value: Any, meaning: str | None) -> Setting:
        """A value with its source: an override, a recipe with its comment, or the default."""
        origin = read.origins.get(key)
        # An override of steps also removes the recipe's epochs.
        if key in overridden or (given and origin is not None and value is None and _value(read.tree, key) is not None):
            source = "override"
        else:
            source = "default" if origin is None else ", ".join(filter(None, (origin.comment, f"in {origin.recipe}")))
        return Setting(key, value, meaning or "", source)

    settings = []
    for name, field in Config.model_fields.items():
        section = getattr(config, name)
        if hasattr(section, "model_dump"):
            fields, values = type(section).model_fields, section.model_dump(mode="json")
            settings += [setting((name, key), values[key], fields[key].description) for key in fields]
        else:
            settings.append(setting((name,), section, field.description))
    return settings


def differing_settings(first: str | Path, second: str | Path) -> list[tuple[Setting, Setting]]:
    """The settings in which two recipes differ, as pairs.

    Raises:
        ConfigError: as `load_config`.
    """
    pairs = zip(explain_recipe(first), explain_recipe(second), strict=True)
    return [(one, other) for one, other in pairs if one.value != other.value]


def _value(tree: Mapping[str, Any], key: SettingKey) -> Any:
    for name in key:
        tree = tree[name]
    return tree
