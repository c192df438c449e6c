"""What an interrupted command keeps, and from where the same command continues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def keeping(kept: Callable[[], str]) -> Iterator[None]:
    """Let the line of an interrupt end with what is kept.

    Args:
        kept: called after the interrupt; one clause.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(kept()) from interrupt


def kept_checkpoint(out: Path) -> str:
    """Of a run of training in the folder `out`."""
    from mgm.training.folder import find_checkpoint

    checkpoint = find_checkpoint(out)
    if checkpoint is None:
        return f"{out} has no checkpoint yet: a repeat begins anew"
    return f"{checkpoint} is kept: the same command with --resume auto continues from it"


def kept_scan(manifest: Path | None) -> str:
    """Of a scan into a manifest; None: without one."""
    if manifest is None:
        return "nothing is kept: with --out FILE the same command continues"
    journal = manifest.with_name(f"{manifest.name}.journal")
    if not _has_lines(journal):
        return "no file was finished: a repeat begins anew"
    return f"{journal} has the finished files: the same command continues after them"


def kept_videos(folder: Path) -> str:
    """Of a transcoding into a folder."""
    from mgm.video.transcode.manifest import JOURNAL, MANIFEST

    for name in (JOURNAL, MANIFEST):
        if _has_lines(folder / name):
            return f"{folder / name} has the finished videos: the same command skips them"
    return "no video was finished: a repeat begins anew"


def kept_features(folder: Path) -> str:
    """Of features whose finished videos are kept in a folder."""
    if any(folder.glob("*/*.group")):
        return f"{folder} has the features of the finished videos: the same command continues after them"
    return "no features are kept yet: a repeat begins anew"


def _has_lines(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except OSError:
        return False
