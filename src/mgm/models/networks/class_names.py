"""The classes of published weights, in the order of their logits: both sets number their names alphabetically.

Kinetics-400's are those of DeepMind's kinetics-i3d; Something-Something V2's the templates of its labels.json, without brackets.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

ClassList = Literal["kinetics400", "ssv2"]


@cache
def list_class_names(name: ClassList) -> tuple[str, ...]:
    """The names of the 400 classes of Kinetics-400, or of the 174 of Something-Something V2."""
    text = files("mgm.models.networks").joinpath("class_lists", f"{name}.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
