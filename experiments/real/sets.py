"""Two sets of real clips with splits that share no source: by source video, and by camera."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from mgm.data.items import VideoItem, VideoSet

TRAINING_CAMERAS = {"gate_cam0", "rusty_bridge_cam0", "turquoise_bridge_cam0"}
"""Of tank_wagon; the other six are for testing."""


def load_sets(root: Path) -> dict[str, VideoSet]:
    """Name -> set, from the folders surv_fights and tank_wagon of `root`. Ends the program where one is missing."""
    for name in ("surv_fights", "tank_wagon"):
        if not (root / name).is_dir():
            raise SystemExit(f"{root}: found no folder {name}, expected surv_fights and tank_wagon; check --data")
    return {"surv_fights": _surv_fights(root), "tank_wagon": _tank_wagon(root / "tank_wagon")}


def cameras(root: Path) -> dict[str, str]:
    """Path of a clip of tank_wagon -> its camera."""
    with (root / "tank_wagon" / "groups.csv").open(encoding="utf-8", newline="") as file:
        return {str(root / "tank_wagon" / row["path"]): row["group_camera"] for row in csv.DictReader(file)}


def _surv_fights(root: Path) -> VideoSet:
    """Fights and other scenes of surveillance cameras, 300 clips of 46 videos; the split is that of the authors."""
    parts = []
    for part in ("train", "test"):
        lines = (root / "surv_fights" / "splits" / f"split_group01_{part}.txt").read_text(encoding="utf-8").splitlines()
        parts.append((root / path, Path(path).parent.name, 0) for path, _ in map(str.split, lines))
    return _video_set("surv_fights", *parts, rule="by source video")


def _tank_wagon(folder: Path) -> VideoSet:
    """Bridges and trains of an industrial site, 496 clips of nine fixed cameras. Frames 0 and 1 of many clips are broken."""
    with (folder / "groups.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    train, test = (
        [(folder / r["path"], r["class"], 2) for r in rows if (r["group_camera"] in TRAINING_CAMERAS) is own]
        for own in (True, False)
    )
    return _video_set("tank_wagon", train, test, rule="by camera")


Clip = tuple[Path, str, int]
"""File, class and first frame."""


def _video_set(name: str, train: Iterable[Clip], test: Iterable[Clip], *, rule: str) -> VideoSet:
    parts = [list(train), list(test)]
    classes = tuple(sorted({label for part in parts for _, label, _ in part}))
    items = [tuple(VideoItem(str(path), classes.index(label), start) for path, label, start in part) for part in parts]
    return VideoSet(name, items[0], items[1], classes, rule)
