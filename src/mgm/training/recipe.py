"""Recipes: read by name or path, changed by `key.key=value` overrides, checked, and explained key by key if wrong."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin

import pydantic
from pydantic import BaseModel

from mgm.errors import ConfigError, MgmError, Reason
from mgm.files.yaml_text import read_yaml
from mgm.masks.catalog import MASKS
from mgm.models import Encoder
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.entry import NetworkEntry
from mgm.training.config import DEFAULT_LENGTHS, Config
from mgm.training.other_names import SECTIONS, setting_named
from mgm.training.recipe_file import BASE, read_recipe, replace_length

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
    "greater_than": "greater than {gt:,.9g}",
    "greater_than_equal": "greater than or equal to {ge:,.9g}",
    "less_than": "less than {lt:,.9g}",
    "less_than_equal": "less than or equal to {le:,.9g}",
}


_LISTED = 25
"""Keys that a message names; the longest sections have twice as many."""
_NO_BASES: Mapping[tuple[str, ...], str] = {}


def load_config(recipe: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a recipe and apply overrides.

    Args:
        recipe: name of a built-in recipe, or path of a .yaml file; see `read_recipe`.
        overrides: `key.key=value` settings, the values in YAML. One of epochs, steps and clips replaces the recipe's length;
            `model.network` also sets the clips and views of that network, which other overrides replace.

    Raises:
        ConfigError: all wrong keys and values in one error, with the nearest valid names.
    """
    check_overrides(overrides)
    read = read_recipe(recipe)
    given = _with_clips_of_network(tuple(overrides), read.tree)
    changed = {override_key(text)[:2] for text in given}
    for run, length in DEFAULT_LENGTHS.items():
        if any(key[0] == run for key in changed):  # one setting must not change the others of a section that is missing
            read.tree.setdefault(run, dict(length))
    bases = {
        key: origin.recipe for key, origin in read.origins.items() if key not in changed and origin.recipe != read.name
    }
    return parse_config(_overridden(read.tree, given), str(recipe), bases)


def _with_clips_of_network(overrides: tuple[str, ...], tree: Mapping[str, Any]) -> tuple[str, ...]:
    """Overrides that choose a network, after those of the clips and the views that it was tested with, and of what it lacks.

    Args:
        tree: the recipe; one of the same network has clips of its own.
    """
    entry, model = _network_of(overrides), tree.get("model")
    if entry is None or (isinstance(model, dict) and model.get("network") == entry.name):
        return overrides
    clips: dict[str, object] = {
        "data.input": entry.reads,
        "data.frames": entry.frames,
        "data.stride": entry.stride,
        "data.size": entry.size,
        "finetune.sampling": entry.sampling,
        "probe.sampling": entry.sampling,
        "probe.temporal_views": entry.views[0],
        "probe.spatial_views": entry.views[1],
    }
    if not entry.stochastic_depth:
        clips["finetune.drop_path"] = 0
    if not entry.layer_decay:
        clips["finetune.layer_decay"] = 1
    return (*(f"{key}={value}" for key, value in clips.items()), *overrides)


def default_recipe(overrides: Iterable[str], otherwise: str = EXTERNAL_RECIPE) -> str:
    """The recipe where none is named: that of the network that overrides choose; `otherwise` for a ViT."""
    entry = _network_of(overrides)
    return otherwise if entry is None else entry.recipe


def chooses_network(overrides: Iterable[str]) -> bool:
    """Whether overrides choose a network of the catalog, or try to."""
    return any(override_key(text) == ("model", "network") for text in overrides)


def _network_of(overrides: Iterable[str]) -> NetworkEntry | None:
    """The network that overrides choose. None without one, and for an unknown name, which is an error of the validation."""
    names = [text.partition("=")[2].strip() for text in overrides if override_key(text) == ("model", "network")]
    return NETWORKS.get(names[-1]) if names else None


def check_overrides(overrides: Iterable[str]) -> None:
    """Raise ConfigError for one text, whose letters are texts too, and for a mapping in place of a list of texts."""
    if isinstance(overrides, str | Mapping):
        given = [overrides] if isinstance(overrides, str) else [f"{key}={value}" for key, value in overrides.items()]
        raise ConfigError(
            "overrides",
            f"found {type(overrides).__name__}",
            "a list of texts",
            f"pass {reprlib.repr(given)}",
            reason="invalid_type",
        )


def override_key(text: str) -> tuple[str, ...]:
    """The key of an override, `data.size=64`, in its parts."""
    return tuple(text.partition("=")[0].split("."))


def override(config: Config, overrides: Iterable[str]) -> Config:
    """Replace settings of a configuration. Overrides and errors as in `load_config`."""
    check_overrides(overrides)
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


def config_for_network(own: Config, recipe: str | Path, overrides: Sequence[str]) -> Config:
    """A recipe's settings for the network of a run and for clips as in that run.

    Raises:
        ConfigError: as `load_config`.
    """
    kept = (f"model.network={own.model.network}", f"data.frames={own.data.frames}", f"data.size={own.data.size}")
    return load_config(recipe, (*kept, *overrides))


def flat_settings(config: Config) -> dict[str, Any]:
    """The settings of a configuration by their whole keys: {"data.size": 64, ...}, of JSON's types."""
    return _leaves(config.model_dump(mode="json"), "")


def _leaves(tree: Mapping[str, Any], above: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _leaves(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found


def parse_config(tree: Mapping[str, Any], name: str, bases: Mapping[tuple[str, ...], str] = _NO_BASES) -> Config:
    """Validate a tree of settings, for example one from a checkpoint.

    Args:
        name: the subject of its errors.
        bases: key -> the recipe that it was taken from, which is named too.

    Raises:
        ConfigError: as `load_config`.
    """
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        problems = [_explain(problem, bases) for problem in error.errors()]
    lines = list(dict.fromkeys(problem.line for problem in problems))
    if len(lines) == 1:
        raise problems[0].within(name)
    reasons = {problem.reason for problem in problems}
    reason: Reason = reasons.pop() if len(reasons) == 1 else "invalid_value"
    raise ConfigError(name, f"{len(lines)} wrong settings:\n  " + "\n  ".join(lines), reason=reason)


def _explain(problem: Any, bases: Mapping[tuple[str, ...], str]) -> ConfigError:
    """One of pydantic's errors, about its dotted key and the base that it is in."""
    location = tuple(str(part) for part in problem["loc"])
    base = bases.get(location[:2], bases.get(location[:1]))
    error = _explain_key(problem)
    return error if base is None else error.within(base)


def _explain_key(problem: Any) -> ConfigError:
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
        advice = f"write {key}.name={problem['input']}" if key == "mask" and isinstance(problem["input"], str) else ""
        return ConfigError(key, found, f"keys such as {first}:", advice, reason="invalid_type")
    if kind in _EXPECTED:
        reason: Reason = "invalid_type" if kind.endswith("_type") else "invalid_value"
        return ConfigError(key, found, _EXPECTED[kind].format(**context), reason=reason)
    return ConfigError(key, problem["msg"], reason="invalid_value")


def _near(location: Sequence[str]) -> tuple[str, str]:
    """The valid keys, where they are a few, or advice to find one: (expected, advice)."""
    known = [*([BASE] if len(location) == 1 else []), *_section(location[:-1]).model_fields]
    meant = _meant(location)
    near = difflib.get_close_matches(location[-1], known, 1)
    if meant is None and near:
        meant = ".".join([*location[:-1], near[0]])
    if meant is not None:
        return "", f"did you mean {meant}?"
    if len(known) > _LISTED:
        return "", f"'mgm recipes show debug' has the {len(known)} keys of {'.'.join(location[:-1])}"
    return f"one of {', '.join(known)}", ""


def _meant(location: Sequence[str]) -> str | None:
    """The setting of another section, or with another name, that a key of the first two levels stands for."""
    *parents, name = location
    if len(parents) > 1:
        return None
    section = parents[0] if parents else next((one for one in SECTIONS if name.startswith(f"{one}_")), "")
    name = name.removeprefix(f"{section}_")
    if section in ("", *SECTIONS) and (found := setting_named(name, [section])) is not None:
        return found
    options = {field.name for kind in MASKS.values() for field in fields(kind)}
    return f"mask.options.{name}" if section == "mask" and name in options else None


def _section(location: Sequence[str]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    parts = iter(location)
    for part in parts:
        annotation = section.model_fields[part].annotation
        kinds = (annotation, *get_args(annotation))  # an optional section is a union with None
        named = next((kind for kind in kinds if get_origin(kind) is dict), None)
        if named is not None:  # sections under names of the user's, as model.decoders
            next(parts, None)
            kinds = get_args(named)[1:]
        section = next(t for t in kinds if isinstance(t, type))
    return section


def _shown(value: Any) -> str:
    """A value as YAML spells it, shortened."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return reprlib.repr(value)


def _overridden(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """`tree`, changed in place."""
    changed: dict[tuple[str, ...], set[str]] = {}  # path of a section -> its overridden keys
    for text in overrides:
        subject = f"override {text!r}"
        key, separator, value = text.partition("=")
        if not separator or not key or not value.strip():
            example = "key=value, for example pretrain.steps=200 (null for none)"
            raise ConfigError(subject, "not a setting", example, reason="malformed")
        section = tree
        *parents, leaf = key.split(".")
        if key == BASE:
            advice = "name that recipe instead of this one"
            raise ConfigError(subject, "a key of recipe files only", advice=advice, reason="conflict")
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
        changed.setdefault(tuple(parents), set()).add(leaf)
    for path, names in changed.items():
        section = tree
        for part in path:
            section = section[part]
        replace_length(section, names)
    return tree
