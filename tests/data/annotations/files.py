"""Make trees of empty files and annotation files: reading annotations decodes nothing."""

import json
from pathlib import Path

import numpy as np
import pytest


def touch(root: Path, *names: str) -> Path:
    """Make empty files below a folder. Returns the folder."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write(path: Path, *lines: str) -> Path:
    """Write a text file. Returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_labels(path: Path, rows: list[tuple[str, float]], spelling: str = "{}") -> Path:
    """Write `video, number` rows in the format of the path's suffix, each number as `spelling` formats it. Returns the path."""
    spelt = [(name, spelling.format(label)) for name, label in rows]
    if path.suffix == ".txt":
        return write(path, *(f"{name} {label}" for name, label in spelt))
    if path.suffix == ".csv":
        return write(path, "path,label", *(f"{name},{label}" for name, label in spelt))
    if path.suffix == ".tsv":
        return write(path, *(f"{i}\t{label}\t{name}" for i, (name, label) in enumerate(spelt)))
    if path.suffix == ".npy":
        np.save(path, np.array(spelt))
        return path
    if path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = zip(*(rows if spelling == "{}" else spelt), strict=True)
        parquet.write_table(pyarrow.table(dict(zip(("path", "label"), map(list, columns), strict=True))), path)
        return path
    numbers = rows if spelling == "{}" else spelt
    values = [json.dumps({"path": name, "label": label}) for name, label in numbers]
    return write(path, *(values if path.suffix == ".jsonl" else [f"[{', '.join(values)}]"]))


def shown(videos, items):
    """(name of the file, name of the class, start, end) of items."""
    return [(Path(i.path).name, None if i.label is None else videos.classes[i.label], i.start, i.end) for i in items]


def pairs(videos, items):
    """(name of the file, name of the class) of items."""
    return [found[:2] for found in shown(videos, items)]


def file_names(items):
    """Names of the files of items."""
    return [Path(item.path).name for item in items]
