"""An option that is a setting: `--steps 5` is answered with `pretrain.steps=5`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SECTIONS = ("pretrain", "finetune", "probe", "data", "mask", "model", "log")
"""In this order if several sections have the key and none is named after the command."""


def answer_with_setting(error: Any, words: Sequence[str]) -> None:
    """Let a `NoSuchOption` name the setting that was meant, if one has its name. words: as for `as_setting`."""
    setting = as_setting(error.option_name, words)
    if setting is not None:
        error.message = f"{error.option_name} is a setting: write {setting} after the options"
        error.possibilities = None


def as_setting(option: str, words: Sequence[str]) -> str | None:
    """The setting that an unknown option such as "--steps" may have meant, as it is typed; None if no setting has the name.

    words: those of the command line, the command first.
    """
    try:
        from mgm.training.config import Config
    except ModuleNotFoundError:  # without the packages for training there are no settings
        return None
    key = option.lstrip("-").replace("-", "_")
    if key in Config.model_fields and key not in _SECTIONS:
        return f"{key}={_value(option, words)}"
    sections = dict.fromkeys([name for name in words[:1] if name in _SECTIONS] + list(_SECTIONS))
    for section in sections:
        kind = Config.model_fields[section].annotation
        if kind is not None and key in kind.model_fields:
            return f"{section}.{key}={_value(option, words)}"
    return None


def _value(option: str, words: Sequence[str]) -> str:
    """The word after the option, or after its "="."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else following
            return found if found and not found.startswith("--") else "VALUE"
    return "VALUE"
