"""A set of videos that one process of each machine reads, and that all processes of the machine have in memory once."""

from __future__ import annotations

import json
import secrets
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import numpy as np

from mgm.data.annotations import load_set
from mgm.data.annotations.spec import SetSpecLike
from mgm.data.items import VideoItems, VideoSet, common_folder
from mgm.data.loading.memory import return_freed_memory
from mgm.errors import DataError, FileError
from mgm.files.atomic import cannot_write, scratch_folder
from mgm.files.mapped_arrays import ArrayPlace, Arrays, map_arrays, write_arrays
from mgm.terminal import note
from mgm.training.devices import Processes, make_fabric
from mgm.training.exchange import Exchange


def shared_set(given: VideoSet | SetSpecLike) -> VideoSet:
    """The set that a specification describes, see `load_set`; a set that is given is returned unchanged.

    Of several processes that run together, all must call it. The first process of each machine reads the set and writes its columns
    to a file in the system's temporary folder (TMPDIR), which no other user can open. All processes of the machine map this file,
    and its name is removed: neither time nor memory grow with their number. Where that fails, for example on a full disk, the first
    rank prints a note, and every process reads the set itself.

    Raises, on all processes alike:
        DataError, VideoError: see `load_set`. DataError: two machines found different sets.
    """
    if isinstance(given, VideoSet):
        return given
    if Processes.found().world == 1:
        return _read(given)
    exchange = Exchange(make_fabric("32-true"))
    own: list[VideoSet] = []

    with ExitStack() as stack:

        def read() -> SetOffer | None:
            """The set of a machine is read by its first process alone, which offers it to the others."""
            if exchange.local_rank:
                return None
            own.append(_read(given))
            return _offer(own[0], exchange.node, stack)

        offers = [offer for offer in exchange.gather(read) if offer is not None]
        check_offers(offers)
        shared = _accept(next(offer for offer in offers if offer.node == exchange.node))
        found = exchange.gather(lambda: shared if isinstance(shared, str) else "")
    problem = next(filter(None, found), None)
    if problem is None and isinstance(shared, VideoSet):
        own.clear()
        return_freed_memory()
        return shared
    note(f"every process reads the set itself, which takes time and memory: {problem}")
    return own[0] if own else _read(given)


def _read(given: SetSpecLike) -> VideoSet:
    found = load_set(given)
    return_freed_memory()
    return found


@dataclass(frozen=True, slots=True)
class SetOffer:
    """The set that a process has read, for the others of its machine.

    Attributes:
        node: number of the machine.
        checksum: of the videos, their labels and classes; the common folder of the videos may differ between machines.
        file: of its columns. problem: why there is none.
    """

    node: int
    root: str
    checksum: str
    file: Path | None = None
    places: tuple[ArrayPlace, ...] = ()
    problem: str = ""


def _offer(videos: VideoSet, node: int, stack: ExitStack) -> SetOffer:
    """Write the columns of a set to a file that is removed when the stack is closed."""
    arrays = _arrays(videos)
    checksum = _checksum(videos, arrays)
    try:
        place = Path(tempfile.gettempdir()) / f"videos-{secrets.token_hex(8)}"
        file = stack.enter_context(scratch_folder(place)) / "columns"
        return SetOffer(node, videos.root, checksum, file, write_arrays(file, arrays))
    except (OSError, FileError) as error:
        refused = error if isinstance(error, FileError) else cannot_write(tempfile.tempdir or "TMPDIR", error)
        problem = f"{refused.subject}: {refused.statement}; set TMPDIR to a folder with room"
        return SetOffer(node, videos.root, checksum, problem=problem)


def _accept(offer: SetOffer) -> VideoSet | str:
    """The set of an offer, or why it cannot be had."""
    if offer.file is None:
        return offer.problem
    try:
        return _of_arrays(map_arrays(offer.file, offer.places))
    except (OSError, ValueError) as error:  # another process of this machine may have another temporary folder
        return f"{offer.file} cannot be mapped ({error})"


def _arrays(videos: VideoSet) -> Arrays:
    about = [len(videos.train), videos.root, videos.classes, videos.split_rule, videos.notes, videos.missing]
    return {"about": np.frombuffer(json.dumps(about).encode(), np.uint8), **videos.items.arrays()}


def _of_arrays(arrays: Arrays) -> VideoSet:
    """The inverse of `_arrays`."""
    train, root, classes, rule, notes, missing = json.loads(arrays["about"].tobytes())
    items = VideoItems.of_arrays(arrays)
    return VideoSet(root, items[:train], items[train:], tuple(classes), rule, tuple(notes), tuple(missing))


def _checksum(videos: VideoSet, arrays: Arrays) -> str:
    text, ends = arrays["folders"].tobytes(), arrays["folder ends"].tolist()
    folders = [text[first:last].decode("utf-8", "surrogatepass") for first, last in pairwise(ends)]
    above = common_folder(folders)
    about = [len(videos.train), videos.classes, [folder[above:] for folder in folders]]
    digest = blake2b(json.dumps(about).encode(), digest_size=16)
    for name, array in arrays.items():
        if name not in ("about", "folders", "folder ends"):
            digest.update(f"{name} {len(array)}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def check_offers(offers: list[SetOffer]) -> None:
    """Raise DataError if machines found different sets: an epoch would omit some videos and repeat others."""
    first = offers[0]
    other = next((offer for offer in offers if offer.checksum != first.checksum), None)
    if other is not None:
        raise DataError(
            other.root,
            f"machine {other.node} found other videos, labels or classes than machine {first.node}",
            "the same on all machines",
            "compare them by 'mgm data show' on both; copy the files, or use a disk that all machines see",
            reason="mismatch",
        )
