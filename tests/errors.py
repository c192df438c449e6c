"""Assert errors by their type and reason; the words of those that users see are kept in one file, `messages.txt`.

    with raises(VideoError, "truncated", message="clip-truncated-mp4"):
        read_clip(path)

After a change of words: `pytest --update-messages` (one process), then read the diff of `messages.txt`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from mgm.errors import MgmError, Reason

MESSAGES = Path(__file__).with_name("messages.txt")
CHECKOUT = str(MESSAGES.parents[1])
"""Commands that install an extra name it."""
UPDATE = "MGM_UPDATE_MESSAGES"
_TEMPORARY = re.compile(r"/\S*?/pytest-of-[^/]+/pytest-\d+(?:/popen-gw\d+)?/[^/\s:;,]+")

ErrorType = TypeVar("ErrorType", bound=MgmError)


@contextmanager
def raises(
    kind: type[ErrorType], reason: Reason, *, message: str | None = None, subject: object = None
) -> Iterator[pytest.ExceptionInfo[ErrorType]]:
    """Assert that the block raises `kind` with `reason`.

    Args:
        message: key of the whole line in `messages.txt`, where the line is kept.
        subject: what the error must be about.
    """
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    assert error.reason == reason, f"reason {error.reason!r}, expected {reason!r}, of: {error}"
    if subject is not None:
        assert error.subject == str(subject)
    if message is not None:
        check_message(message, error)


def check_message(key: str, error: MgmError | str) -> None:
    """Compare an error's line with that of `messages.txt`, or write it there under `--update-messages`."""
    line = _TEMPORARY.sub("TMP", str(error)).replace("\n", "\\n").replace(CHECKOUT, "CHECKOUT")
    known = read_messages()
    if os.environ.get(UPDATE):
        known[key] = line
        text = "".join(f"{name} | {known[name]}\n" for name in sorted(known))
        MESSAGES.write_text(text, encoding="utf-8")
    else:
        assert key in known, f"{key} is missing in {MESSAGES.name}: run pytest --update-messages"
        assert line == known[key]


def read_messages() -> dict[str, str]:
    """Every line of `messages.txt` by its key."""
    if not MESSAGES.exists():
        return {}
    lines = MESSAGES.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" | ", 1) for line in lines if " | " in line)
