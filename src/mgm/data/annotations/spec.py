"""How a set is asked for: a path, `key=value` parts with commas between them, or the same keys in a small YAML or JSON file."""

from __future__ import annotations

import difflib
import json
import math
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

from mgm.errors import DataError
from mgm.files.yaml_text import read_yaml_file
from mgm.video.container.locator import is_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What makes up a set. Relative paths are those of the working directory, in a file those of its folder.

    Attributes:
        text: as it was given: how errors call it.
        data: folders or annotation files that tell their split themselves, or have none.
        train, test: folders or annotation files whose side is given.
        images: folders or lists of still pictures, for pretraining beside the videos; their labels are not looked at.
        root: the folder that the names in annotations start from; without it that is looked for, see `Places`.
        format: name of the format of every annotation file, where its content does not tell; `frames` or `pictures` for folders
            of pictures.
        classes: a file with the names of the classes.
        labels: an annotation file that has the labels of what `train` and `test` only name.
        split: which of several numbered splits.
        test_split: which of two held-out sides is for judging: "test" or "val"; None: test where it has labels.
        ratio: share of the pictures among the training samples of an epoch; None: every video and every picture once.
        missing: "skip" leaves out listed files that are not there, whatever their number, "error" takes none; None leaves out up to
            half of them.
    """

    text: str
    data: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    root: str | None = None
    format: str | None = None
    classes: str | None = None
    labels: str | None = None
    split: int = 1
    test_split: Literal["test", "val"] | None = None
    ratio: float | None = None
    missing: Literal["skip", "error"] | None = None

    def __post_init__(self) -> None:
        problems = []
        if not (self.data or self.train or self.test or self.images):
            problems.append("names no data, expected data=, train=, test= or images=")
        if self.test_split not in (None, "test", "val"):
            problems.append(f"test_split is {self.test_split!r}, expected test or val")
        if self.missing not in (None, "skip", "error"):
            problems.append(f"missing is {self.missing!r}, expected skip or error")
        if self.split < 1:
            problems.append(f"split is {self.split}, expected 1 or more")
        if self.ratio is not None and not 0 < self.ratio < 1:
            problems.append(f"ratio is {self.ratio:g}, expected a share of pictures between 0 and 1")
        if self.ratio is not None and not (self.images and (self.data or self.train)):
            problems.append("ratio mixes pictures with videos, expected images= and data= or train= beside it")
        if problems:
            raise DataError(f"{self.text}: {'; '.join(problems)}")


SpecLike: TypeAlias = str | Path | Mapping[str, Any] | Spec
"""A path, `key=value,...`, a mapping of the same keys, or a `Spec`."""

PLACES = ("data", "train", "test", "images")
FILES = ("root", "classes", "labels")
KEYS = tuple(field.name for field in fields(Spec) if field.name != "text")
ALIASES = {"val": "test", "validation": "test"}


def parse_spec(given: SpecLike) -> Spec:
    """Understand what was given::

        videos/                                            a folder, or one annotation file, or one video
        train=train.csv,test=val.csv,root=/videos          parts; a key may come several times
        set.yaml                                           the same keys in a file; several places as a list

    Raises:
        DataError: no such path, an unknown key, or a value that does not fit it.
    """
    if isinstance(given, Spec):
        return given
    if isinstance(given, Mapping):
        return _from_tree(given, text=", ".join(f"{k}={v}" for k, v in given.items()), folder=None)
    text = str(given)
    if is_url(text):
        return Spec(text=text, data=(text,))
    if _exists(text):
        tree = _tree(Path(text))
        return Spec(text=text, data=(text,)) if tree is None else _from_tree(tree, text=text, folder=Path(text).parent)
    if re.match(r"[A-Za-z_]+=", text):
        return _from_parts(text)
    raise DataError(
        f"{text}: no such file or folder, expected a folder of videos, an annotation file, or parts such as "
        "train=train.csv,test=val.csv,root=/videos; check the path"
    )


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False


def _from_parts(text: str) -> Spec:
    """A comma ends a part only where a key follows, so that paths may hold commas."""
    known = "|".join((*KEYS, *ALIASES))
    tree: dict[str, Any] = {}
    for part in re.split(rf",\s*(?=(?:{known})=)", text):
        key, _, value = part.partition("=")
        key = _known(key.strip(), text)
        if not value.strip():
            raise DataError(f"{text}: {key} has no value, expected {key}=VALUE")
        if key in PLACES:
            tree.setdefault(key, []).append(value.strip())
        elif key in tree:
            raise DataError(f"{text}: {key} is given twice, expected it once")
        else:
            tree[key] = value.strip()
    return _from_tree(tree, text=text, folder=None)


def _known(key: str, text: str) -> str:
    key = ALIASES.get(key, key)
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(KEYS)}"
        raise DataError(f"{text}: {key}: no such key; {hint}")
    return key


def _tree(path: Path) -> dict[str, Any] | None:
    """The keys of a specification in a file; None for every other file."""
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in (".yaml", ".yml", ".json"):
        return None
    try:
        tree = _json_keys(path) if suffix == ".json" else read_yaml_file(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no valid YAML ({error}), expected keys such as train: or root:") from error
    if suffix != ".json" and not isinstance(tree, dict):
        found = "nothing" if tree is None else type(tree).__name__
        raise DataError(f"{path}: holds {found}, expected keys such as train: and root:")
    return tree


def _json_keys(path: Path) -> dict[str, Any] | None:
    """None where it is an annotation file, whose reader says what is wrong with it. Raises DataError on a key twice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        tree = json.loads(text)
    except (OSError, ValueError):
        return None
    if not isinstance(tree, dict) or not tree or not set(tree) <= {*KEYS, *ALIASES}:
        return None
    given = [key for key, _ in json.loads(text, object_pairs_hook=list)]
    twice = next((key for key in given if given.count(key) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: {twice} is given twice, expected it once")
    return tree


def _from_tree(tree: Mapping[str, Any], *, text: str, folder: Path | None) -> Spec:
    values: dict[str, Any] = {}
    for given, value in tree.items():
        key = _known(str(given), text)
        if key in values and key in PLACES:
            value = [*values[key], *(value if isinstance(value, list | tuple) else [value])]
        if key in PLACES:
            several = value if isinstance(value, list | tuple) else [value]
            values[key] = tuple(_place(each, key, text, folder) for each in several)
        elif key in FILES:
            values[key] = _place(value, key, text, folder)
        elif key in ("split", "ratio"):
            values[key] = _number(value, key, text)
        elif isinstance(value, str) and value.strip():
            values[key] = value
        else:
            raise DataError(f"{text}: {key} is {_written(value)}, expected a name; leave the key out for none")
    return Spec(text=text, **values)


def _place(value: Any, key: str, text: str, folder: Path | None) -> str:
    if not isinstance(value, str | Path) or not str(value):
        raise DataError(f"{text}: {key} is {_written(value)}, expected a path; leave the key out for none")
    place = Path(value).expanduser() if str(value).startswith("~") else value
    return str(place if folder is None or is_url(place) else folder / place)


def _number(value: Any, key: str, text: str) -> int | float:
    """A number that text or a file gives. Nothing is rounded, and true is no number."""
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number) and (key != "split" or number.is_integer()):
        return int(number) if key == "split" else number
    what = "a whole number" if key == "split" else "a number"
    raise DataError(f"{text}: {key} is {_written(value)}, expected {what}")


def _written(value: Any) -> str:
    """As it stands in a file."""
    return json.dumps(value) if value is None or isinstance(value, bool) else reprlib.repr(value)
