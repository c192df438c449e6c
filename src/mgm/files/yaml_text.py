"""Reads and writes YAML strictly: numbers as in JSON, no tags, repeated keys are errors, and each error is one line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode

_MOST_BYTES = 2**20
"""Size of a file of settings; a larger file is another kind of file, and would take minutes to parse."""

_MOST_LEVELS = 100
_MOST_VALUES = 100_000
"""Values of a file with every alias written out: a few lines of aliases of aliases can stand for billions."""

# PyYAML implements YAML 1.1: it reads 1e-3 as text, 010 as 8, 12:30 as 750 and 2020-01-01 as a date.
_REPLACED_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp")}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})$")  # longer ones fit no int64: they stay text
_FLOAT = re.compile(
    r"(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_COMMENT = re.compile(r":?[ \t]*#(.*)")
_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in rules if tag not in _REPLACED_TAGS]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {first: list(rules) for first, rules in _RESOLVERS.items()}  # noqa: RUF012

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._open: list[str | None] = []
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Compose a node; raise for a tag, whose value PyYAML does not check, a value within itself, or too many values."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem=f"found the tag {event.tag}, expected a plain value", problem_mark=mark)
        if isinstance(event, AliasEvent) and event.anchor in self._open:
            raise yaml.MarkedYAMLError(problem=f"{event.anchor} contains itself", problem_mark=mark)
        if len(self._open) > _MOST_LEVELS:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        self._open.append(event.anchor)
        node = super().compose_node(parent, index)
        assert node is not None
        self._open.pop()
        parts = [] if isinstance(node, ScalarNode) else node.value
        children = [child for part in parts for child in (part if isinstance(part, tuple) else (part,))]
        self._sizes[id(node)] = 1 + sum(self._sizes[id(child)] for child in children)
        if self._sizes[id(node)] > _MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=f"expected at most {_MOST_VALUES:,} values", problem_mark=mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        """Compose a mapping; raise if a key is repeated. PyYAML would use the last one."""
        node = super().compose_mapping_node(anchor)
        assert isinstance(node, MappingNode)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, ScalarNode):
                if key.value in seen and key.value != "<<":
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value} is given twice, expected one value", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return node


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = {first: list(rules) for first, rules in _RESOLVERS.items()}  # noqa: RUF012


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def read_yaml(text: str) -> Any:
    """Parse YAML into dictionaries, lists, text, numbers, booleans and None.

    Raises:
        ValueError: the text is not valid YAML, or a key is repeated; the message is one line with the position.
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


def read_yaml_file(path: Path) -> Any:
    """Parse a file of settings, see `read_yaml` and `read_settings_text`."""
    return read_yaml(read_settings_text(path))


def read_settings_text(path: Path) -> str:
    """Read the text of a file of settings.

    Raises:
        ValueError: not UTF-8, or too large.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise ValueError(f"found {size / 2**20:.0f} MB, expected settings of at most {_MOST_BYTES / 2**20:.0f} MB")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not text in UTF-8 (byte {error.start})") from error


def read_comments(text: str) -> dict[tuple[str, ...], str]:
    """Read the comments at the ends of the lines of valid YAML, which PyYAML drops: path of keys -> the comment of its line."""
    loader = _Loader(text)
    try:
        return dict(_comments(loader.get_single_node(), text))
    finally:
        loader.dispose()


def _comments(node: Any, text: str, *above: str) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(node, MappingNode):
        return
    for key, value in node.value:
        path = (*above, str(key.value))
        nested = isinstance(value, MappingNode) and not value.flow_style  # its value starts on the next line
        end = (key if nested else value).end_mark.index
        comment = _COMMENT.match(text, end)
        if comment is not None:
            yield path, comment[1].strip()
        yield from _comments(value, text, *path)


def write_yaml(tree: Any) -> str:
    """Format a tree as text that `read_yaml` parses to the same tree; keys keep their order."""
    text: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=math.inf)  # a value is never broken over lines
    return text


def yaml_value(value: Any) -> str:
    """A value of a setting as YAML on one line: null, true, 0.75, [1, 2], {"motion": 1.0}."""
    if isinstance(value, list | dict):
        return json.dumps(value)
    return write_yaml({"": value}).partition(": ")[2].strip()
