"""The benchmark of reading: processor time by stage, and the advice that follows from it."""

from dataclasses import replace

import pytest
import torch

from mgm.data.annotations import VideoItem, load_set
from mgm.data.benchmark import STAGES, DataBenchmark, advise, benchmark_data
from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.loading.dataset import ClipSet, ClipTransform, MaskRule
from mgm.data.loading.loader import read_batch
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import DataError
from mgm.masks import build_mask
from mgm.spans import Stopwatch
from mgm.training import load_config
from mgm.video.container.metadata import VideoInfo
from tests.errors import raises

SMALL = ["data.frames=4", "data.size=32", "data.crop=multiscale", "model.size=debug"]


def small(*overrides):
    """The debug recipe with clips of 4 frames at 32 px; arguments are further overrides."""
    return load_config("debug", [*SMALL, *overrides])


@pytest.fixture(scope="module")
def videos(tiny_set):
    return load_set(tiny_set)


def clip_set(videos):
    settings = ClipSettings(frames=4, stride=1, size=32, motion="auto")
    rule = MaskRule(build_mask("mgm"), (2, 4, 4), 0.75)
    return ClipSet(videos, FileSource(), settings, ClipTransform("multiscale", flip=True, rule=rule), seed=1)


def test_every_stage_of_a_clip_has_a_span_and_timing_changes_nothing(videos):
    clips, keys = clip_set(videos.train), [(0, i) for i in range(6)]
    plain = read_batch(clips, keys)
    stopwatch = Stopwatch()
    with stopwatch.running():
        timed = read_batch(clips, keys)
    assert torch.equal(plain.video, timed.video)
    assert torch.equal(plain.mask, timed.mask)
    assert all(stopwatch.seconds[stage] > 0 for stage in STAGES)
    assert set(stopwatch.seconds) == set(STAGES)
    assert stopwatch.calls["mask"] == stopwatch.calls["demux"] == 6
    assert stopwatch.calls["convert"] == 6 * 4


def test_optical_flow_counts_as_the_field(tmp_path):
    path = make_translation(tmp_path / "a.webm", velocity=(3, 1), frames=12, size=(64, 96), codec="libvpx-vp9")
    stopwatch = Stopwatch()
    with stopwatch.running():
        read_batch(clip_set((VideoItem(str(path)),)), [(0, 0)])
    assert stopwatch.seconds["field"] > stopwatch.seconds["demux"]


def test_a_set_is_measured(videos, tmp_path):
    bench = benchmark_data(videos, small("data.repeats=2"), clips=8, rate=100)
    assert (bench.clips, bench.failed, bench.repeats) == (16, 0, 2)
    assert set(bench.seconds) == set(STAGES)
    assert bench.clips_per_second == pytest.approx(1 / sum(bench.seconds.values()))
    assert 3 <= bench.decoded <= 10  # 4 frames of 8, and the last one after the flush
    assert len(bench.infos) == 8
    assert bench.workers >= bench.cores >= 1
    assert bench.at_repeats(2) == pytest.approx(bench.computing)
    assert bench.at_repeats(4) < bench.computing < bench.at_repeats(1)
    broken = tmp_path / "x.mp4"
    broken.write_bytes(b"x")
    some = replace(videos, train=(VideoItem(str(broken)), *videos.train[:3]))
    assert benchmark_data(some, small(), clips=4).failed == 1
    mostly_broken = replace(videos, root="videos", train=(VideoItem(str(broken)),) * 3 + videos.train[:1])
    with raises(DataError, "too_many_failures", message="benchmark-unreadable"):
        benchmark_data(mostly_broken, small(), clips=4)


SECONDS = dict.fromkeys(STAGES, 1e-3) | {"decode": 20e-3}
BENCH = DataBenchmark(64, 0, SECONDS, 1e-3, 4e-3, 70.0, 61, (VideoInfo(200, 256, 340, True),), 1)


def advice(videos, config, **changes):
    return "\n".join(advise(replace(BENCH, **changes), videos, config.data))


def test_advice_follows_from_the_measurement(videos, monkeypatch):
    config = small("data.stride=4", "data.size=224")
    found = advice(videos, config)
    command = f"mgm prepare {videos.root} {videos.root}-prepared --profile strided --stride 4"
    assert found.endswith(command)
    listed = replace(videos, root=f"{videos.root}/train.csv")  # not a folder, but its videos are in one
    assert advice(listed, config).endswith(command)
    assert "% of the work is decoding frames and motion" in found
    assert "--profile motion" in advice(videos, small("data.size=224"))  # stride 1 has no strided profile
    assert "150 frames are decoded for a clip that spans 61: keyframes are far apart" in advice(
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


def test_advice_on_workers(videos, monkeypatch):
    config = small("data.workers=2")
    monkeypatch.setattr("mgm.data.benchmark._cores", lambda: 16)
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1))
    found = advice(videos, config, rate=1000.0)
    assert "1,000 clips/s occupy 28 cores and need 29 workers over all devices" in found
    assert "data.workers, the number per device, is 2, and this machine has 16 cores" in found
    assert "pretrain.repeats=2 would deliver a clip for 0.59 of the work" in found
    assert "pretrain.repeats" not in advice(videos, config, rate=100.0)
