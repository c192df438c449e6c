"""Reads JSON that others have written: every text that is not JSON is a ValueError. Writes JSON as a file."""

from __future__ import annotations

import json
from typing import Any


def read_json(text: str | bytes) -> Any:
    """Parse JSON into dictionaries, lists, text, numbers, booleans and None.

    Raises:
        json.JSONDecodeError: not valid JSON, nested too deeply, or a number of thousands of digits.
        UnicodeDecodeError: the bytes are not text.
    """
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error
    except ValueError as error:  # Python's limit on the digits of an integer
        raise json.JSONDecodeError("a number of thousands of digits", "", 0) from error


def json_document(content: object) -> bytes:
    """The content of a JSON file that people read too: indented, in ASCII, with a line break at its end."""
    return f"{json.dumps(content, indent=2)}\n".encode()
