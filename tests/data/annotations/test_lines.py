"""Lines of a text are those of a split of all of it."""

import random

import pytest

from mgm.data.annotations import lines
from mgm.data.annotations.lines import Lines


@pytest.mark.parametrize("block", [1, 7, 2**16])
def test_lines_with_their_numbers(monkeypatch, block):
    monkeypatch.setattr(lines, "_BLOCK", block)
    rng = random.Random(0)
    for _ in range(100):
        text = "".join(rng.choices(["\n", "\r\n", " ", "\t", "a", "bc", "\u2028", "d e"], k=rng.randrange(30)))
        every = [(number, line.strip(" \t\r")) for number, line in enumerate(text.split("\n"), 1)]
        expected = [(number, line) for number, line in every if line]
        found = Lines(text)
        assert list(found) == expected
        assert len(found) == len(expected)
        assert found[::2] == expected[::2]
        assert found[1:] == expected[1:]
        assert [found[number] for number in range(len(found))] == expected


def test_an_index_beyond_the_lines():
    with pytest.raises(IndexError):
        Lines("a\nb")[2]
