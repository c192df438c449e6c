import csv
import io
import json
from pathlib import Path

import pytest

from mgm.errors import FileError
from mgm.files.parquet import parquet_rows
from mgm.files.table import check_table_suffix, write_table
from tests.errors import raises

COLUMNS = {"name": str, "good": bool, "count": int, "share": float}
ROWS = [
    {"name": 'a "quoted", name', "good": True, "count": 2, "share": 0.5},
    {"name": "b", "good": None, "count": None, "share": None},
]


def written(suffix):
    file = io.BytesIO()
    write_table(file, suffix, COLUMNS, iter(ROWS))
    return file.getvalue()


def test_json_lines():
    assert [json.loads(line) for line in written(".jsonl").splitlines()] == ROWS


def test_csv():
    first, second = csv.DictReader(io.StringIO(written(".csv").decode()))
    assert first == {"name": 'a "quoted", name', "good": "true", "count": "2", "share": "0.5"}
    assert set(second.values()) == {"b", ""}


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "table.parquet"
    path.write_bytes(written(".parquet"))
    assert list(parquet_rows(path)) == ROWS


def test_another_suffix():
    with raises(FileError, "unsupported", subject="table.xlsx"):
        check_table_suffix(Path("table.xlsx"))
