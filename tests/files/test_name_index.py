"""An index of names finds every row that has a name."""

import tracemalloc

import pytest

from mgm.files.name_index import NameIndex

NAMES = ["b", "a", "c", "a", "", "b", "a"]


class Alike(str):
    """A name whose hash is that of every other one."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 7


@pytest.mark.parametrize("kind", [str, Alike])
def test_rows_of_names(kind: type[str]):
    names = list(map(kind, NAMES))
    index = NameIndex((name, row) for row, name in enumerate(names))
    for name in {*NAMES, "d"}:
        found = [row for row in index.rows(kind(name)) if names[row] == name]
        assert found == [row for row, other in enumerate(names) if other == name]
    assert sorted(index.repeats(names.__getitem__)) == [3, 5, 6]
    assert list(NameIndex([]).rows("a")) == []


def test_a_row_of_several_names_is_found_once():
    index = NameIndex([(Alike("a"), 0), (Alike("b"), 0), (Alike("a"), 2)])
    assert list(index.rows(Alike("a"))) == [0, 2]


def test_rows_of_different_names_are_no_repeats():
    names = list(map(Alike, "abc"))
    assert list(NameIndex((name, row) for row, name in enumerate(names)).repeats(names.__getitem__)) == []


def test_many_repeats():
    """More than are compared at a time."""
    names = [f"{number % 70_000}" for number in range(140_000)]
    found = NameIndex((name, row) for row, name in enumerate(names)).repeats(names.__getitem__)
    assert sorted(found) == list(range(70_000, 140_000))


def test_memory_of_a_name():
    """8 bytes and what an array has in reserve, also while it is sorted."""
    names = [f"{number}" for number in range(50_000)]
    tracemalloc.start()
    index = NameIndex((name, row) for row, name in enumerate(names))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 8 <= peak / len(names) < 12
    assert list(index.rows("7")) == [7]
