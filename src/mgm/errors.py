"""Errors that a user can act on.

    MgmError            base class; the command line prints its line instead of a traceback
    +-- VideoError      a video cannot be read as requested
    +-- MaskError       a mask cannot be drawn as requested
    +-- ConfigError     a recipe, an override or a run's settings are wrong
    +-- DataError       a set of videos or its annotations cannot be used
    +-- ModelError      a model received input that it cannot use, or a checkpoint does not fit
    +-- FileError       a file other than a video cannot be read, written or locked

Every error has a `reason` to branch on and four parts for people, from which its line is composed here and nowhere else:
`subject: found, expected expected; advice`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from mgm.lazy import install_command
from mgm.printable import printable

Reason = Literal[
    # a video
    "empty",  # 0 bytes
    "truncated",  # ends too early
    "damaged",  # its stream is broken
    "not_video",  # another kind of file
    "no_video_stream",  # only sound or cover art
    "no_vectors",  # its codec exports no motion vectors
    "intra_only",  # its codec exports vectors, but no frame has any
    "interlaced",  # H.264 in fields
    "single_frame",  # nothing to compare it with
    "crashed",  # the process that read it died, or had no memory for it
    # a file or another resource
    "not_found",
    "unreadable",  # cannot be opened, listed or fetched
    "malformed",  # its content does not follow its format
    "exists",  # would be replaced
    "cannot_write",
    "locked",  # in use by another process
    "missing_package",
    # a value or a combination of values
    "unknown_name",  # none of the known names
    "invalid_type",
    "invalid_value",  # out of range, of the wrong form, not finite
    "invalid_shape",
    "missing_value",  # required and not given
    "mismatch",  # two things that must agree do not
    "conflict",  # options that exclude each other
    "unsupported",  # valid, but not possible here
    # a run
    "timed_out",
    "too_many_failures",
    "diverged",  # the loss or a weight is not finite
    "other",  # only the line is known
]

WHOLE_PATH = "write the whole path: a shell expands ~, mgm does not"
"""Added to the advice about a path that begins with ~ and does not exist. Paths are as pathlib has them."""


class MgmError(Exception):
    """Base of all errors that a user can act on.

    Attributes:
        subject: the file, key, argument or mask that the error is about; "" if there is none.
        found: what was found.
        expected: what was expected; "" where `found` makes it plain.
        advice: what to do.
        reason: the kind of failure, for programs to branch on. The words of the other attributes may change at any time.
        at: seconds on the stream's clock at which a video is damaged; None elsewhere.
    """

    _kept: ClassVar[str] = ""

    # The defaults are for torch, which rebuilds an error of a loader's worker from its line alone. Every error that mgm raises
    # has a finding and a reason; tests/test_errors.py checks it.
    def __init__(
        self,
        subject: object,
        found: str = "",
        expected: str = "",
        advice: str = "",
        *,
        reason: Reason = "other",
        at: float | None = None,
    ) -> None:
        self.subject = str(subject)
        self.found = found
        self.expected = expected
        self.advice = advice
        self.reason: Reason = reason
        self.at = at
        super().__init__(self.line)

    @classmethod
    def missing_package(cls, subject: object, package: str, *, extra: str) -> Self:
        """The error about a package that this installation lacks; its advice installs the extra that has it."""
        found = f"the package {package} is not installed"
        return cls(subject, found, advice=install_command(extra), reason="missing_package")

    @classmethod
    def cannot_read(
        cls, subject: object, error: OSError | ValueError, expected: str = "", *, advice: str | None = None
    ) -> Self:
        """The error about a file or folder that the operating system does not open or read.

        Args:
            error: ValueError for a name that no file can have, such as one with a NUL.
            advice: None says to check the path if there is no such file, else its permissions.
        """
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        found = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        if advice is None:
            advice = "check the path" if missing else "check its permissions"
        return cls(subject, found, expected, advice, reason="not_found" if missing else "unreadable")

    @classmethod
    def not_one_of(cls, subject: object, found: str, name: str, known: Iterable[str], expected: str = "") -> Self:
        """The error about a name that is not one of the known ones: it advises the nearest of them, if one is near.

        Args:
            expected: what is expected if none is near; "" lists all.
        """
        names = tuple(known)
        advice = did_you_mean(name, names)
        expected = "" if advice else expected or f"one of {', '.join(names)}"
        return cls(subject, found, expected, advice, reason="unknown_name")

    @classmethod
    def wrong_suffix(cls, path: Path, known: Sequence[str]) -> Self:
        """The error about a file to write whose suffix names none of the known formats."""
        expected = known[0] if len(known) == 1 else f"one of {', '.join(known)}"
        return cls(path, f"the suffix is {path.suffix!r}", expected, "rename it", reason="unsupported")

    @property
    def statement(self) -> str:
        """What was found and expected, without the subject and the advice."""
        return f"{self.found}, expected {self.expected}" if self.expected else self.found

    @property
    def line(self) -> str:
        """The whole error as one line; the control characters of names in it are escaped."""
        line = ": ".join(part for part in (self.subject, self.statement) if part)
        advice = [self.advice] if self.advice else []
        if self.reason == "not_found" and self.subject.startswith("~"):
            advice.append(WHOLE_PATH)
        return printable("; ".join([line, *advice]), keep=self._kept)

    def about(self, subject: object) -> Self:
        """The same error about another subject: the file that contains it, or the key that it was read from."""
        return type(self)(subject, self.found, self.expected, self.advice, reason=self.reason, at=self.at)

    def within(self, container: object) -> Self:
        """The same error, with its subject located in a file: `model.pth: heads`."""
        return self.about(f"{container}: {self.subject}" if self.subject else container)

    def advising(self, more: str) -> Self:
        """The same error with more advice, or with what became of an earlier result."""
        advice = f"{self.advice}; {more}" if self.advice else more
        return type(self)(self.subject, self.found, self.expected, advice, reason=self.reason, at=self.at)

    def __str__(self) -> str:
        return self.line

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (self.subject, self.found, self.expected, self.advice, self.reason, self.at)
        return _rebuild, (type(self), *fields)


def _rebuild(
    kind: type[MgmError], subject: str, found: str, expected: str, advice: str, reason: Reason, at: float | None
) -> MgmError:
    """Unpickle an error: errors travel between processes."""
    return kind(subject, found, expected, advice, reason=reason, at=at)


class VideoError(MgmError, ValueError):
    """A video cannot be read as requested. The subject is the file's name."""


class MaskError(MgmError, ValueError):
    """A mask cannot be drawn as requested. The subject is the mask's name."""


class ConfigError(MgmError, ValueError):
    """A recipe, an override or a run's settings are wrong. Several wrong keys are listed in one error, a line each."""

    _kept = "\n"


class DataError(MgmError, ValueError):
    """A set of videos or its annotations cannot be used as requested. The subject is its path."""


class ModelError(MgmError, ValueError):
    """A model received input that it cannot use, or a checkpoint does not fit."""


class FileError(MgmError):
    """A file other than a video cannot be read, written or locked. The subject is its path."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Advice with the nearest of the known names; "" if none is near."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {near[0]}?" if near else ""


def in_words(error: Exception, most: int = 300) -> str:
    """Why Python could not use some content, for `found`: "'frame' is missing" for a KeyError, else the exception's own text.

    Args:
        most: characters of the text, which is one line.
    """
    text = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split())[:most] or type(error).__name__
