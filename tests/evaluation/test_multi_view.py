"""`mgm.evaluate`: its files, what a stop leaves, and what an incomplete set is called."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mgm.data.annotations import VideoItem, load_set
from mgm.data.clips.source import FileSource
from mgm.errors import DataError, FileError
from mgm.evaluation import multi_view, views
from mgm.evaluation.multi_view import evaluate, evaluate_classifier, evaluation_metrics
from mgm.evaluation.prediction_blocks import Predictions
from mgm.evaluation.prediction_table import read_predictions, video_names
from mgm.evaluation.probing import untrained_encoder
from mgm.files.lock import locked
from mgm.files.parquet import parquet_rows
from mgm.models import Classifier, Encoder
from mgm.show.mistakes import write_mistakes
from mgm.training import export_model, load_config
from mgm.training.results import read_results
from tests.errors import raises

SMALL = ("data.frames=4", "data.size=32", "data.workers=0", "data.memory=false", "probe.temporal_views=2")


@pytest.fixture(scope="module")
def config():
    return load_config("debug", ["model.size=debug", *SMALL])


@pytest.fixture(scope="module")
def classifier(config, videos):
    torch.manual_seed(0)
    encoder = untrained_encoder(config)
    return Classifier(encoder, len(videos.classes), head_scale=100, labels=videos.classes)


@pytest.fixture
def run(classifier, tmp_path):
    return export_model(classifier, to="safetensors", out=tmp_path / "run")


def evaluated(run, videos, **options):
    return evaluate(run, videos, overrides=SMALL, recipe="debug", **options)


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "costs.jsonl"}


def test_the_result_and_the_predictions_agree(run, videos):
    found = evaluated(run, videos)
    (written,) = read_results(run / "evaluation.json")
    assert written == found.result
    top1 = written.metric("top-1")
    judged = read_predictions(run / written.details["predictions"])
    assert top1.value == judged.hits.mean()
    np.testing.assert_array_equal(judged.probability, found.predictions.probability)
    with (found.folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["video"] for row in rows] == list(judged.names)
    assert np.mean([row["correct"] == "true" for row in rows]) == top1.value
    assert np.mean([int(row["rank of class"]) <= 5 for row in rows]) == written.metric("top-5").value
    for row, other in zip(rows, parquet_rows(found.folder / "predictions.parquet"), strict=True):
        assert (row["video"], row["predicted"]) == (other["video"], other["predicted"])
        assert float(row["probability of class"]) == other["probability of class"]
    per_class = written.details["per class"]
    assert sum(each["videos"] for each in per_class) == 16
    assert np.mean([each["top-1"] for each in per_class]) == pytest.approx(written.metric("mean class accuracy").value)
    confusion = np.loadtxt(found.folder / "confusion.csv", delimiter=",", skiprows=1, usecols=range(1, 9))
    assert np.diag(confusion).sum() == top1.value * 16
    assert written.cost["clips"] == sum(int(row["views"]) for row in rows)


def test_the_page_shows_the_videos_that_are_wrong(run, videos):
    found = evaluated(run, videos)
    page = write_mistakes(found, 3).read_text()
    of_class = found.judged.probability[np.arange(16), found.judged.label]
    order = [i for i in np.argsort(of_class) if not found.judged.hits[i]]
    assert found.judged.names[order[0]] in page
    assert page.count("taken for") == min(3, len(order))
    right = replace(found, judged=replace(found.judged, label=found.judged.probability.argmax(1)))
    assert write_mistakes(right, 3) is None


def test_names_do_not_depend_on_which_videos_can_be_read(run, videos, tmp_path):
    """The only video of another folder is damaged."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    good = [replace(videos.test[0], path=str(shutil.copy(videos.test[0].path, tmp_path / "deep" / "er" / "a.mp4")))]
    (tmp_path / "b.mp4").write_bytes(b"no video")
    damaged = replace(good[0], path=str(tmp_path / "b.mp4"))
    found = evaluated(run, replace(videos, test=(damaged, *good)))
    assert found.judged.names == ("deep/er/a.mp4",)
    assert found.result.videos.incomplete == "incomplete (1 of 2)"


class Killed(BaseException):
    pass


def test_a_stopped_evaluation_continues_to_the_same_files(run, videos, monkeypatch, tmp_path):
    """Groups of three videos, of which the first two are finished."""
    monkeypatch.setattr(views, "_VIDEOS_AT_ONCE", 3)
    whole = shutil.copytree(run, tmp_path / "whole" / "run")
    evaluated(whole, videos)
    seen = []
    outputs = views._outputs_of_group

    def stops(forward, group, *rest):
        if len(seen) == 6:
            raise Killed
        seen.extend(index for index, _ in group)
        return outputs(forward, group, *rest)

    monkeypatch.setattr(views, "_outputs_of_group", stops)
    with pytest.raises(Killed):
        evaluated(run, videos)
    assert not (run / "evaluation.json").exists()
    (journal,) = (run / "predictions").rglob("rank0.jsonl")
    with journal.open("ab") as file:
        file.write(b'{"group": 2, "vid')  # killed while it wrote
    monkeypatch.setattr(views, "_outputs_of_group", lambda *all: seen.extend(i for i, _ in all[1]) or outputs(*all))
    evaluated(run, videos)
    assert sorted(seen) == list(range(16)), "each video once"
    assert files_of(run) == files_of(whole)


def test_another_number_of_processes_may_continue(run, videos, monkeypatch, tmp_path):
    monkeypatch.setattr(views, "_VIDEOS_AT_ONCE", 3)
    whole = shutil.copytree(run, tmp_path / "whole" / "run")
    evaluated(whole, videos)
    finished = multi_view.write_predictions
    monkeypatch.setattr(multi_view, "write_predictions", lambda *_: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        evaluated(run, videos)
    (journal,) = (run / "predictions").rglob("rank0.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:1]))
    journal.with_name("rank1.jsonl").write_text("".join(lines[2:4]))  # what a second process had finished
    monkeypatch.setattr(multi_view, "write_predictions", finished)
    evaluated(run, videos)
    assert files_of(run) == files_of(whole)


def test_the_journal_of_other_weights_is_not_used(run, classifier, config, videos, monkeypatch, tmp_path):
    monkeypatch.setattr(views, "_VIDEOS_AT_ONCE", 3)
    finished = multi_view.write_predictions
    monkeypatch.setattr(multi_view, "write_predictions", lambda *_: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        evaluated(run, videos)
    monkeypatch.setattr(multi_view, "write_predictions", finished)
    other = Classifier(classifier.encoder, len(videos.classes), head_scale=50, labels=videos.classes)
    changed = export_model(other, to="safetensors", out=tmp_path / "changed")
    shutil.copytree(run / "predictions", changed / "predictions")
    expected = evaluate_classifier(other.eval(), videos, config, FileSource()).probability
    np.testing.assert_array_equal(evaluated(changed, videos).predictions.probability, expected)


def test_a_second_evaluation_at_the_same_time_is_refused(run, videos):
    found = evaluated(run, videos)
    with locked(found.folder, replaces=True), raises(FileError, "locked", subject=found.folder):
        evaluated(run, videos)


def test_results_on_two_sets_and_with_other_views_are_kept(run, videos):
    evaluated(run, videos)
    evaluated(run, replace(videos, root="other", test=videos.test[:8]))
    evaluate(run, videos, overrides=(*SMALL[:-1], "probe.temporal_views=1"), recipe="debug")
    results = read_results(run / "evaluation.json")
    kept = [(result.set.name, result.protocol["temporal views"], result.metric("top-1").count) for result in results]
    assert kept == [("set", 1, 16), ("other", 2, 8), ("set", 2, 16)]
    assert len({result.details["predictions"] for result in results}) == 3
    for result in results:
        assert len(read_predictions(run / result.details["predictions"]).names) == result.metric("top-1").count


def test_videos_of_one_base_name_do_not_collide(run, videos, tmp_path):
    """Two folders, both with a.mp4, and one part of a video twice."""
    items = []
    for folder, item in zip(("x", "y"), videos.test, strict=False):
        (tmp_path / folder).mkdir()
        items.append(replace(item, path=str(shutil.copy(item.path, tmp_path / folder / "a.mp4"))))
    items += [replace(items[0], start=0, end=4), replace(items[0], start=4, end=8), replace(items[0], start=4, end=8)]
    found = evaluated(run, replace(videos, test=tuple(items)))
    assert found.judged.names == ("x/a.mp4", "y/a.mp4", "x/a.mp4[0:4]", "x/a.mp4[4:8]", "x/a.mp4[4:8]#2")
    first = evaluated(run, replace(videos, test=videos.test[:2]))
    np.testing.assert_array_equal(found.predictions.probability[:2], first.predictions.probability)
    assert found.judged.names == video_names(items)


def test_a_missing_and_an_unreadable_video_make_a_result_incomplete(run, tiny_set, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(tiny_set / "test", root)
    names = sorted(path.relative_to(root) for path in root.rglob("*.mp4"))
    classes = sorted({name.parent.name for name in names})
    lines = [f"{name} {classes.index(name.parent.name)}" for name in names]
    (tmp_path / "test.txt").write_text("\n".join(lines))
    (tmp_path / "names.txt").write_text("\n".join(classes))
    (root / names[3]).unlink()
    (root / names[5]).write_bytes(b"not a video")
    set_ = load_set(f"test={tmp_path}/test.txt,root={root},classes={tmp_path}/names.txt")
    result = evaluated(run, set_).result
    assert result.videos.incomplete == "incomplete (14 of 16)"
    assert result.metric("top-1").count == 14
    assert result.videos.missing == (str(names[3]),)
    assert list(result.videos.unreadable) == [str(root / names[5])]


def test_groups_widen_the_intervals_and_are_written(run, videos):
    found = evaluated(run, videos, groups=r"/([a-z_]+)/[^/]*$")
    top1 = found.result.metric("top-1")
    assert [interval.method for interval in top1.intervals] == ["bootstrap over 8 groups"]
    assert set(found.judged.group) == {Path(item.path).parent.name for item in videos.test}
    assert read_predictions(found.folder).group == found.judged.group
    with raises(DataError, "missing_value", subject="(camera)"):
        evaluated(run, videos, groups="(camera)")


def test_a_last_group_of_one_video_is_judged_as_alone(run, videos, monkeypatch):
    whole = evaluated(run, videos).predictions.probability
    monkeypatch.setattr(views, "_VIDEOS_AT_ONCE", 5)
    monkeypatch.setattr(views, "_CLIPS_AT_ONCE", 3)
    np.testing.assert_allclose(evaluated(run, videos).predictions.probability, whole, rtol=1e-5)


def test_transformers_answers_the_same(videos, config, tmp_path):
    """Logits of every view from transformers' own model, their softmax averaged by hand."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    spec = replace(config.model_spec(), position="sincos-1d")
    model = Classifier(Encoder(spec), len(videos.classes), head_scale=100, labels=videos.classes).eval()
    folder = export_model(model, to="hf", out=tmp_path / "hf")
    peer = transformers.VideoMAEForVideoClassification.from_pretrained(folder).eval()
    some = replace(videos, test=videos.test[:3])
    found = evaluated(folder, some)
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    settings = config.clip_settings(motion=False)
    views_of = views.ViewSet(some.test, FileSource(), settings, temporal=2, spatial=3, sampler=config.sampler("dense"))
    for row, read in zip(found.predictions.probability, views_of, strict=True):
        clips = ((read.video.float() / 255 - mean) / deviation).transpose(1, 2)
        with torch.no_grad():
            logits = peer(pixel_values=clips).logits
        np.testing.assert_allclose(row, logits.softmax(-1).double().mean(0), rtol=1e-3, atol=1e-5)


def test_five_classes_have_no_top_5():
    answers = Predictions(np.full((2, 5), 0.2), np.array([0, 1]))
    names = [metric.name for metric in evaluation_metrics(answers)]
    assert names == ["top-1", "mean class accuracy", "log loss", "calibration error"]


def test_items_without_a_folder_have_names():
    assert video_names([VideoItem("a.mp4"), VideoItem("b\udce9.mp4")]) == ("a.mp4", "b\\udce9.mp4")
