"""Helpers of the training tests: sources of clips that raise, sets with damaged videos, logs, weights."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mgm.data.annotations import VideoItem, load_set
from mgm.data.clips.source import ClipSource
from mgm.training.checkpoint_folder import write_checkpoint
from mgm.training.folder import checkpoint_folder, checkpoint_folders


class Watched:
    """Another source; calls `happen` before each clip, with the number of clips before it."""

    def __init__(self, source: ClipSource, happen: Callable[[int], None]) -> None:
        self.source = source
        self.happen = happen
        self.count = 0

    def info(self, path: str) -> Any:
        return self.source.info(path)

    def clip(self, *args: Any) -> Any:
        self.happen(self.count)
        self.count += 1
        return self.source.clip(*args)

    def clips(self, *args: Any) -> Any:
        self.happen(self.count)
        self.count += 1
        return self.source.clips(*args)


def raising(source: ClipSource, error: type[BaseException], *, at: int) -> Watched:
    """The source, which raises when clip number `at` is requested."""

    def happen(count: int) -> None:
        if count == at:
            raise error

    return Watched(source, happen)


def checkpoint_steps(out):
    """The steps of a run's checkpoints, the newest first."""
    return [int(folder.name.removeprefix("step-")) for folder in checkpoint_folders(out)]


def newest(out):
    """The newest checkpoint of a run."""
    return checkpoint_folders(out)[0]


def save(out, content):
    """Write a content as the one checkpoint of a run's folder; returns its folder."""
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    folder = checkpoint_folder(out, 1)
    write_checkpoint(folder, {key: value for key, value in content.items() if key not in ("format", "version")}, {})
    return folder


def flip_bit(file, place):
    """Change a bit at a place of a file, from 0 for its first byte to 1 for its last; returns the content then."""
    content = bytearray(file.read_bytes())
    content[round(place * (len(content) - 1))] ^= 4
    file.write_bytes(content)
    return bytes(content)


def same_weights(first, second):
    """Whether two models have equal state dicts."""
    states = first.state_dict(), second.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def read_log(out):
    """The entries of log.jsonl."""
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def broken(videos, folder, *, count):
    """The set with the first `count` training videos replaced by files that are not videos."""
    folder.mkdir()
    train = list(videos.train)
    for index in range(count):
        path = folder / f"{index}.mp4"
        path.write_bytes(b"not a video")
        train[index] = VideoItem(str(path), train[index].label)
    return replace(videos, train=tuple(train))


def numbered_videos(videos: str | Path, folder: Path) -> Path:
    """A folder of copies of the training videos of a set, without their labels: 00.mp4, 01.mp4, ..."""
    folder.mkdir(exist_ok=True)
    for number, item in enumerate(load_set(videos).train):
        shutil.copyfile(item.path, folder / f"{number:02d}.mp4")
    return folder
