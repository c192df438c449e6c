"""The manifest that `mgm scan` writes, as a set: what decodes, without what is broken."""

from __future__ import annotations

from mgm.data.annotations.content import Content
from mgm.data.annotations.listing import Entry, Listing
from mgm.data.annotations.tables import columns
from mgm.video.scan.manifest import read_manifest


def is_manifest(content: Content) -> bool:
    """Parquet, or rows with path, bytes and status."""
    return content.kind == "parquet" or {"path", "bytes", "status"} <= set(columns(content))


def read_manifest_listing(content: Content) -> Listing:
    """Rows of `mgm scan --out`; files that do not decode are left out and counted. Folders named in the paths may give labels."""
    entries = []
    broken: dict[str, int] = {}
    for record in read_manifest(content.path):
        if record.readable:
            entries.append(Entry(record.path))
        else:
            broken[record.status] = broken.get(record.status, 0) + 1
    notes: tuple[str, ...] = ()
    if broken:
        counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in sorted(broken.items()))
        notes = (f"{content.path}: {sum(broken.values())} broken files were left out ({counts})",)
    why = "parquet" if content.kind == "parquet" else "rows with path, bytes and status"
    return Listing(content.path, "manifest", f"{why}, as 'mgm scan' writes them", tuple(entries), "none", notes)
