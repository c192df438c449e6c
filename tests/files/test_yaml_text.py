"""YAML is read strictly, and written so that it reads back unchanged."""

import pytest

from mgm.files.yaml_text import read_comments, read_yaml, read_yaml_file, write_yaml, yaml_value


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


@pytest.mark.parametrize(
    "text",
    [
        "!!int ''",
        "!!bool maybe",
        "!!timestamp x",
        "!!float ''",
        "!!binary ~",
        "a: !!set {b}",
        "!x y",
        "! 1",
        "&a !!omap [b: 1]",
    ],
)
def test_tags_are_errors(text):
    """PyYAML converts their values without a check: IndexError, KeyError, AttributeError."""
    with pytest.raises(ValueError, match=r"line 1, column \d+: found the tag"):
        read_yaml(text)


@pytest.mark.parametrize("text", ["&a [*a]", "x: &a {b: [*a]}", "&a [&b [*a]]"])
def test_a_value_within_itself_is_an_error(text):
    with pytest.raises(ValueError, match="contains itself"):
        read_yaml(text)


def test_aliases_of_aliases_do_not_grow_without_limit():
    lines = ["a0: &a0 [1, 2]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))]
    with pytest.raises(ValueError, match="at most 100,000 values"):
        read_yaml("\n".join(lines))
    merged = ["a0: &a0 {b: 1}", *(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 40))]
    with pytest.raises(ValueError, match="at most 100,000 values"):
        read_yaml("\n".join(merged))
    assert read_yaml("a: &a {b: 1}\nc: {<<: *a, d: 2}") == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "{a: " * 2000, "- " * 3000 + "x"])
def test_deep_nesting_is_an_error(text):
    with pytest.raises(ValueError, match="nested too deeply"):
        read_yaml(text)


def test_a_number_of_thousands_of_digits_is_text():
    assert read_yaml("9" * 5000) == "9" * 5000
    assert read_yaml(write_yaml({"a": "9" * 30})) == {"a": "9" * 30}


def test_comments_at_the_ends_of_lines():
    text = """# above
a: 1 # one
b: '# text' # two
c: # three
  d: [1, 2] # four
  e: # five
    f: {g: 1} # six
  h: word#no
i:
  - 1 # not of a key
j: 'two
  lines' # seven
"""
    found = {".".join(path): comment for path, comment in read_comments(text).items()}
    assert found == {"a": "one", "b": "two", "c": "three", "c.d": "four", "c.e": "five", "c.e.f": "six", "j": "seven"}
    assert read_comments("") == read_comments("[1] # list") == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.5, "0.5"),
        ("mgm", "mgm"),
        ("null", "'null'"),
        ([1, None], "[1, null]"),
        ({"motion": 1.0}, '{"motion": 1.0}'),
        ("a name of many words " * 9 + "and more", "a name of many words " * 9 + "and more"),
    ],
)
def test_a_value_on_one_line(value, text):
    assert yaml_value(value) == text
    assert read_yaml(text) == value
