"""An index of names finds every row that has a name."""

from mgm.files.name_index import NameIndex


def test_rows_of_names():
    names = ["b", "a", "c", "a", ""]
    index = NameIndex((name, row) for row, name in enumerate(names))
    for name in {*names, "d"}:
        found = [row for row in index.rows(name) if names[row] == name]
        assert found == [row for row, other in enumerate(names) if other == name]
    assert index.repeats
    assert not NameIndex([("a", 0), ("b", 0)]).repeats
    assert list(NameIndex([]).rows("a")) == []
