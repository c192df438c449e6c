"""The specification of a set: a path, `key=value` parts separated by commas, or the same keys in a small YAML or JSON file."""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

from mgm.data.annotations.video_list import TestSplit
from mgm.errors import DataError
from mgm.files.json_text import read_json
from mgm.video.container.locator import is_url


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSpec:
    """The parts of a set. Relative paths start from the working directory, those in a file from the file's folder.

    Attributes:
        text: the specification as given, for errors.
        data: folders or annotation files that contain their split themselves, or have none.
        train, test: folders or annotation files for training and for testing.
        images: folders or lists of still pictures, for pretraining beside the videos; their labels are not used.
        root: folder that the names in annotations start from; None: see `FileLocator`.
        format: name of the format of all annotation files, if their content is ambiguous; `frames` or `pictures` for folders of
            pictures.
        classes: a file of class names.
        labels: an annotation file with the labels of the entries that `train` and `test` only name.
        split: number of the split, if there are several numbered ones.
        test_split: the held-out split used for testing, "test" or "val"; None: test where it has labels.
        ratio: share of the pictures among the training samples of an epoch; None: every video and every picture once.
        missing: "skip" leaves out any number of missing files, "error" allows none; None leaves out up to half of them.
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
    test_split: TestSplit | None = None
    ratio: float | None = None
    missing: Literal["skip", "error"] | None = None

    def __post_init__(self) -> None:
        problems = []
        if not (self.data or self.train or self.test or self.images):
            problems.append("no data, expected data=, train=, test= or images=")
        if self.test_split not in (None, "test", "val"):
            problems.append(f"test_split is {self.test_split!r}, expected test or val")
        if self.missing not in (None, "skip", "error"):
            problems.append(f"missing is {self.missing!r}, expected skip or error")
        if self.split < 1:
            problems.append(f"split is {self.split}, expected 1 or more")
        if self.ratio is not None and not 0 < self.ratio < 1:
            problems.append(f"ratio is {self.ratio:g}, expected a share of pictures between 0 and 1")
        if self.ratio is not None and not (self.images and (self.data or self.train)):
            problems.append("ratio without pictures or without videos, expected images= and data= or train=")
        if problems:
            raise DataError(self.text, "; ".join(problems), reason="invalid_value")


SetSpecLike: TypeAlias = str | Path | Mapping[str, Any] | SetSpec
"""A path, `key=value,...`, a mapping of the same keys, or a `SetSpec`."""

PLACE_KEYS = ("data", "train", "test", "images")
"""Keys that may occur several times."""
FILE_KEYS = ("root", "classes", "labels")
KEYS = tuple(field.name for field in fields(SetSpec) if field.name != "text")
ALIASES = {"val": "test", "validation": "test"}


def parse_spec(given: SetSpecLike) -> SetSpec:
    """Parse a specification:

        videos/                                            a folder, or one annotation file, or one video
        train=train.csv,test=val.csv,root=/videos          parts; data, train, test and images may occur several times
        set.yaml                                           the same keys in a file; several places as a list

    Raises:
        DataError: the path does not exist, a key is unknown, or a value is not valid.
    """
    if isinstance(given, SetSpec):
        return given
    if isinstance(given, Mapping):
        return _from_keys(given, text=", ".join(f"{k}={v}" for k, v in given.items()), folder=None)
    value: object = given  # also of users without type checkers
    if not isinstance(value, str | Path):
        advice = "write {'data': [...]} for several folders or files" if isinstance(value, Sequence) else ""
        raise DataError("set", f"found {type(value).__name__}", "a path or text", advice, reason="invalid_type")
    text = str(value)
    if not text:  # as a path it would be the working directory
        raise DataError("set", "found an empty text", "a path", "'.' is the working directory", reason="missing_value")
    if is_url(text):
        return SetSpec(text=text, data=(text,))
    if _exists(text):
        keys = _keys_of_file(Path(text))
        return (
            SetSpec(text=text, data=(text,)) if keys is None else _from_keys(keys, text=text, folder=Path(text).parent)
        )
    if re.match(r"[A-Za-z_]+=", text):
        return _from_parts(text)
    raise DataError(
        text,
        "no such file or folder",
        "a folder of videos, an annotation file, or parts such as train=train.csv,test=val.csv,root=/videos",
        "check the path",
        reason="not_found",
    )


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False


def _from_parts(text: str) -> SetSpec:
    """A comma ends a part only if a key follows, so that paths may contain commas."""
    known = "|".join((*KEYS, *ALIASES))
    keys: dict[str, Any] = {}
    for part in re.split(rf",\s*(?=(?:{known})=)", text):
        key, _, value = part.partition("=")
        key = _known_key(key.strip(), text)
        if not value.strip():
            raise DataError(text, f"{key} has no value", f"{key}=VALUE", reason="missing_value")
        if key in PLACE_KEYS:
            keys.setdefault(key, []).append(value.strip())
        elif key in keys:
            raise _given_twice(text, key)
        else:
            keys[key] = value.strip()
    return _from_keys(keys, text=text, folder=None)


def _known_key(key: str, text: str) -> str:
    key = ALIASES.get(key, key)
    if key not in KEYS:
        raise DataError.not_one_of(text, f"unknown key {key}", key, KEYS)
    return key


def _given_twice(subject: object, key: str) -> DataError:
    return DataError(subject, f"{key} is given twice", "one value", reason="conflict")


def _keys_of_file(path: Path) -> dict[str, Any] | None:
    """The keys of a specification in a YAML or JSON file; None for every other file."""
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in (".yaml", ".yml", ".json"):
        return None
    if suffix == ".json":
        return _keys_of_json(path)
    try:
        from mgm.files.yaml_text import read_yaml_file  # here: other sets are read without PyYAML

        keys = read_yaml_file(path)
    except (OSError, ValueError) as error:
        raise DataError(
            path, f"not valid YAML ({error})", "keys such as train: or root:", reason="malformed"
        ) from error
    if not isinstance(keys, dict):
        found = "nothing" if keys is None else type(keys).__name__
        raise DataError(path, f"found {found}", "keys such as train: and root:", reason="malformed")
    return keys


def _keys_of_json(path: Path) -> dict[str, Any] | None:
    """The keys of a specification in a JSON file; None for an annotation file. Raises DataError if a key occurs twice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        keys = read_json(text)
    except (OSError, ValueError):
        return None
    if not isinstance(keys, dict) or not keys or not set(keys) <= {*KEYS, *ALIASES}:
        return None
    given = [key for key, _ in json.loads(text, object_pairs_hook=list)]
    repeated = next((key for key in given if given.count(key) > 1), None)
    if repeated is not None:
        raise _given_twice(path, repeated)
    return keys


def _from_keys(keys: Mapping[str, Any], *, text: str, folder: Path | None) -> SetSpec:
    values: dict[str, Any] = {}
    for given, value in keys.items():
        key = _known_key(str(given), text)
        if key in PLACE_KEYS:
            several = value if isinstance(value, list | tuple) else [value]
            values[key] = (*values.get(key, ()), *(_parse_path(each, key, text, folder) for each in several))
        elif key in FILE_KEYS:
            values[key] = _parse_path(value, key, text, folder)
        elif key in ("split", "ratio"):
            values[key] = _parse_number(value, key, text)
        elif isinstance(value, str) and value.strip():
            values[key] = value
        else:
            raise _invalid_value(text, key, value, "a name", "leave the key out for none")
    return SetSpec(text=text, **values)


def _parse_path(value: Any, key: str, text: str, folder: Path | None) -> str:
    if not isinstance(value, str | Path) or not str(value):
        raise _invalid_value(text, key, value, "a path", "leave the key out for none")
    place = Path(value).expanduser() if str(value).startswith("~") else value
    path = str(place if folder is None or is_url(place) else folder / place)
    try:
        is_url(path) or Path(path).exists()
    except (OSError, ValueError) as error:  # too long for a path, with a NUL, or in a folder without permission
        why = getattr(error, "strerror", None) or error
        raise DataError(
            text, f"{key} cannot be opened ({why})", "a path", "check it and its permissions", reason="unreadable"
        ) from error
    return path


def _parse_number(value: Any, key: str, text: str) -> int | float:
    """Parse a number from text or a file. Nothing is rounded, and booleans are not numbers."""
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number) and (key != "split" or number.is_integer()):
        return int(number) if key == "split" else number
    raise _invalid_value(text, key, value, "an integer" if key == "split" else "a number")


def _invalid_value(text: str, key: str, value: Any, expected: str, advice: str = "") -> DataError:
    """The error of a value, shown as it is written in a file."""
    written = json.dumps(value) if value is None or isinstance(value, bool) else reprlib.repr(value)
    return DataError(text, f"{key} is {written}", expected, advice, reason="invalid_value")
