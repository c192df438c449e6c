"""YAML as a person means it: numbers as they are written, no key twice, and one line on what is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, ScalarNode

LIMIT = 2**20
"""Bytes of a file of settings; a larger one is something else, and would take minutes to parse."""

# YAML 1.1, which PyYAML reads, takes 1e-3 for text, 010 for 8, 12:30 for 750 and 2020-01-01 for a date.
_OTHERWISE = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp")}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(
    r"(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in rules if tag not in _OTHERWISE]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {first: list(rules) for first, rules in _RESOLVERS.items()}  # noqa: RUF012

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        """The mapping, none of whose keys comes twice; of two, PyYAML would take the last one."""
        node = super().compose_mapping_node(anchor)
        assert isinstance(node, MappingNode)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, ScalarNode):
                if key.value in seen and key.value != "<<":
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value} is given twice, expected it once", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return node


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = {first: list(rules) for first, rules in _RESOLVERS.items()}  # noqa: RUF012


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def read_yaml(text: str) -> Any:
    """What the text holds: dictionaries, lists, text, numbers, booleans, None.

    Raises:
        ValueError: no YAML, or a key twice; the message is one line that names the place.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark, error.problem or "not valid"
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        if "\\t" in problem:
            problem = "found a tab, expected spaces"
        context = f" ({error.context})" if error.context else ""
        raise ValueError(f"{place}{problem}{context}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_yaml_file(path: Path) -> Any:
    """What a file of settings holds, see `read_yaml`.

    Raises:
        ValueError: no YAML, a key twice, no text, or too large.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if size > LIMIT:
        raise ValueError(f"found {size / 2**20:.0f} MB, expected settings of at most {LIMIT / 2**20:.0f} MB")
    try:
        return read_yaml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"not text in UTF-8 (byte {error.start})") from error


def write_yaml(tree: Any) -> str:
    """Text that `read_yaml` reads back unchanged, keys in their order."""
    text: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=False)
    return text
