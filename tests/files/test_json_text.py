"""JSON of others: every failure is a ValueError."""

import json

import pytest

from mgm.files.json_text import read_json


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": ' * 100_000, "1" * 5000, f'{{"label": -{"9" * 5000}}}'])
def test_text_that_is_not_json_or_too_large_for_it(text):
    with pytest.raises(json.JSONDecodeError) as caught:
        read_json(text)
    assert caught.value.lineno == 1
    with pytest.raises(ValueError, match=r"."):
        read_json(text.encode())


def test_values():
    assert read_json('{"a": [1, 2.5, null, "x"]}') == {"a": [1, 2.5, None, "x"]}
    with pytest.raises(UnicodeDecodeError):
        read_json(b'"\xe9"')
