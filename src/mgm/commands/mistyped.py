"""An option that is a setting: `--steps 5` is answered with `pretrain.steps=5`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def answer_with_setting(error: Any, words: Sequence[str]) -> None:
    """Let a `NoSuchOption` name the setting that was meant, if the command takes settings and one has its name.

    Args:
        words: those of the command line, the command first.
    """
    parameter = next((one for one in error.ctx.command.params if "section.key=value" in (one.help or "")), None)
    if parameter is None:
        return
    setting = as_setting(error.option_name, words)
    if setting is not None:
        argument = parameter.param_type_name == "argument"
        typed = f"{setting} after the options" if argument else f"{parameter.opts[0]} {setting}"
        error.message = f"{error.option_name} is a setting: write {typed}"
        error.possibilities = None


def as_setting(option: str, words: Sequence[str]) -> str | None:
    """The setting that an unknown option such as "--steps" may have meant, as it is typed; None if no setting has the name.

    Args:
        words: those of the command line, the command first.
    """
    try:
        from mgm.training.other_names import setting_named
    except ModuleNotFoundError:  # without the packages for training there are no settings
        return None
    setting = setting_named(option.lstrip("-").replace("-", "_"), words[:1])
    return None if setting is None else f"{setting}={_value(option, words)}"


def _value(option: str, words: Sequence[str]) -> str:
    """The word after the option, or after its "="."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else following
            return found if found and not found.startswith("--") else "VALUE"
    return "VALUE"
