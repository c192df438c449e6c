"""Which process of a run has ended, for those that wait for it: backends report only a closed connection, in their own words.

A process that ends by an error leaves its reason in the store over which the processes have found each other. One that the system
kills leaves nothing, but those of its machine see that it is gone, and leave that.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from torch.distributed import TCPStore  # type: ignore[attr-defined]

_WAIT_SECONDS: Final = 5.0
"""Time in which a process of another machine may leave what it has found. Launchers kill the others after 30 seconds."""
_ASK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class ProcessPlace:
    """A process: its number, and the machine (or container) within which this number is its own."""

    number: int
    machine: tuple[str, str]

    @classmethod
    def own(cls) -> ProcessPlace:
        """Of this process."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
            return cls(os.getpid(), (boot, os.readlink("/proc/self/ns/pid")))  # noqa: PTH115
        except OSError:
            return cls(os.getpid(), (platform.node(), ""))


@dataclass(frozen=True, slots=True)
class Ended:
    """The processes that have ended first, by rank, and the reason where they have left one."""

    ranks: tuple[int, ...]
    reason: str = ""


class Peers:
    """The processes of a run as one of them sees them.

    Args:
        places: of all, in the order of the ranks.
        rank: of this one.
        name: of this group of processes, the same on all, and another one than that of every earlier group.
    """

    def __init__(self, places: Sequence[ProcessPlace], rank: int, name: str) -> None:
        self._places, self._rank = places, rank
        self._key = f"mgm ended {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')} {name}"

    def leave(self, reason: str) -> None:
        """Leave the reason for which this process ends, unless another one has ended before it."""
        store = _store()
        if store is not None:
            self._first(store, Ended((self._rank,), reason))

    def ended(self) -> Ended | None:
        """The processes that have ended first; None if none has, or if it cannot be found out within seconds."""
        until, store = time.monotonic() + _WAIT_SECONDS, _store()
        while True:
            gone = tuple(rank for rank in range(len(self._places)) if self._is_gone(rank))
            found = None if store is None else self._first(store, Ended(gone) if gone else None)
            if found is not None or gone:
                return found or Ended(gone)
            if time.monotonic() > until:
                return None
            time.sleep(_ASK_SECONDS)

    def _first(self, store: TCPStore, mine: Ended | None) -> Ended | None:
        """What was left first; `mine`, if nothing was."""
        with suppress(RuntimeError, ValueError):  # the process that holds the store ends, too
            if mine is not None:
                text = json.dumps([mine.ranks, mine.reason])
                ranks, reason = json.loads(store.compare_set(self._key, "", text))
            elif store.check([self._key]):
                ranks, reason = json.loads(store.get(self._key))
            else:
                return None
            return Ended(tuple(ranks), reason)
        return None

    def _is_gone(self, rank: int) -> bool:
        """Whether a process has ended, as far as its number means it here."""
        place, own = self._places[rank], self._places[self._rank]
        if rank == self._rank or place.machine != own.machine or sys.platform == "win32":
            return False
        try:
            os.kill(place.number, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        with suppress(OSError):  # one that has ended keeps its number until the process that started it has asked
            return Path(f"/proc/{place.number}/stat").read_bytes().rpartition(b") ")[2][:1] in b"ZX"
        return False


def _store() -> TCPStore | None:
    """The store over which the launcher's processes found each other; None if it cannot be reached."""
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        return TCPStore(address, port, None, is_master=False, timeout=timedelta(seconds=_WAIT_SECONDS))
    except (KeyError, ValueError, RuntimeError):
        return None
