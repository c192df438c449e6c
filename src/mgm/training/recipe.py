"""Recipes: read by name or path, changed by `key.key=value` overrides, checked, and explained key by key if wrong."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import pydantic
from pydantic import BaseModel

from mgm.errors import ConfigError, MgmError, Reason
from mgm.files.yaml_text import read_yaml, read_yaml_file
from mgm.models import Encoder
from mgm.training.config import Config

EXTERNAL_RECIPE = "mgm-vitb-k400"
"""Default recipe for weights without settings: the paper's, with the reference's fine-tuning."""

# Expected values by pydantic's kind of error, filled with its context.
_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "keys and values, as in {{key: value}}",
    "literal_error": "{expected}",
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "greater than or equal to {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "less than or equal to {le:g}",
}


def list_recipes() -> tuple[str, ...]:
    """Names of the built-in recipes."""
    folder = resources.files("mgm") / "recipes"
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


def load_config(recipe: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a recipe and apply overrides.

    Args:
        recipe: name of a built-in recipe, or path of a .yaml file.
        overrides: `key.key=value` settings, the values in YAML. An override of steps replaces the recipe's epochs and vice versa.

    Raises:
        ConfigError: all wrong keys and values in one error, with the nearest valid names.
    """
    return parse_config(_overridden(_read_recipe(recipe), overrides), str(recipe))


def override(config: Config, overrides: Iterable[str]) -> Config:
    """Replace settings of a configuration. Overrides and errors as in `load_config`."""
    return parse_config(_overridden(config.model_dump(mode="json"), overrides), "settings")


def config_for(encoder: Encoder, recipe: str | Path = EXTERNAL_RECIPE, overrides: Sequence[str] = ()) -> Config:
    """A recipe's settings for an encoder that did not come from a run of mgm.

    The encoder's specification replaces the recipe's, as do the number and size of its frames:
    `mgm.finetune(encoder, videos, mgm.config_for(encoder), out=...)`.

    Raises:
        ConfigError: as `load_config`, and if the encoder's frames are not square.
    """
    spec = encoder.spec
    if not isinstance(spec.resolution, int):
        raise ConfigError(
            "encoder",
            f"its frames have {' x '.join(map(str, spec.resolution))} px",
            "square frames, because clips are cropped to squares",
            "load it with one number as resolution=",
            reason="unsupported",
        )
    clips = [f"data.frames={spec.frames}", f"data.size={spec.resolution}"]
    return override(load_config(recipe, overrides), [*clips, f"model.spec={json.dumps(spec.to_dict())}"])


def parse_config(tree: Mapping[str, Any], name: str) -> Config:
    """Validate a tree of settings, for example one from a checkpoint; `name` is the subject of its errors.

    Raises:
        ConfigError: as `load_config`.
    """
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        problems = [_explain(problem) for problem in error.errors()]
    lines = list(dict.fromkeys(problem.line for problem in problems))
    if len(lines) == 1:
        raise problems[0].about(": ".join(part for part in (name, problems[0].subject) if part))
    reasons = {problem.reason for problem in problems}
    reason: Reason = reasons.pop() if len(reasons) == 1 else "invalid_value"
    raise ConfigError(name, f"{len(lines)} wrong settings:\n  " + "\n  ".join(lines), reason=reason)


def _explain(problem: Any) -> ConfigError:
    """One of pydantic's errors, about its dotted key."""
    location = [str(part) for part in problem["loc"]]
    key, kind, context = ".".join(location), problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        expected, advice = _near(location)
        return ConfigError(key, "no such key", expected, advice, reason="unknown_name")
    if kind == "invalid_key":
        section = ".".join(location[:-1]) or "settings"
        return ConfigError(section, f"found the key {_shown(problem['input'])}", "text", reason="invalid_type")
    cause = context.get("error")
    found = f"found {_shown(problem['input'])}"
    if isinstance(cause, MgmError):  # raised by a validator; without subject and `found` it is about the input
        subject = ": ".join(part for part in (key, cause.subject) if part)
        shown = cause.found if cause.found or cause.subject else found
        return ConfigError(subject, shown, cause.expected, cause.advice, reason=cause.reason)
    if kind == "model_type":
        first = next(iter(_section(location).model_fields))
        return ConfigError(key, found, f"keys such as {first}:", reason="invalid_type")
    if kind in _EXPECTED:
        reason: Reason = "invalid_type" if kind.endswith("_type") else "invalid_value"
        return ConfigError(key, found, _EXPECTED[kind].format(**context), reason=reason)
    return ConfigError(key, problem["msg"], reason="invalid_value")


def _near(location: Sequence[str]) -> tuple[str, str]:
    """The valid keys, or the advice to use the nearest one: (expected, advice)."""
    known = list(_section(location[:-1]).model_fields)
    near = difflib.get_close_matches(location[-1], known, 1)
    return ("", f"did you mean {'.'.join([*location[:-1], near[0]])}?") if near else (f"one of {', '.join(known)}", "")


def _section(location: Sequence[str]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for part in location:
        annotation = section.model_fields[part].annotation
        # An optional section is a union with None.
        section = next(t for t in (annotation, *get_args(annotation)) if isinstance(t, type))
    return section


def _shown(value: Any) -> str:
    """A value as YAML spells it, shortened."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return reprlib.repr(value)


def _read_recipe(recipe: str | Path) -> dict[str, Any]:
    path = Path(recipe)
    known = list_recipes()
    try:
        if path.suffix in (".yaml", ".yml"):
            if not path.is_file():
                advice = f"check the path, or use a built-in recipe: {', '.join(known)}"
                raise ConfigError(recipe, "no such recipe file", advice=advice, reason="not_found")
            tree = read_yaml_file(path)
        elif str(recipe) in known:
            tree = read_yaml((resources.files("mgm") / "recipes" / f"{recipe}.yaml").read_text(encoding="utf-8"))
        else:
            near = difflib.get_close_matches(str(recipe), known, 1)
            raise ConfigError(
                recipe,
                "unknown recipe",
                f"one of {', '.join(known)} or a path to a .yaml file",
                f"did you mean {near[0]}?" if near else "",
                reason="unknown_name",
            )
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(recipe, f"the recipe cannot be read ({error.strerror})", reason="unreadable") from error
    except ValueError as error:
        raise ConfigError(recipe, f"not a valid recipe: {error}", reason="malformed") from error
    if not isinstance(tree, dict):
        found = f"found {'nothing' if tree is None else type(tree).__name__}"
        raise ConfigError(recipe, found, "sections such as 'data:' and 'pretrain:'", reason="malformed")
    return tree


def _overridden(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """`tree`, changed in place."""
    changed: dict[str, dict[str, Any]] = {}  # dotted key -> the section that it is in
    for text in overrides:
        subject = f"override {text!r}"
        key, separator, value = text.partition("=")
        if not separator or not key or not value.strip():
            example = "key=value, for example pretrain.steps=200 (null for none)"
            raise ConfigError(subject, "not a setting", example, reason="malformed")
        section = tree
        *parents, leaf = key.split(".")
        for parent in parents:
            if section.get(parent) is None:  # missing, or null as an optional section
                section[parent] = {}
            child = section[parent]
            if not isinstance(child, dict):
                raise ConfigError(subject, f"{parent} is a value, not a section", reason="unknown_name")
            section = child
        try:
            section[leaf] = read_yaml(value)
        except ValueError as error:
            raise ConfigError(subject, f"not valid YAML: {error}", reason="malformed") from error
        changed[key] = section
    for key, section in changed.items():
        _replace_length(section, key, set(changed))
    return tree


def _replace_length(section: dict[str, Any], key: str, overridden: set[str]) -> None:
    """Make an override of steps replace the recipe's epochs, and vice versa.

    The recipe's warm-up is counted in the other unit and is removed too. Overridden keys stay, in any order.
    """
    path, _, leaf = key.rpartition(".")
    other = {"steps": "epochs", "epochs": "steps"}.get(leaf)
    replaced = other and f"{path}.{other}" not in overridden and section.pop(other, None) is not None
    if replaced and f"{path}.warmup" not in overridden:
        section.pop("warmup", None)
