"""Records that are wrong are named by their line; one record is a list of one."""

import pytest

from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.table_formats import read_kinetics
from mgm.errors import DataError
from tests.errors import raises

GOOD = '{"youtube_id": "a", "time_start": 1, "time_end": 11, "label": "x"}'


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text(f"{GOOD}\n{GOOD}\n{{broken\n")
    with raises(DataError, "malformed", subject=path, message="annotations-not-json"):
        AnnotationFile(path)


def test_one_record_is_enough(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text(GOOD)
    assert [entry.name for entry in read_kinetics(AnnotationFile(path)).entries] == ["a_000001_000011"]


@pytest.mark.parametrize(
    "wrong", ['"time_start": 1', '"time_start": null, "time_end": 2', '"time_start": Infinity, "time_end": 2']
)
def test_a_record_without_its_times_is_named(tmp_path, wrong):
    path = tmp_path / "set.jsonl"
    path.write_text(f'{GOOD}\n{{"youtube_id": "b", {wrong}}}\n')
    with raises(DataError, "malformed", subject=path):
        read_kinetics(AnnotationFile(path))
