"""YAML is read strictly, and written so that it reads back unchanged."""

import pytest

from mgm.files.yaml_text import read_yaml, read_yaml_file, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-2.5", -2.5),
        (".5", 0.5),
        (".inf", float("inf")),
        ("12", 12),
        ("010", "010"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("true", True),
        ("null", None),
        ("a: [1, b]", {"a": [1, "b"]}),
    ],
)
def test_values_are_read_as_written(text, value):
    found = read_yaml(text)
    assert found == value
    assert type(found) is type(value)
    assert read_yaml(write_yaml(found)) == found


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: [1", "a:\n\t- 1", "[" * 5000])
def test_text_that_is_not_valid_is_one_line(text):
    with pytest.raises(ValueError) as caught:  # the words are the parser's
        read_yaml(text)
    assert "\n" not in str(caught.value)


def test_an_anchor_may_be_merged_and_overridden():
    assert read_yaml("base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}")["mine"] == {"x": 1, "y": 3}


def test_files_of_another_kind(tmp_path):
    path = tmp_path / "set.yaml"
    for content in (b"x" * (2**20 + 1), b"caf\xe9: 1"):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            read_yaml_file(path)
