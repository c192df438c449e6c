"""Where the time of a clip goes, and what is advised."""

from dataclasses import replace

import pytest
import torch
import typer
from typer.testing import CliRunner

import mgm.commands.bench
import mgm.video.clip.reader
from mgm.data.annotations import VideoItem, load_set
from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.loading.dataset import ClipSet, ClipTransform, MaskRule
from mgm.data.loading.loader import read_batch
from mgm.data.loading.stages import STAGES, Stopwatch
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import DataError
from mgm.masks import build_mask
from mgm.training.bench import DataBench, _with_advice, bench_data
from mgm.video.container.metadata import VideoInfo


def clip_set(videos):
    settings = ClipSettings(frames=4, stride=1, size=32, motion="auto")
    rule = MaskRule(build_mask("mgm"), (2, 4, 4), 0.75)
    return ClipSet(videos, FileSource(), settings, ClipTransform("multiscale", flip=True, rule=rule), seed=1)


def test_watching_changes_nothing_and_ends(videos):
    clips, keys = clip_set(videos.train), [(0, i) for i in range(6)]
    before = dict(vars(mgm.video.clip.reader))
    plain = read_batch(clips, keys)
    stopwatch = Stopwatch()
    with stopwatch.watch(clips.transform.rule.mask):
        watched = mgm.data.loading.loader.read_batch(clips, keys)
    assert torch.equal(plain.video, watched.video)
    assert torch.equal(plain.mask, watched.mask)
    assert dict(vars(mgm.video.clip.reader)) == before
    assert all(stopwatch.seconds[stage] > 0 for stage in STAGES)  # each of them was met
    assert stopwatch.calls["mask"] == stopwatch.calls["demux"] == 6
    assert stopwatch.calls["convert"] == 6 * 4
    counted = dict(stopwatch.seconds)
    read_batch(clips, keys)
    assert stopwatch.seconds == counted


def test_flow_counts_as_the_field(tmp_path):
    path = make_translation(tmp_path / "a.webm", velocity=(3, 1), frames=12, size=(64, 96), codec="libvpx-vp9")
    stopwatch = Stopwatch()
    clips = clip_set((VideoItem(str(path)),))
    with stopwatch.watch(None):
        read_batch(clips, [(0, 0)])
    assert stopwatch.calls["mask"] == 0
    assert stopwatch.seconds["field"] > stopwatch.seconds["demux"]


def test_an_error_inside_a_stage_stops_its_clock(tmp_path, videos):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    clips = clip_set((VideoItem(str(tmp_path / "bad.mp4")), *videos.train[:2]))
    stopwatch = Stopwatch()
    with stopwatch.watch(clips.transform.rule.mask):
        read_batch(clips, [(0, 0)])
    assert stopwatch._running == ["other"]


def test_a_set_is_measured(videos, small, tmp_path):
    bench = bench_data(videos, small("data.repeats=2"), clips=8, rate=100)
    assert (bench.clips, bench.failed, bench.repeats) == (16, 0, 2)
    assert set(bench.seconds) == set(STAGES)
    assert bench.clips_per_second == pytest.approx(1 / sum(bench.seconds.values()))
    assert 3 <= bench.decoded <= 10  # 4 frames of 8, and the last one that a flush brings out
    assert len(bench.infos) == 8
    assert bench.workers >= bench.cores >= 1
    assert bench.at_repeats(2) == pytest.approx(bench.computing)
    assert bench.at_repeats(4) < bench.computing < bench.at_repeats(1)
    broken = tmp_path / "x.mp4"
    broken.write_bytes(b"x")
    some = replace(videos, train=(VideoItem(str(broken)), *videos.train[:3]))
    assert bench_data(some, small(), clips=4).failed == 1
    with pytest.raises(DataError, match="3 of 4 videos cannot be read"):
        bench_data(replace(videos, train=(VideoItem(str(broken)),) * 3 + videos.train[:1]), small(), clips=4)


SECONDS = dict.fromkeys(STAGES, 1e-3) | {"decode": 20e-3}
BENCH = DataBench(64, 0, SECONDS, 1e-3, 4e-3, 70.0, 61, (VideoInfo(200, 256, 340, True),), 1)


def advice(videos, config, **changes):
    return "\n".join(_with_advice(replace(BENCH, **changes), videos, config).advice)


def test_advice_follows_from_what_was_found(videos, small, monkeypatch):
    config = small("data.stride=4", "data.size=224")
    found = advice(videos, config)
    command = f"mgm prepare {videos.root} {videos.root}-prepared --profile strided --stride 4"
    assert found.endswith(command)
    listed = replace(videos, root=f"{videos.root}/train.csv")  # no folder to prepare, but its videos lie in one
    assert advice(listed, config).endswith(command)
    assert "% of the work is decoding frames and motion" in found
    assert "--profile motion" in advice(videos, small("data.size=224"))  # no profile for a stride of 1
    assert "150 pictures are decoded for a clip that spans 61: key pictures are far apart" in advice(
        videos, config, decoded=150.0
    )
    assert "720 px high, clips 224" in advice(videos, config, infos=(VideoInfo(200, 720, 1280, True),))
    flow = advice(videos, config, infos=(VideoInfo(200, 256, 340, False),), seconds={**SECONDS, "field": 50e-3})
    assert "measured as optical flow" in flow
    assert advice(videos, config, infos=(VideoInfo(200, 256, 340, True, 4),)) == ""
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1))
    assert "waiting for files" in advice(videos, config, waiting=20e-3)
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 99.0, 99.0))
    assert "waiting for files" not in advice(videos, config, waiting=20e-3)


def test_advice_on_workers(videos, small, monkeypatch):
    config = small("data.workers=2")
    monkeypatch.setattr("mgm.training.bench._cores", lambda: 16)
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1))
    found = advice(videos, config, rate=1000.0)
    assert "1,000 clips/s keep 28 cores busy and take 29 workers over all devices" in found
    assert "data.workers, those of one device, is 2, and this machine has 16 cores" in found
    assert "data.repeats=2 would deliver a clip for 0.59 of the work" in found
    assert "data.repeats" not in advice(videos, config, rate=100.0)


def test_the_command_prints_every_stage(tiny_set):
    app = typer.Typer()
    app.add_typer(mgm.commands.bench.bench, name="bench")
    arguments = ["bench", "data", str(load_set(tiny_set).root), "--recipe", "debug", "--clips", "4", "--rate", "10"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    for stage in STAGES:
        assert f"\n{stage} " in result.output
    assert "clips/s from one core" in result.output
    assert "10 clips/s keep 1 core busy and take" in result.output
