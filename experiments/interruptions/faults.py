"""Faults in a forked process: the system calls of a block on the files of a folder, and a kill or a full disk at one of them.

`strace` makes them, from outside: it counts the calls of each thread by name, so that the nth `write` of a process is the same in
the next run of the same block.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

WRITING = ("write", "writev", "pwrite64")
CALLS = (
    *WRITING, "openat", "fsync", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "ftruncate"
)  # fmt: skip
FINISHED, DOCUMENTED_ERROR, OTHER_ERROR = 0, 3, 4
_PR_SET_PTRACER, _ANY_PROCESS = 0x59616D61, ctypes.c_ulong(-1)


@dataclass(frozen=True)
class Call:
    """A call of the main thread on a file of the folder.

    number: among those of its name, from 1. before: how many of each name came before it. text: as strace prints it.
    """

    name: str
    number: int
    before: tuple[tuple[str, int], ...]
    text: str

    def kill(self) -> list[str]:
        """Options of strace: SIGKILL in this call."""
        return [f"inject={self.name}:signal=KILL:when={self.number}"]

    def fill_disk(self) -> list[str]:
        """Options of strace: this and every later call that writes fails with ENOSPC, in every thread."""
        counts = dict(self.before)
        return [f"inject={name}:error=ENOSPC:when={counts.get(name, 0) + 1}+" for name in WRITING]


def find_strace() -> str:
    """The path of strace; exits if it is missing."""
    return shutil.which("strace") or sys.exit("this experiment needs the command strace (Debian: apt install strace)")


def run_forked(block: Callable[[], None], options: Sequence[str], log: Path) -> int:
    """Run a block in a fork of this process under strace with `-e` options; returns its exit status, negative for a signal."""
    ready, go = os.pipe()
    child = os.fork()
    if not child:
        os.close(go)
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY_PROCESS, 0, 0, 0)
        os.read(ready, 1)  # until strace is there
        os._exit(_status_of(block))
    os.close(ready)
    command = [
        find_strace(),
        "-f",
        "-q",
        "-y",
        "-s",
        "0",
        "-o",
        str(log),
        "-e",
        f"trace={','.join(CALLS)}",
        "-p",
        str(child),
    ]
    command += [word for option in options for word in ("-e", option)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
        while "TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_text() and tracer.poll() is None:
            time.sleep(0.01)
        os.close(go)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _status_of(block: Callable[[], None]) -> int:
    from mgm.errors import MgmError

    try:
        block()
    except MgmError:
        return DOCUMENTED_ERROR
    except BaseException:
        traceback.print_exc()
        return OTHER_ERROR
    return FINISHED


def calls_on(folder: Path, log: Path) -> list[Call]:
    """The calls of the main thread on files of a folder, in order."""
    counts: Counter[str] = Counter()
    found: list[Call] = []
    main = None
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if match is None:
            continue
        main = main or match[1]
        if match[1] != main:
            continue
        before = tuple(counts.items())
        counts[match[2]] += 1
        reads = match[2] == "openat" and "O_WRONLY" not in line and "O_RDWR" not in line
        if str(folder) in line and not reads:
            found.append(Call(match[2], counts[match[2]], before, line))
    return found


def happened(log: Path) -> bool:
    """Whether a fault was made in the run that strace logged."""
    return "(INJECTED)" in log.read_text(errors="replace")
