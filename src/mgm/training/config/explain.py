"""From a tree of values to a configuration, or to all that is wrong with it, key by key."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import pydantic
from pydantic import BaseModel

from mgm.errors import ConfigError
from mgm.training.config.tree import Config

_WORDS = {
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a number",
    "bool_type": "expected true or false",
    "string_type": "expected text",
    "dict_type": "expected keys and values, as in {key: value}",
}


def parse_config(tree: Mapping[str, Any], name: str) -> Config:
    """Validate a tree, for example one from a checkpoint; `name` is how errors call it.

    Raises:
        ConfigError: every wrong key and value at once, with the nearest valid name.
    """
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        lines = list(dict.fromkeys(_explain(e) for e in error.errors()))
    if len(lines) == 1:
        raise ConfigError(f"{name}: {lines[0]}")
    raise ConfigError(f"{name}: {len(lines)} wrong settings:\n  " + "\n  ".join(lines))


def _explain(error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    key, kind = ".".join(location), error["type"]
    if kind == "extra_forbidden":
        return f"{key}: no such key; {_near(location)}"
    if kind == "invalid_key":
        return f"{'.'.join(location[:-1]) or 'settings'}: found the key {_shown(error['input'])}, expected text"
    message = error["msg"].removeprefix("Value error, ")
    if not key:
        return str(message)
    if kind == "model_type":
        wanted = f"expected keys such as {next(iter(_section(location).model_fields))}:"
    else:
        wanted = _WORDS.get(kind, message.replace("Input should be", "expected"))
    found = _shown(error["input"])
    told = isinstance(error["input"], dict) or (isinstance(error["input"], str) and found in wanted)
    return f"{key}: {wanted}" if told else f"{key}: found {found}, {wanted}"


def _near(location: Sequence[str]) -> str:
    """The key that was perhaps meant, or all that there are."""
    known = list(_section(location[:-1]).model_fields)
    near = difflib.get_close_matches(location[-1], known, 1)
    return f"did you mean {'.'.join([*location[:-1], near[0]])}?" if near else f"expected one of {', '.join(known)}"


def _section(location: Sequence[str]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for part in location:
        annotation = section.model_fields[part].annotation
        # An optional section is a union with None.
        section = next(t for t in (annotation, *get_args(annotation)) if isinstance(t, type))
    return section


def _shown(value: Any) -> str:
    """As YAML writes it, shortened."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return reprlib.repr(value)
