"""Which videos a set without a split of its own keeps for judging."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePath

HELD_OUT = 0.25
"""Share of the source groups (or files) that is kept for testing."""

GROUP = re.compile(r"(?:^|_)g(\d+)_")
"""How UCF101 and its descendants name the source video of a clip: v_Archery_g01_c02.avi, g012_fi064.mp4."""


def held_out(names: Sequence[str]) -> tuple[set[str], str]:
    """Those of the names, each `<class>/<file>`, that are kept for testing, and the sentence that says how they were chosen.

    By a checksum of class and name, so the split does not depend on the machine or on what else is in the set. Clips of one source
    video, where names tell (`GROUP`), all go to the same side: otherwise recognising the source passes for recognising the class.
    """
    scores = {name: _score(PurePath(name)) for name in names}
    limit = max(HELD_OUT, min(scores.values()))  # a small set keeps at least one source for testing
    held = {name for name, score in scores.items() if score < HELD_OUT or score == limit}
    grouped = any(GROUP.search(PurePath(name).name) for name in names)
    how = "source videos (from the g<number> in the names)" if grouped else "files"
    return held, f"{HELD_OUT:.0%} of the {how} held out by a checksum of class and name"


def _score(name: PurePath) -> float:
    """In [0, 1): a checksum of the source video, else of class and name (classes often number their files alike)."""
    match = GROUP.search(name.name)
    key = match.group(1) if match else name.as_posix()
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=6).digest()) / 2**48
