"""Read thousands of damaged annotation files and recipes: each is read, or refused by an error of mgm.

python -m tests.fuzz.texts annotations --count 10000 --seed 0 [--keep FOLDER]
python -m tests.fuzz.texts recipes --count 10000 --seed 0
"""

import argparse
import json
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow.parquet

from mgm.data.annotations import load_set
from mgm.data.annotations.summary import summarise_set
from mgm.errors import MgmError
from mgm.training import load_config
from mgm.training.recipe_file import list_recipes
from mgm.video.scan.manifest import write_manifest
from mgm.video.scan.record import VideoRecord
from tests.fuzz.damage import Random

VIDEOS = ("fight/g001_fi001.mp4", "fight/g001_fi002.mp4", "noFight/g002_fi003.mp4")
SECONDS = 5.0
"""Processor time from which on a file counts as a hang."""

# What parsers trip over: limits of numbers, deep and unbalanced brackets, separators, parts of paths, names of columns and keys.
ODD = (
    *("-1", "0", "9" * 30, "1" * 5000, "1e999", "1e-320", "NaN", ".nan", ".inf", "Infinity", "0x10", "1_000", "07", "1:30"),
    *("\u0663", "[", "]]]", "{" * 2000, "[" * 100_000, '"', "'", "[]", "{}", "[1, 2]", "{a: 1}", "null", "~", "true", "%s"),
    *("\0", "\t", "\r", "\n", ",", ";", " ", "#", ": ", "- ", "\u2028", "\x85", "\\ud800", "\ud7ff", "...\n", "---\n"),
    *("%YAML 9.9\n", "../../etc/passwd", "/", "://", "a::b", "file:///", "x.tar#offset=1&size=2&name=x&info=1x2"),
    *("x.tar#offset=1&size=2&name=x&info=1x2x3x1x1", "x.tar#offset=1&size=2&name=x&motion=3+4&modified=5&info=1x2x3x1x1"),
    *("&a [*a]", "*a", "<<: *a", "<<: [1]", "!!bool x", "!!int ''", "!!float ''", "!!timestamp x", "!!set {a}", "!!omap [a: 1]"),
    *("start", "split", "label", "path", "steps: 5", "size: 7", "name: tube", "ratio: 2", "frames: 100000000", "target: []"),
)  # fmt: skip
ODD_BYTES = (*(odd.encode("utf-8") for odd in ODD), b"\xff\xfe", b"\xed\xb2\x80", b"PAR1", b"\x93NUMPY")


def annotation_files(folder: Path) -> dict[str, bytes]:
    """Name -> content of an intact file of every format, about empty videos below `folder`/videos."""
    for name in VIDEOS:
        (folder / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "videos" / name).touch()
    numbered = list(enumerate(VIDEOS))
    texts = {
        "path_label.txt": "".join(f"{name} {i % 2}\n" for i, name in numbered),
        "path_label.csv": "".join(f"{name},{i % 2}\n" for i, name in numbered),
        "start_total.txt": "".join(f"{name} 0 -1\n" for name in VIDEOS),
        "total_label.txt": "".join(f"{name} 300 {i % 2}\n" for i, name in numbered),
        "index.txt": "".join(f"{i}\t{i}\t{name}\n" for i, name in numbered),
        "paths.txt": "\n".join(VIDEOS),
        "ids.txt": "0347ZoDXyP0\nabcdefghijk\n",
        "id_text.csv": "1420;Pushing something\n22;Lifting [x]\n",
        "hop_test_split1.txt": "a.avi 1\nb.avi 2\nc.avi 0\n",
        "kinetics.csv": "label,youtube_id,time_start,time_end,split\nhop,0347ZoDXyP0,95,105,train\nx y,abcdefghijk,0,10,val\n",
        "templates.json": json.dumps([{"id": "7", "template": "Holding [x]"}, {"id": "8", "template": "Moving [a]"}]),
        "diving.json": json.dumps([{"vid_name": name, "label": i, "start_frame": 0, "end_frame": 9} for i, name in numbered]),
        "table.csv": "path,label,split,start,end\n" + "".join(f"{name},{i},train,0,5\n" for i, name in numbered),
        "table.jsonl": "".join(json.dumps({"video": name, "label": f"c{i}", "split": "test"}) + "\n" for i, name in numbered),
        "set.yaml": "train: path_label.txt\ntest: [path_label.csv]\nroot: videos\nclasses: n.txt\nsplit: 1\nratio: 0.5\n",
        "set.json": json.dumps({"train": ["path_label.txt"], "root": "videos", "missing": "skip"}),
    }  # fmt: skip
    files = {name: text.encode() for name, text in texts.items()}
    np.save(folder / "array.npy", np.array([[name, str(i % 2)] for i, name in numbered]))
    for suffix in (".csv", ".jsonl", ".parquet"):
        records = [
            VideoRecord(path=name, bytes=1, status=status)
            for name, status in zip(VIDEOS, ("ok", "empty", "ok"), strict=True)
        ]
        write_manifest(folder / f"manifest{suffix}", records)
    table = {"path": VIDEOS, "label": [0.0, 1.0, 2.0], "split": ["train", "train", "test"]}
    pyarrow.parquet.write_table(pyarrow.table(table), folder / "table.parquet")
    made = [folder / "array.npy", folder / "table.parquet", *folder.glob("manifest.*")]
    files |= {path.name: path.read_bytes() for path in made}
    for name in ("path_label.txt", "path_label.csv"):  # what the specifications refer to
        (folder / name).write_bytes(files[name])
    return files


def recipe_files(folder: Path) -> dict[str, bytes]:
    """Name -> content of the built-in recipes."""
    recipes = resources.files("mgm") / "recipes"
    return {f"{name}.yaml": (recipes / f"{name}.yaml").read_bytes() for name in list_recipes()}


def damaged(data: bytes, rng: Random) -> bytes:
    """The content of a file after one to nine edits of its bytes, values or lines. The same randomness gives the same bytes."""
    for _ in range(int(rng.choice([1, 1, 2, 4, 9]))):
        data = _EDITS[int(rng.integers(len(_EDITS)))](data, rng)
    return data


def _odd(rng: Random) -> bytes:
    return ODD_BYTES[int(rng.integers(len(ODD_BYTES)))]


def _place(data: bytes, rng: Random) -> tuple[int, int]:
    start = int(rng.integers(len(data) + 1))
    return start, min(len(data), start + int(rng.integers(1, 12)))


def _other_byte(data: bytes, rng: Random) -> bytes:
    start, _ = _place(data, rng)
    return data[:start] + rng.bytes(1) + data[start + 1 :]


def _delete(data: bytes, rng: Random) -> bytes:
    start, end = _place(data, rng)
    return data[:start] + data[end:]


def _insert_odd(data: bytes, rng: Random) -> bytes:
    start, end = _place(data, rng)
    return data[:start] + _odd(rng) + data[end if rng.random() < 0.5 else start :]


def _replace_value(data: bytes, rng: Random) -> bytes:
    """Put something odd in the place of one field, word, or value of a key."""
    fields = list(re.finditer(rb"[^\s,;:]+", data))
    if not fields:
        return data
    chosen = fields[int(rng.integers(len(fields)))]
    return data[: chosen.start()] + _odd(rng) + data[chosen.end() :]


def _repeat(data: bytes, rng: Random) -> bytes:
    start, _ = _place(data, rng)
    return data[:start] + data[start : start + int(rng.integers(40))] + data[start:]


def _truncate(data: bytes, rng: Random) -> bytes:
    return data[: _place(data, rng)[0]]


def _edit_lines(data: bytes, rng: Random) -> bytes:
    """Shuffle the lines, or delete, repeat or indent one."""
    lines = data.split(b"\n")
    at = int(rng.integers(len(lines)))
    changed = (
        [lines[i] for i in rng.permutation(len(lines))],
        [*lines[:at], *lines[at + 1 :]],
        [*lines[:at], lines[int(rng.integers(len(lines)))], *lines[at:]],
        [*lines[:at], b" " * int(rng.integers(7)) + lines[at].strip(), *lines[at + 1 :]],
    )
    return b"\n".join(changed[int(rng.integers(len(changed)))])


_EDITS = (
    _other_byte,
    _delete,
    _insert_odd,
    _insert_odd,
    _replace_value,
    _replace_value,
    _repeat,
    _truncate,
    _edit_lines,
)


def read_annotations(path: Path, rng: Random) -> None:
    """Load or summarise a set that is the file, or a list with the folder of its videos."""
    alone = path.name.startswith("set.") or rng.random() < 0.6
    spec = str(path) if alone else f"train={path},root={path.parent}/videos"
    (load_set if rng.random() < 0.8 else summarise_set)(spec)


def read_recipe(path: Path, rng: Random) -> None:
    """Load a recipe, build what it describes, and load what is saved of it."""
    config = load_config(path)
    config.model_spec()
    config.mask_rule()
    saved = path.with_name("saved.yaml")
    config.save(saved)
    assert load_config(saved) == config, "not the same after it was saved"


KINDS: dict[str, tuple[Callable[[Path], dict[str, bytes]], Callable[[Path, Random], None]]] = {
    "annotations": (annotation_files, read_annotations),
    "recipes": (recipe_files, read_recipe),
}


@dataclass
class TextReport:
    """Outcomes by name ("read", the name of an error, or of what must not happen), the slowest file, and one line per finding."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    findings: list[str] = field(default_factory=list)


class _HangError(BaseException):
    """A file took more than `SECONDS` of processor time."""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _HangError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fuzz_texts(kind: str, count: int, *, seed: int, folder: Path, keep: Path | None = None) -> TextReport:
    """Read `count` damaged files of a kind, in this process.

    Args:
        keep: folder for the files with findings.
    """
    make, read = KINDS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    sources, report, made = make(folder), TextReport(), folder / "made"
    made.mkdir()
    for name in ("path_label.txt", "path_label.csv", "videos"):
        if (folder / name).exists():
            (made / name).symlink_to(folder / name)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        name = sorted(sources)[int(rng.integers(len(sources)))]
        data = damaged(sources[name], rng)
        path = made / (name if name in ("set.yaml", "set.json", "hop_test_split1.txt") else f"case{Path(name).suffix}")
        path.write_bytes(data)
        began = time.process_time()
        try:
            with _limited():
                read(path, rng)
            outcome = "read"
        except MgmError as error:
            outcome = (
                type(error).__name__ if "\n" not in error.subject and error.reason != "other" else f"line of {error!r}"
            )
        except (Exception, _HangError) as error:
            outcome = f"undocumented {type(error).__name__}"
            lines = [line.strip() for line in traceback.format_exc().splitlines() if "/mgm/" in line]
            report.findings.append(f"{kind} {seed}:{number} {name}: {error!r:.200} at {lines[-1:]}")
            if keep is not None:
                (keep / f"{number}_{name}").write_bytes(data)
        report.counts[outcome] += 1
        report.slowest = max(report.slowest, (time.process_time() - began, f"{number} {name}"))
    return report


def main() -> int:
    """Print the outcomes and every finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files with findings")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        report = fuzz_texts(given.kind, given.count, seed=given.seed, folder=Path(folder), keep=given.keep)
    seconds, slowest = report.slowest
    print(f"{given.count} {given.kind}, seed {given.seed}: {dict(report.counts)}; slowest {seconds:.2f} s: {slowest}")
    print(*report.findings, sep="\n")
    return int(bool(report.findings))


if __name__ == "__main__":
    sys.exit(main())
