"""A checksum inside a zip archive, such as a file of torch.save: any changed bit of the file is found.

The CRCs of the archive itself cover its members, but not what lies between them, and torch does not check them. The SHA-256 of
all bytes before it is the archive's comment, which programs that read zip files skip.
"""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path
from typing import BinaryIO, Final

_DIGEST_BYTES: Final = hashlib.sha256().digest_size
_BEGIN_SIGNATURE: Final = b"PK\x03\x04"
# The end of an archive without a comment: 22 bytes from this signature to the comment's length, which is 0.
_END_SIGNATURE, _END_BYTES = b"PK\x05\x06", 22
_COMMENT_LENGTH = _DIGEST_BYTES.to_bytes(2, "little")


def add_checksum(path: Path) -> None:
    """Append the checksum to an archive that has no comment.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("rb+") as file:
        file.seek(-len(_COMMENT_LENGTH), 2)
        file.write(_COMMENT_LENGTH)
        file.flush()
        file.write(_digest(file, file.tell()))


def has_checksum(path: Path) -> bool:
    """Whether a file is an archive with a comment.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        begin, size = file.read(len(_BEGIN_SIGNATURE)), file.seek(0, 2)
        file.seek(max(size - _END_BYTES, 0))
        end = file.read()
    bare = end.startswith(_END_SIGNATURE) and end.endswith(bytes(len(_COMMENT_LENGTH)))
    return begin == _BEGIN_SIGNATURE and not bare


def is_intact(path: Path) -> bool:
    """Whether a file's bytes are those that `add_checksum` left, as far as is known: True for a file without a checksum.

    Raises:
        OSError: the file cannot be read.
    """
    if not has_checksum(path):
        return True
    with path.open("rb") as file:
        hashed = max(file.seek(0, 2) - _DIGEST_BYTES, 0)
        file.seek(hashed)
        return file.read() == _digest(file, hashed)


def _digest(file: BinaryIO, size: int) -> bytes:
    """SHA-256 of the first `size` bytes."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content)[:size] as part:
        return hashlib.sha256(part).digest()
