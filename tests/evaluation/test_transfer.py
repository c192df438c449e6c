import csv
import shutil

import numpy as np
import pytest

import mgm
from mgm.data.items import VideoItem, VideoSet
from mgm.errors import DataError
from mgm.evaluation.prediction_blocks import Predictions
from mgm.evaluation.transfer import map_classes, number_classes, read_class_map, transfer_metrics
from mgm.training.results import read_results
from tests.errors import raises

CLASSES = ("climb", "dive", "golf", "walk")


def labelled(*classes):
    items = tuple(VideoItem(f"{name}.mp4", label) for label, name in enumerate(classes))
    return VideoSet("target", (), items, classes, "test=list.txt")


def labels(videos):
    return [item.label for item in videos.test]


def test_classes_of_the_target_by_name_number_and_map():
    assert labels(map_classes(labelled("walk", "dive"), CLASSES, {})) == [3, 1]
    assert labels(number_classes(labelled("a", "b", "c"), CLASSES)) == [0, 1, 2]
    mapped = map_classes(
        labelled("Diving", "GolfSwing", "Golf"), CLASSES, {"Diving": "dive", "GolfSwing": "golf", "Golf": "golf"}
    )
    assert labels(mapped) == [1, 2, 2]
    assert labels(map_classes(labelled("Diving", "walk"), CLASSES, {"Diving": "dive"})) == [1, 3]


def test_classes_that_do_not_fit():
    with raises(DataError, "mismatch", subject="target", message="transfer-class-without-a-row"):
        map_classes(labelled("walk", "swim"), CLASSES, {})
    with raises(DataError, "mismatch", message="transfer-too-many-classes"):
        number_classes(labelled(*"abcde"), CLASSES)
    with raises(DataError, "mismatch", message="transfer-map-of-another-set"):
        map_classes(labelled("walk"), CLASSES, {"Walking": "walk"})


def test_a_map_in_a_file(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text('target,source\nDiving,dive\n"Golf, Swing", golf\n')
    assert read_class_map(path) == {"Diving": "dive", "Golf, Swing": "golf"}
    path.write_text("Diving,dive,1\n")
    with raises(DataError, "malformed", message="transfer-map-columns"):
        read_class_map(path)
    path.write_bytes(b'\xff,"')
    with raises(DataError, "malformed", message="transfer-map-not-csv"):
        read_class_map(path)
    with raises(DataError, "not_found"):
        read_class_map(tmp_path / "absent.csv")


def test_the_figures_by_hand():
    """Five videos of classes 0 and 1, of four: one is given to class 2 and one to class 3, which the target lacks."""
    probability = np.array(
        [[0.7, 0.1, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1], [0.3, 0.1, 0.5, 0.1], [0.1, 0.2, 0.1, 0.6], [0.6, 0.2, 0.1, 0.1]]
    )
    found = Predictions(probability, np.array([0, 1, 0, 0, 1]))
    top1, lost, among = transfer_metrics(found, np.array([True, True, False, False]))
    assert (top1.name, top1.value, top1.count) == ("top-1", 2 / 5, 5)
    assert lost.value == 2 / 5
    assert among.value == 3 / 5  # the third one returns to class 0


def test_a_classifier_on_another_set(classifier_run, videos, tmp_path):
    """Half of the classes, under other names."""
    run = shutil.copytree(classifier_run, tmp_path / "run")
    kept = videos.classes[:3]
    names = {f"other {name}": name for name in kept}
    target = VideoSet(
        "target",
        (),
        tuple(item for item in videos.test if item.label < 3),
        tuple(names),
        "test videos of three classes",
    )
    with (tmp_path / "map.csv").open("w", newline="") as file:
        csv.writer(file).writerows(names.items())
    report = mgm.transfer(run, target, class_map=tmp_path / "map.csv")
    whole = mgm.evaluate(run, videos).predictions
    chosen = [i for i, item in enumerate(videos.test) if item.label < 3]
    np.testing.assert_allclose(report.predictions.probability, whole.probability[chosen], rtol=1e-5)
    answer = whole.probability[chosen].argmax(1)
    assert report.result.metric("top-1").value == np.mean(answer == report.predictions.label)
    assert report.result.metric("given to classes that the target lacks").value == np.mean(answer >= 3)
    assert sum(report.result.details["given to classes that the target lacks"].values()) == (answer >= 3).sum()
    (record,) = read_results(run / "transfer.json")
    assert (record.kind, record.set.classes, record.videos.expected) == ("transfer", 3, len(chosen))


@pytest.mark.real
@pytest.mark.parametrize(
    ("target", "count", "train", "source"),
    [("hmdb51_test_uh", 210, "ucf101_train_uh", 1324), ("ucf101_test_hu", 266, "hmdb51_train_hu", 980)],
)
def test_the_lists_of_patan(shared_data, tmp_path, tiny_set, target, count, train, source):
    """Fourteen classes of the source, the first seven of which the target has, under the same numbers."""
    video = next(tiny_set.rglob("*.mp4"))

    def listed(name, split):
        lines = (shared_data / "annotations" / "patan" / f"{name}.txt").read_text().splitlines()
        for line in lines:
            path = tmp_path / name / line.split("\t")[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(video)
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
        return mgm.load_set(f"{split}={tmp_path / name}.txt,root={tmp_path / name},format=index-label-path")

    trained, tested = listed(train, "train"), listed(target, "test")
    assert (len(trained.train), len(trained.classes), len(tested.test)) == (source, 14, count)
    moved = number_classes(tested, trained.classes)
    assert {item.label for item in moved.test} == set(range(7))
    folders = {item.label: item.path.split("/")[-2] for item in (*trained.train, *moved.test)}
    pairs = {0: ("climb", "shoot_bow"), 1: ("dive", "shoot_ball"), 6: ("pullup", "handstand")}  # HMDB51's names
    names = tested.classes if "hmdb" in target else trained.classes
    assert all(names[label] == pair["ucf" in target] for label, pair in pairs.items())
    assert len(folders) == 14
