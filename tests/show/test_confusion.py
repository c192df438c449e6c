"""The classes that a classifier confuses: counts and pairs from the predictions of an evaluation."""

import numpy as np

from mgm.show.confusion import MOST_CLASSES, MOST_PAIRS, confused_pairs, confusion_section
from mgm.show.report.elements import Matrix, PageSection, Text
from mgm.show.report.report import Report, render_report
from mgm.training.results import Metric, Result, SetRecord, VideosRecord, keep_result
from tests.show.report.test_report import _EVIL, _check


def evaluated(folder, pairs, classes):
    """The folder of a run whose evaluation gave (class, answer) for each video."""
    label = np.array([true for true, _ in pairs])
    probability = np.full((len(pairs), len(classes)), 0.01)
    probability[np.arange(len(pairs)), [answer for _, answer in pairs]] = 0.9
    place = folder / "predictions" / "set"
    place.mkdir(parents=True)
    names = np.array([f"{i}.mp4" for i in range(len(pairs))])
    np.savez(place / "predictions.npz", names=names, classes=np.array(classes), probability=probability, label=label)
    about = SetRecord(name="a set", train=1, test=len(pairs), classes=len(classes), split="", checksum="x")
    videos = VideosRecord(expected=len(pairs), judged=len(pairs))
    metric = Metric(name="top-1", value=0.5, count=len(pairs))
    details = {"classes": list(classes), "predictions": "predictions/set"}
    keep_result(
        folder / "evaluation.json",
        Result(kind="evaluation", set=about, videos=videos, metrics=(metric,), details=details),
    )
    return folder


def test_few_classes_are_a_matrix_and_pairs(tmp_path):
    pairs = [(0, 0)] * 5 + [(0, 1)] * 3 + [(1, 1)] * 4 + [(2, 1)] * 2
    section = confusion_section({"a": evaluated(tmp_path, pairs, ("left", "right", "up"))})
    matrix, table = section.parts
    assert matrix == Matrix(
        ("left", "right", "up"),
        ((5, 3, 0), (0, 4, 0), (0, 2, 0)),
        (8, 4, 2),
        caption="on a set: 14 videos of 3 classes",
    )
    assert table.rows == (("left", "right", "3 of 8", "38%"), ("up", "right", "2 of 2", "100%"))
    html = render_report(Report("T", "S", sections=(section,)))
    _check(html)
    assert '<td class="right" style="--share:0.625">5</td><td class="wrong" style="--share:0.375">3</td>' in html


def test_of_many_classes_the_most_confused_are_shown(tmp_path):
    classes = [f"class {i}" for i in range(100)]
    pairs = [(i, i) for i in range(100)] + [(i, i + 1) for i in range(0, 60, 3) for _ in range(1 + (60 - i) // 3)]
    matrix, table = confusion_section({"a": evaluated(tmp_path, pairs, classes)}).parts
    assert len(table.rows) == MOST_PAIRS
    assert table.rows[0] == ("class 0", "class 1", "21 of 22", "95%")
    assert len(matrix.names) == MOST_CLASSES
    assert matrix.names[:4] == ("class 0", "class 1", "class 3", "class 4")
    assert matrix.counts[0][:2] == (1, 21)
    assert "of 100" in matrix.caption


def test_the_larger_share_of_a_class_comes_first_among_equals():
    counts = np.array([[8, 2, 0], [0, 0, 2], [0, 0, 9]])
    assert confused_pairs(counts) == [(1, 2), (0, 1)]
    assert confused_pairs(np.diag([3, 0, 2])) == []


def test_no_mistake_is_said(tmp_path):
    assert confusion_section({"a": evaluated(tmp_path, [(0, 0), (1, 1)], "ab")}).parts[1] == Text(
        "on a set: no video is taken for another class."
    )


def test_runs_are_named_and_lost_predictions_are_said(tmp_path):
    folders = {name: evaluated(tmp_path / name, [(0, 1), (1, 1)], "ab") for name in ("x", "y")}
    (tmp_path / "y" / "predictions" / "set" / "predictions.npz").unlink()
    matrix, _, lost = confusion_section(folders).parts
    assert matrix.caption.startswith("x on a set")
    assert lost.text.startswith("y on a set: ")
    assert "is missing" in lost.text
    assert confusion_section({"z": tmp_path}) is None


def test_names_add_no_markup():
    matrix = Matrix((_EVIL, "b"), ((1, 2), (0, 3)), (3, 3), _EVIL)
    html = render_report(Report("T", "S", sections=(PageSection("s", (matrix,)),)))
    _check(html)
    assert "&lt;script&gt;" in html
