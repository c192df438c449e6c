"""What pages, messages and advice tell a reader to type exists: commands, options, settings, extras."""

import ast
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml

import mgm
from mgm.models.networks.catalog import NETWORKS
from mgm.training.config import Config
from mgm.training.trackers import TrackerName
from tests.commands.typed import ROOT, options
from tests.docs.test_pages import PAGES
from tests.docs.test_pages import ROOT as CHECKOUT
from tests.errors import MESSAGES

SOURCE = Path(mgm.__file__).parent
COMMAND = re.compile(r"([`']|^ *)mgm ([a-z]+(?: (?:data|show|formats)\b)?)([^`'\";|\n]*)", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
NETWORK = re.compile(r"(?:--model |model\.network=)([a-z][\w-]*\w)")
SETTING = re.compile(r"(?<![\w.`/-])([a-z]+\.[a-z_]+(?:\.[a-z_]+)*)=(?=[\w.\[{])")


def literals(file: Path) -> str:
    """The texts of a module, one per line; what is inserted is X."""
    texts = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    return "\n".join(texts)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every page but the changelog, the list of messages, and the texts of every module, by name."""
    return {
        **{page.name: page.read_text(encoding="utf-8") for page in PAGES if page.name != "CHANGELOG.md"},
        MESSAGES.name: MESSAGES.read_text(encoding="utf-8"),
        **{str(file.relative_to(SOURCE)): literals(file) for file in SOURCE.rglob("*.py")},
    }


def test_named_commands_have_the_options(texts):
    for name, text in texts.items():
        for before, words, rest in COMMAND.findall(text):
            exists = words.split()[0] in ROOT.commands
            assert exists or not before.strip(), f"{name}: mgm {words}"  # without a quote it may be a sentence
            assert not exists or set(OPTION.findall(rest)) <= options(words.split()), f"{name}: mgm {words}{rest}"


def test_options_of_messages_exist():
    messages = MESSAGES.read_text(encoding="utf-8")
    assert set(OPTION.findall(messages)) <= options([]) | {"--local-dir"}  # of `hf download`


def test_networks_exist(texts):
    for name, text in texts.items():
        named = set(NETWORK.findall(text)) - {"null"}
        assert named <= set(NETWORKS), f"{name}: {named - set(NETWORKS)}"


def test_settings_exist(texts):
    for name, text in texts.items():
        for key in SETTING.findall(text):
            section, *names = key.split(".")
            if section in Config.model_fields:
                kind = Config.model_fields[section].annotation
                assert names[0] in kind.model_fields, f"{name}: {key}"


def test_defaults_are_those_of_the_settings(texts):
    """Of tables with the columns key, default, meaning; a key without a section is one of `pretrain`."""
    config = Config.model_validate({})
    checked = 0
    for name, text in texts.items():
        for table in re.findall(r"^\| [^|\n]*\| default \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE):
            for row in table.splitlines():
                keys, default = row.split("|")[1:3]
                for key in re.findall(r"`([\w.]+)`", keys):
                    section, _, field = key.rpartition(".")
                    value = getattr(getattr(config, section or "pretrain"), field)
                    assert yaml.safe_load(default) == value, f"{name}: {key}"
                    checked += 1
    assert checked > 10


def test_extras_exist(texts):
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [
        (distribution, extra)
        for text in texts.values()
        for distribution, extras in re.findall(r"pip install [^\n]*?'([\w.-]+)\[([\w,]+)\]'", text)
        for extra in extras.split(",")
    ]
    inserted_by = re.compile(r"""(?:install_command\(|missing_package\(.*extra=)["'](\w+)["']\)""")
    called = [extra for file in SOURCE.rglob("*.py") for extra in inserted_by.findall(file.read_text(encoding="utf-8"))]
    assert {"explore", "parquet"} <= set(called) <= set(project["optional-dependencies"])
    assert named
    inserted = {"X": get_args(TrackerName)}  # the names that a text of the program inserts
    for distribution, extra in named:
        # a message inserts the one that works for the user
        assert distribution in {".", project["name"], "X", "CHECKOUT"}
        assert {*inserted.get(extra, (extra,))} <= set(project["optional-dependencies"])
