"""The demo from videos to report, on tiny sets: every stage runs, every bad file is named, the figures are in metrics.json."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mgm.data.annotations import VideoItem, VideoSet, load_set
from mgm.data.synthetic.labelled import HEADINGS
from mgm.demo import measure, pipeline, plan, run_demo, systems
from mgm.demo.findings import RAW_MOTION
from mgm.demo.measure import measure_masks
from mgm.demo.plan import SyntheticVideos, too_few_to_probe
from mgm.errors import DataError, FileError
from mgm.evaluation.probing import ProbeScores
from mgm.files.lock import locked
from mgm.training import load_autoencoder, load_config
from mgm.training.run import open_source
from tests.errors import raises

# The clips have 8 frames, so a stride of 1; a few steps are enough to see that all is wired up.
QUICK = (
    "data.stride=1",
    "model.size=debug",
    "pretrain.steps=3",
    "pretrain.warmup=1",
    "pretrain.batch=4",
    "probe.steps=5",
    "probe.clips_per_video=1",
    "probe.temporal_views=1",
)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Few previews and readings: most of the time of so small a demo."""
    monkeypatch.setattr(pipeline, "PREVIEWS", 2)
    monkeypatch.setattr(measure, "ROUNDS", 1)


@pytest.fixture
def folder(tiny_set: Path, tmp_path: Path) -> Path:
    """A user's folder: class folders with good and broken videos."""
    root = tmp_path / "videos"
    shutil.copytree(tiny_set / "train", root)
    good = next(root.rglob("*.mp4"))
    (good.parent / "text.mp4").write_text("these are not the pixels you are looking for\n" * 20)
    (good.parent / "empty.mp4").touch()
    (good.parent / "cut.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    return root


def test_the_whole_line_on_a_folder_with_bad_files(folder, tmp_path):
    result = run_demo(folder, out=tmp_path / "out", overrides=QUICK)
    html = result.report.read_text(encoding="utf-8")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["files"]["found"] == 19
    assert metrics["files"]["readable"] == 16
    for name in ("text.mp4", "empty.mp4", "cut.mp4"):
        assert name in html
        assert any(name in path for path in metrics["files"]["problems"])
    assert len(metrics["videos"]["classes"]) == 8
    assert set(metrics["masks"]) == {"mgm", "tube", "random"}
    assert metrics["probes"] == {}  # 16 videos say nothing
    assert "3 test videos and 2 training videos for each class" in html
    assert metrics["reading"]["clips"] == 2
    assert metrics["chance"] == 1 / 8
    assert load_autoencoder(tmp_path / "out" / "demo-runs" / "pretrained").spec.frames == 8
    assert list((tmp_path / "out" / "previews").glob("*.png"))


def test_without_labels_it_pretrains_and_shows(tiny_set, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted((tiny_set / "train").rglob("*.mp4"))):
        shutil.copy(file, flat / f"{number}.mp4")
    result = run_demo(flat, out=tmp_path / "out", overrides=QUICK)
    assert result.metrics["probes"] == {}
    assert "has no labels" in result.report.read_text(encoding="utf-8")
    again = run_demo(flat, out=tmp_path / "out", overrides=QUICK)  # an earlier demo's run is replaced, not an error
    assert again.metrics["pretrain"]["last loss"] == result.metrics["pretrain"]["last loss"]


def test_a_list_is_as_good_as_a_folder(tiny_set, tmp_path):
    """Only the files of the list are scanned."""
    found = load_set(tiny_set / "train")
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(f"{item.path} {item.label}" for item in found.items))
    result = run_demo(f"data={listed}", out=tmp_path / "out", overrides=QUICK)
    assert result.metrics["files"]["found"] == 16
    assert len(result.metrics["videos"]["classes"]) == 8


def test_own_videos_with_enough_labels_are_probed(tiny_set, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "LEAST_TEST_VIDEOS", 16)
    monkeypatch.setattr(plan, "LEAST_VIDEOS_PER_CLASS", 2)
    result = run_demo(tiny_set, out=tmp_path, overrides=QUICK)
    assert set(result.metrics["probes"]) == {"attentive probe", "linear probe", "20-NN"}
    for way, values in result.metrics["systems"].items():
        assert set(values) == {"pretrained", "untrained"} | ({RAW_MOTION} if way != "attentive probe" else set())
    html = result.report.read_text(encoding="utf-8")
    assert "With 16 test videos a gain must exceed about" in html
    verdict = re.search(r'class="verdict (\w+)">([^<]+)<', html)
    assert verdict is not None
    assert verdict[1] == "neutral"
    assert "accuracy" not in verdict[2]  # a result within noise is no headline


def test_the_synthetic_comparison(tmp_path, monkeypatch):
    """Every system in every way, on a set that is too small to learn from."""
    monkeypatch.setitem(plan.SYNTHETIC, "headings", SyntheticVideos(HEADINGS, train=32, test=16, size=64, pan=0.0))
    monkeypatch.setattr(pipeline, "LABELS", 16)
    monkeypatch.setattr(plan, "TUNED_STEPS", 2)
    monkeypatch.setattr(plan, "EQUAL_COMPUTE_STEPS", 3)
    result = run_demo(out=tmp_path, overrides=QUICK)
    ways = result.metrics["systems"]
    assert set(ways["20-NN"]) == {"motion + pixels", "pixels alone", "untrained", RAW_MOTION}
    assert set(ways["fine-tuned, 2 steps"]) == {"motion + pixels", "pixels alone", "untrained"}
    assert set(ways["fine-tuned, 3 steps"]) == {"untrained"}
    assert result.metrics["videos"] == {"train": 32, "labelled": 16, "test": 16, "classes": sorted(HEADINGS.classes)}


def test_a_folder_without_a_usable_video_is_an_error(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_text("text")
    with raises(DataError, "not_found", subject=tmp_path / "videos"):
        run_demo(tmp_path / "videos", out=tmp_path / "out", overrides=QUICK)


def test_two_demos_in_one_folder_are_refused(tiny_set, tmp_path):
    with locked(tmp_path), raises(FileError, "locked", subject=tmp_path):
        run_demo(tiny_set, out=tmp_path, overrides=QUICK)


def test_mgm_hides_more_of_the_moving_object_than_tube(tiny_set):
    config = load_config("debug")
    videos = load_set(tiny_set)
    items, source = open_source(videos.test, config, motion=True, source=None)
    measures = {m.name: m for m in measure_masks(items, source, config)}
    assert measures["tube"].objects == pytest.approx(0.75, abs=0.1)
    assert measures["mgm"].objects > measures["tube"].objects + 0.05
    assert measures["mgm"].motion > measures["tube"].motion
    assert measures["tube"].overlap == 1.0


def test_a_model_that_predicts_no_pixels_has_no_reconstructions(tiny_set, tmp_path):
    result = run_demo(tiny_set / "train", out=tmp_path / "out", overrides=(*QUICK, "model.target=motion"))
    assert "Reconstruction</h2>" not in result.report.read_text(encoding="utf-8")


def test_page_terminal_and_figures_have_one_verdict(tiny_set, tmp_path, monkeypatch, capsys):
    """The interval of this loss excludes 0; by the sign test it is within noise."""
    pairs = [[True, True], [True, False], [False, True], [False, False]]
    after, before = np.repeat(pairs, [1, 1, 7, 12], axis=0).T
    tested = tuple(range(len(after)))
    scores = iter([ProbeScores({"probe": hits}, tuple("abcd"), {}, tested) for hits in (after, before)])
    monkeypatch.setattr(systems, "probe_encoder", lambda *_, **__: next(scores))
    monkeypatch.setattr(pipeline, "too_few_to_probe", lambda videos: None)
    monkeypatch.setattr(pipeline, "probe_raw_motion", lambda *_: None)
    result = run_demo(tiny_set / "train", out=tmp_path / "out", overrides=QUICK)
    gain = result.metrics["probes"]["probe"]["gain"]
    assert (gain["high"] < 0, gain["verdict"]) == (True, "within noise")
    html = result.report.read_text(encoding="utf-8")
    assert re.findall(r'class="badge \w+">([^<]+)<', html) == ["within noise"]
    assert "points, within noise" in capsys.readouterr().out


@pytest.mark.parametrize(("train", "test", "enough"), [(16, 60, True), (14, 60, False), (16, 48, False)])
def test_a_probe_needs_enough_videos_for_an_interval(train, test, enough):
    def items(count):
        return tuple(VideoItem(f"{i}.mp4", i % 2) for i in range(count))

    error = too_few_to_probe(VideoSet("videos", items(train), items(test), ("a", "b"), "random"))
    assert (error is None) == enough
    assert enough or "at least 50 and 8" in str(error)
