import pytest

from mgm.data.groups import read_groups
from mgm.data.items import VideoItem
from mgm.errors import DataError
from tests.errors import raises

ITEMS = [VideoItem("/data/fight/g001_a.mp4"), VideoItem("/data/calm/g001_b.mp4"), VideoItem("/data/calm/g002_c.mp4")]


def test_an_expression_takes_the_group_from_the_path():
    assert read_groups(r"/(g[0-9]+)_", ITEMS) == ("g001", "g001", "g002")


def test_a_table_names_videos_by_the_end_of_their_path(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("path,class,camera\nfight/g001_a.mp4,x,north\ng001_b.mp4,x,south\ndata/calm/g002_c.mp4,x,south\n")
    assert read_groups(f"{table}:camera", ITEMS) == ("north", "south", "south")
    table.write_text("video,group\ng001_a.mp4,1\ng001_b.mp4,1\ng002_c.mp4,2\n")
    assert read_groups(str(table), ITEMS) == ("1", "1", "2")


def test_of_two_files_with_one_name_each_has_its_own_group(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("video,group\na/x.mp4,1\nb/x.mp4,2\n")
    items = [VideoItem("/r/b/x.mp4"), VideoItem("/r/a/x.mp4")]
    assert read_groups(str(table), items) == ("2", "1")


def test_a_name_in_quotes_may_contain_ends_of_lines(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_bytes('video,group\r\ng001_a.mp4,"north\ngate"\r\ng001_b.mp4,a\u2028b\r\ng002_c.mp4,2\r\n'.encode())
    assert read_groups(str(table), ITEMS) == ("north\ngate", "a\u2028b", "2")


@pytest.mark.parametrize(
    ("spec", "reason"), [("(", "malformed"), ("g[0-9]+", "malformed"), ("(nothing)", "missing_value")]
)
def test_wrong_expressions(spec, reason):
    with raises(DataError, reason, subject=spec, message=f"groups-{spec}"):
        read_groups(spec, ITEMS)


def test_wrong_tables(tmp_path):
    table = tmp_path / "groups.csv"
    with raises(DataError, "not_found", subject=table, message="groups-no-such-file"):
        read_groups(str(table), ITEMS)
    table.write_text("video,camera\ng001_a.mp4,1\n")
    with raises(DataError, "missing_value", subject=table, message="groups-column"):
        read_groups(str(table), ITEMS)
    with raises(DataError, "missing_value", subject=f"{table}:camera"):
        read_groups(f"{table}:camera", ITEMS)
