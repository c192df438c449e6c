import pytest

from mgm.errors import ConfigError
from mgm.evaluation.paper import FIGURES
from mgm.evaluation.paper_table import COLUMNS, SMALL_SCALE, asked_table, paper_rows, shown_columns


def test_a_table_is_asked_for_by_its_number():
    assert [asked_table(text) for text in ("Table 4", "table 4e", " TABLE 2a ")] == ["4", "4e", "2a"]
    assert asked_table("VideoMAE, 800 epochs") is None


def test_a_table_and_its_parts():
    whole, part = paper_rows("4"), paper_rows("4e")
    assert {row.paper.table for row in whole} == {"4a", "4b", "4c", "4d", "4e"}
    assert [row.paper for row in part] == [figure for figure in FIGURES if figure.table == "4e"]
    assert part[0].cells()[:5] == ("4e", "random block, 200 epochs", "ssv2", "fine-tuned", "62.9%")


def test_small_scale_stands_beside_table_4_alone():
    beside = {row.paper.method: row.here for row in paper_rows("4") if row.here is not None}
    assert set(beside) == {f"{method}, 200 epochs" for method in SMALL_SCALE}
    assert shown_columns(paper_rows("4")) == COLUMNS
    assert not any(row.here for row in paper_rows("1"))
    assert shown_columns(paper_rows("1"))[-1] == "the paper"


def test_a_table_that_the_paper_does_not_have():
    with pytest.raises(ConfigError, match="found Table 5, expected Table 1, 2a"):
        paper_rows("5")
