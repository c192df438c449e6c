"""The masks and their options, as the page shows them: taken from the catalog, so that a new mask appears by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mgm.errors import ConfigError
from mgm.masks import Mask, build_mask, list_masks

FOLLOWS, SIMULATED, PLAIN = "follow the motion", "move by themselves", "ignore motion"
"""Families of masks, in the order of the page."""

_RANGES: dict[str, tuple[float, float, float]] = {
    "share": (0.05, 1, 0.05),
    "softness": (0, 6, 0.5),
    "speed": (0, 8, 0.5),
    "top_k": (1, 32, 1),
    "temperature": (0.1, 4, 0.1),
    "floor": (0, 1, 0.05),
    "duration": (0.05, 1, 0.05),
}
"""Useful values of numeric options: (from, to, step). The mask itself checks what it permits."""


def describe_masks() -> list[dict[str, Any]]:
    """Each mask: name, family, first sentence of its documentation, whether it uses motion, and its options with theirs."""
    return [_describe(name) for name in list_masks()]


def checked_options(mask: str, given: Mapping[str, Any]) -> dict[str, object]:
    """The options of a mask that a page set, of the kind that each has.

    Raises:
        ConfigError: an option that the page does not offer, or a value of another kind. Ranges are checked by the mask.
    """
    kinds = {option["name"]: option for option in _options(mask)}
    checked: dict[str, object] = {}
    for name, value in given.items():
        if name not in kinds:
            known = ", ".join(kinds) or "no options"
            raise ConfigError(f"{mask}.{name}"[:80], "found an unknown option", known, reason="unknown_name")
        kind = kinds[name]["kind"]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = {
            "choice": isinstance(value, str),
            "switch": isinstance(value, bool),
            "whole": number and value == int(value) if number and abs(value) < 2**31 else False,
            "number": number,
        }[kind]
        if not fits:
            raise ConfigError(f"{mask}.{name}", f"found {str(value)[:40]!r}", f"a {kind}", reason="invalid_type")
        checked[name] = int(value) if kind == "whole" else float(value) if kind == "number" else value
    return checked


def _describe(name: str) -> dict[str, Any]:
    rule = build_mask(name)
    return {
        "name": name,
        "family": _family(rule),
        "about": _first_sentence(type(rule)),
        "follows": rule.uses_motion,
        "options": list(_options(name)),
    }


def _family(rule: Mask) -> str:
    if rule.uses_motion:
        return FOLLOWS
    return SIMULATED if any(name in ("velocity", "ties") for name in rule.__dataclass_fields__) else PLAIN


@cache
def _options(name: str) -> tuple[dict[str, Any], ...]:
    """The options with a simple value: choices, switches and numbers. Those that take arrays keep their defaults."""
    rule = build_mask(name)
    hints = get_type_hints(type(rule))
    found = []
    for field in fields(rule):
        described = _control(field.name, hints[field.name], getattr(rule, field.name))
        if described is not None:
            found.append(described | {"about": _option_text(type(rule), field.name)})
    return tuple(found)


def _control(name: str, hint: object, default: Any) -> dict[str, Any] | None:
    control: dict[str, Any] = {"name": name, "default": default}
    if get_origin(hint) is Literal:
        return {**control, "kind": "choice", "choices": list(get_args(hint))}
    if hint is bool:
        return {**control, "kind": "switch"}
    if hint in (int, float):
        low, high, step = _RANGES.get(name, (0, max(1, 4 * default), 1 if hint is int else 0.05))
        return {**control, "kind": "whole" if hint is int else "number", "low": low, "high": high, "step": step}
    return None


def _option_text(kind: type[Mask], option: str) -> str:
    """The sentence about an option in the docstring of a mask or of its base class. References to functions are left out."""
    for place in kind.__mro__:
        # Up to the next option, which is indented alike, or to the end of the list.
        pattern = rf"^( +)(?:\w+, )*{option}(?:, \w+)*: (.+?)(?=\n\1\w|\n\n|\s*\Z)"
        found = re.search(pattern, place.__doc__ or "", re.DOTALL | re.MULTILINE)
        if found:
            text = " ".join(found[2].split())
            text = re.sub(r"(?:[;,:]|(?<=\.)) see `\w+`(?=[.,]|$)", "", text, flags=re.IGNORECASE).replace("`", "")
            return text.rstrip(".") + "."
    return ""


def _first_sentence(kind: type[Mask]) -> str:
    text = re.sub(r"\s+\([^()]*\)", "", " ".join((kind.__doc__ or "").split()).replace("`", ""))  # without the source
    _, _, after = text.partition(": ")
    sentence = (after or text).split(". ")[0].rstrip(".")
    return f"{sentence}."
