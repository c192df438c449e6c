"""Reads parquet, for which pyarrow is imported on first use."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mgm.errors import FileError
from mgm.files.regular import open_regular

ROWS_PER_GROUP = 2000


def import_parquet() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet.

    Raises:
        FileError: the package is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise FileError.missing_package("a table in parquet", "pyarrow", extra="parquet") from error
    return pyarrow, pyarrow.parquet


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Names of the columns.

    Raises:
        ValueError: not parquet. OSError: the file cannot be read. FileError: pyarrow is not installed.
    """
    with _opened(path) as file:
        return tuple(file.schema_arrow.names)


def parquet_rows(path: Path, columns: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows, values by column, in constant memory. Raises as `parquet_columns`.

    Args:
        columns: those that are read, if the file has them; None: all.
    """
    with _opened(path) as file:
        names = [name for name in file.schema_arrow.names if columns is None or name in columns]
        for batch in file.iter_batches(ROWS_PER_GROUP, columns=names):
            yield from batch.to_pylist()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    arrow, parquet = import_parquet()
    try:
        with open_regular(path) as raw, parquet.ParquetFile(raw) as file:
            yield file
    except (arrow.ArrowException, OverflowError) as error:  # a date that Python lacks
        raise ValueError(f"not readable as parquet ({error})") from error
