"""Results beside the paper's figures, and when they are not comparable."""

import csv
from dataclasses import replace

import pytest

from mgm.data.items import VideoItem, VideoSet
from mgm.errors import FileError
from mgm.evaluation.paper import FIGURES, SETS, differences, figures_beside, paper_set
from mgm.evaluation.result_table import COLUMNS, ResultRow, find_results, format_table, result_rows
from mgm.training.folder import RECIPE_FILE
from mgm.training.results import ModelRecord, describe_set, describe_videos, keep_result
from tests.errors import raises
from tests.results import result_of

PROTOCOL = {"temporal views": 2, "spatial views": 3, "frames": 16, "size": 224}
ONE = VideoSet("/data/ssv2_val.csv", (), (VideoItem("a.mp4", 0),), tuple(map(str, range(174))), "")


def ssv2(value=0.71, *, judged=24777, **protocol):
    """A result on as many videos as Something-Something has."""
    counted = describe_videos(ONE, judged=1, unreadable={}).model_copy(update={"expected": 24777, "judged": judged})
    given = {"low": value - 0.006, "high": value + 0.006, "videos": counted}
    return result_of(ONE, value, protocol=PROTOCOL | protocol, **given)


def row_of(result, tmp_path, method="MGM, 800"):
    keep_result(tmp_path / "evaluation.json", result)
    (row,) = result_rows([tmp_path / "evaluation.json"], method=method)
    return row


@pytest.mark.parametrize(("value", "words"), [(0.71, "+0.4, within noise"), (0.72, "+1.4, gain"), (0.69, "-1.6, loss")])
def test_a_difference_to_the_paper_has_the_words_of_every_other(value, words, tmp_path):
    row = row_of(ssv2(value), tmp_path)
    assert row.paper.value == 0.706
    assert row.difference == words


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"temporal views": 5}, "5x3 views, theirs 2x3"),
        ({"frames": 8, "size": 112}, "clips of 8 x 112 px, theirs 16 x 224"),
        ({"judged": 24000}, "incomplete (24,000 of 24,777)"),
    ],
)
def test_another_protocol_is_not_compared(changes, reason, tmp_path):
    row = row_of(ssv2(**changes), tmp_path)
    assert row.reasons == (reason,)
    assert row.difference == f"not comparable: {reason}"


def test_a_part_of_the_set_is_not_the_set(tmp_path):
    result = result_of(ONE, 0.7, protocol=PROTOCOL)
    (figure,) = figures_beside(result, result.metrics[0], "VideoMAE, 800")
    assert differences(result, figure) == ("1 test videos, theirs 24,777",)


def test_sets_are_known_by_name_or_by_size():
    assert paper_set(ssv2()) == "ssv2"
    unnamed = replace(ONE, root="/data/val.csv")
    assert paper_set(result_of(unnamed, 0.5)) is None
    counted = describe_videos(unnamed, judged=1, unreadable={}).model_copy(update={"expected": 24777})
    assert paper_set(result_of(unnamed, 0.5, videos=counted)) == "ssv2"
    own = replace(ONE, root="/data/mine")
    mine = result_of(own, 0.5)
    assert figures_beside(mine, mine.metrics[0], "") == []


def test_a_transfer_to_a_list_of_hmdb51_is_beside_hmdb7():
    seven = VideoSet("hmdb51_test_uh.txt,hmdb51/", (), ONE.test, tuple("abcdefg"), "")
    counted = describe_videos(seven, judged=1, unreadable={}).model_copy(update={"expected": 210, "judged": 210})
    protocol = PROTOCOL | {"temporal views": 5}
    result = result_of(seven, 0.6, kind="transfer", videos=counted, protocol=protocol)
    (figure,) = figures_beside(result, result.metrics[0], "MGM, 800")
    assert (figure.value, differences(result, figure)) == (0.576, ())


def test_a_saliency_score_is_beside_the_papers_but_not_compared():
    result = result_of(ONE, 1.6, kind="saliency", name="r_bbox / r_non_bbox")
    (figure,) = figures_beside(result, result.metrics[0], "MGM")
    assert figure.value == 1.47
    assert differences(result, figure) == ("the paper does not name its boxes and videos",)


def test_a_linear_probe_is_beside_the_papers_and_others_are_not():
    few = replace(ONE, root="/data/ucf101", classes=tuple(map(str, range(101))))
    linear, other = (result_of(few, 0.7, kind="probe", name=f"{name} top-1") for name in ("linear-sgd probe", "20-NN"))
    assert [f.value for f in figures_beside(linear, linear.metrics[0], "MGM")] == [0.775, 0.691]
    assert figures_beside(other, other.metrics[0], "MGM") == []


def test_the_figures_are_those_of_the_paper():
    """Gains that its text states."""
    value = {(f.table, f.method, f.on): f.value for f in FIGURES}
    assert len(value) == len(FIGURES)
    assert {f.on for f in FIGURES} == set(SETS)
    for on, gain in (("ucf101", 0.9), ("hmdb51", 1.1), ("diving48", 4.9)):
        ours, theirs = value["2a", "MGM, 800 epochs on K400", on], value["2a", "VideoMAE, 800 epochs on K400", on]
        assert ours - theirs == pytest.approx(gain / 100)
    for on, gain in (("ucf101", 7.0), ("hmdb51", 3.8), ("diving48", 4.2)):
        ours, theirs = value["2c", "MGM, 800 epochs on K400", on], value["2c", "VideoMAE, 800 epochs on K400", on]
        assert ours - theirs == pytest.approx(gain / 100)
    assert value["3", "MGM, 800 epochs on K400", "hmdb7"] == 0.576
    assert value["1", "MGM, 2400 epochs", "ssv2"] == 0.721


def test_every_figure_of_a_result_on_request(tmp_path):
    result = ssv2()
    more = result.model_copy(update={"metrics": (*result.metrics, result.metrics[0].model_copy(update={"name": "x"}))})
    keep_result(tmp_path / "evaluation.json", more)
    names = [row.metric.name for row in result_rows([tmp_path / "evaluation.json"], every_metric=True)]
    assert names == ["top-1", "x"]


def test_formats(tmp_path, videos):
    keep_result(tmp_path / "run" / "evaluation.json", ssv2())
    keep_result(tmp_path / "run" / "probe.json", result_of(videos, 0.5, kind="probe", name="linear probe top-1"))
    (tmp_path / "run" / "other.json").write_text("{}")
    found = result_rows(find_results([tmp_path]))
    assert len(found) == 2
    rows = [row.cells() for row in found]
    read = list(csv.reader(format_table(COLUMNS, rows, "csv").splitlines()))
    assert tuple(read[0]) == COLUMNS
    assert [row[3] for row in read[1:]] == ["71.0%", "50.0%"]
    lines = format_table(COLUMNS, rows, "markdown").splitlines()
    assert len({line.count(" | ") for line in lines}) == 1
    latex = format_table(COLUMNS, rows, "latex")
    assert r"71.0\%" in latex
    assert r"ssv2\_val.csv" in latex
    assert latex.count(r"\\") == 3
    assert describe_set(ONE).name in lines[2]
    assert found[0].to_dict()["paper"]["value"] == 0.706


def test_a_checkpoint_has_the_name_of_its_run(tmp_path):
    run = tmp_path / "a"
    run.mkdir()
    result = ssv2().model_copy(update={"model": ModelRecord.model_construct(name="step-00000500")})
    row = ResultRow(run / "step-00000500.evaluation.json", result, result.metrics[0])
    assert row.run == "step-00000500"  # weights of another project
    (run / RECIPE_FILE).touch()
    assert row.run == row.cells()[0] == "a/step-00000500"
    assert replace(row, file=run / "evaluation.json").run == "step-00000500"


def test_no_results(tmp_path):
    with raises(FileError, "not_found", subject=tmp_path / "x", message="results-no-place"):
        find_results([tmp_path / "x"])
    with raises(FileError, "not_found", subject=tmp_path, message="results-none"):
        find_results([tmp_path])
