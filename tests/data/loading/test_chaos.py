"""An epoch on a bad day: corrupt files, one that hangs, a killed process, a folder that vanishes. It ends and reports each loss."""

import multiprocessing
import os
import random
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mgm.data.annotations import VideoItem, VideoSet, load_set
from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.loading.dataset import ClipSet, ClipTransform, MaskRule
from mgm.data.loading.loader import BatchOrder, batches
from mgm.errors import VideoError
from mgm.masks import build_mask
from mgm.training import load_config
from mgm.training.pretrain import pretrain

VIDEOS, BATCH = 150, 5
CORRUPT, HANGS, DEADLY = (31, 77, 120), 55, 10
GONE = range(140, 150)
SETTINGS = ClipSettings(frames=4, stride=1, size=32, motion="codec")


class BadDay(FileSource):
    """One file blocks forever; another kills the first process that reads it and deletes a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def clips(self, path, *args):
        if path.endswith(f"/{HANGS:03d}.mp4"):
            (self.folder / "fifo").open("rb")  # blocks in the kernel: the pipe has no writer
        if path.endswith(f"/{DEADLY:03d}.mp4") and (self.folder / "gone").exists():
            shutil.rmtree(self.folder / "gone")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().clips(path, *args)


class Bad(FileSource):
    """Some files are unreadable."""

    def __init__(self, bad) -> None:
        super().__init__()
        self.bad = bad

    def info(self, path):
        if path in self.bad:
            raise VideoError(path, "bad", reason="damaged")
        return super().info(path)


@pytest.fixture
def set_of_files(tiny_set, tmp_path):
    """(items, folder) of many files, all good; ten of them in a folder of their own."""
    originals = [item.path for item in load_set(tiny_set).train]
    items = []
    for number in range(VIDEOS):
        folder = tmp_path / ("gone" if number in GONE else "files")
        folder.mkdir(exist_ok=True)
        path = folder / f"{number:03d}.mp4"
        shutil.copy(originals[number % len(originals)], path)
        items.append(VideoItem(str(path)))
    os.mkfifo(tmp_path / "fifo")
    return tuple(items), tmp_path


def corrupt(items):
    """Truncate one file, overwrite one with noise, and empty one."""
    first, second, third = (Path(items[number].path) for number in CORRUPT)
    first.write_bytes(first.read_bytes()[:200])
    second.write_bytes(bytes(random.Random(0).randbytes(second.stat().st_size)))
    third.write_bytes(b"")


def clip_set(items, source):
    rule = MaskRule(build_mask("mgm"), (2, 4, 4), 0.75)
    return ClipSet(items, source, SETTINGS, ClipTransform("multiscale", flip=True, rule=rule), seed=5)


def rows(batch):
    """The clips of a batch, one by one."""
    return list(zip(batch.video, batch.mask, batch.index.tolist(), strict=True))


def same(first, second):
    return torch.equal(first[0], second[0]) and torch.equal(first[1], second[1]) and first[2] == second[2]


def test_an_epoch_on_a_bad_day_ends_and_keeps_every_readable_clip(set_of_files):
    items, folder = set_of_files
    order = BatchOrder(VIDEOS, BATCH, 5)
    steps = order.steps_per_epoch
    clean = [row for batch in batches(clip_set(items, FileSource()), order, first=0, last=steps) for row in rows(batch)]
    paths = [item.path for item in items]
    corrupted, gone = {paths[i] for i in CORRUPT}, {paths[i] for i in GONE}
    surely_bad = corrupted | {paths[HANGS]}
    copies = {}
    for bad in (surely_bad, surely_bad | gone):  # the substitutes while the folder exists, and afterwards
        reference = batches(clip_set(items, Bad(bad)), order, first=0, last=steps)
        copies[len(bad)] = [row for batch in reference for row in rows(batch)]
    corrupt(items)

    day = list(batches(clip_set(items, BadDay(folder)), order, first=0, last=steps, workers=2, timeout=1.5))

    assert multiprocessing.active_children() == []
    assert [len(batch.index) for batch in day] == [BATCH] * steps
    found = [row for batch in day for row in rows(batch)]
    keys = [index for step in range(steps) for _, index in order.keys(step)]
    kept = 0
    for place, row in enumerate(found):
        path = paths[keys[place]]
        if path in surely_bad:
            assert any(same(row, version[place]) for version in copies.values())
        elif path in gone:  # read before the folder vanished, or replaced afterwards
            assert same(row, clean[place]) or same(row, copies[len(surely_bad | gone)][place])
        else:
            assert same(row, clean[place])
            kept += 1
    assert kept == VIDEOS - len(surely_bad | gone)
    reported = dict(video for batch in day for video in batch.unreadable)
    assert surely_bad <= set(reported) <= surely_bad | gone
    assert len(set(reported) & gone) >= 5
    assert all(path in message for path, message in reported.items())
    incidents = [line for batch in day for line in batch.incidents]
    assert len(incidents) == 1
    assert "SIGKILL" in incidents[0]
    assert f"{DEADLY:03d}.mp4" in incidents[0]


def test_a_run_on_a_bad_day_ends_and_its_folder_lists_every_loss(set_of_files, tmp_path):
    items, folder = set_of_files
    corrupt(items)
    small = [
        "data.frames=4",
        "data.size=32",
        "data.memory=false",
        "data.workers=2",
        "data.read_timeout=1.5",
        "data.bad_share=0.5",
    ]
    small += [
        "seed=5",
        "data.crop=multiscale",
        "model.size=debug",
        f"pretrain.steps={VIDEOS // BATCH}",
        f"pretrain.batch={BATCH}",
    ]
    videos = VideoSet(str(folder), items, (), (), "")
    out = tmp_path / "run"
    config = load_config("debug", small)

    outcome = pretrain(videos, config, out=out, source=BadDay(folder), show_progress=False)

    assert len(outcome.history.losses) == VIDEOS // BATCH
    listed = dict(line.split("\t") for line in (out / "bad_videos.tsv").read_text().splitlines())
    assert {items[number].path for number in (*CORRUPT, HANGS)} <= set(listed)
    assert sum(items[number].path in listed for number in GONE) >= 5
    assert "SIGKILL" in (out / "incidents.txt").read_text()
    assert outcome.history.incidents == (out / "incidents.txt").read_text().splitlines()


def test_a_pipe_among_the_files_is_an_unreadable_video(set_of_files):
    items, folder = set_of_files
    items = (replace(items[0], path=str(folder / "fifo")), *items[1:4])
    (batch,) = batches(clip_set(items, FileSource()), BatchOrder(4, 4, 0), first=0, last=1, workers=1, timeout=5)
    assert {video.path for video in batch.unreadable} == {str(folder / "fifo")}


def test_resuming_at_any_batch_on_other_workers_gives_the_same_bytes(set_of_files):
    items, _ = set_of_files
    clips, order = clip_set(items, FileSource()), BatchOrder(VIDEOS, 7, 5)  # does not divide an epoch
    place, last = random.Random(6).randrange(1, 28), 30
    one = batches(clips, order, first=0, last=last, parts=2, workers=1)
    whole = list(one)[2 * place :]
    resumed = list(batches(clips, order, first=place, last=last, parts=2, workers=3))
    assert len(resumed) == len(whole) == 2 * (last - place)
    for first, second in zip(whole, resumed, strict=True):
        assert first.video.numpy().tobytes() == second.video.numpy().tobytes()
        assert first.mask.numpy().tobytes() == second.mask.numpy().tobytes()
        assert torch.equal(first.index, second.index)
        assert np.array_equal(first.label, second.label)
