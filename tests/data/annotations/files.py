"""Make trees of empty files and annotation files: reading annotations decodes nothing."""

from pathlib import Path


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


def shown(videos, items):
    """(name of the file, name of the class, start, end) of items."""
    return [(Path(i.path).name, None if i.label is None else videos.classes[i.label], i.start, i.end) for i in items]


def pairs(videos, items):
    """(name of the file, name of the class) of items."""
    return [found[:2] for found in shown(videos, items)]


def file_names(items):
    """Names of the files of items."""
    return [Path(item.path).name for item in items]
