"""Containers that lie: sizes, counts and values of their headers, each where the format has it."""

from collections.abc import Callable, Iterator

from tests.fuzz.damage import TS_PACKET, Mutation, Random, fields_head, flip, lie

Region = tuple[bytes, int, int, int]
"""(kind, start of the size field, start of the payload, end) of a part of a container."""

_BOX_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf"}
_ENTRY_FIELDS = 78  # bytes of a visual sample entry before its own boxes (ISO 14496-12, 12.1.3)


def mp4_boxes(data: bytes, start: int = 0, end: int | None = None, parent: bytes = b"") -> Iterator[Region]:
    """Every box of an MP4; sample entries, whose type names the codec, as "entry"."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        stop = min(start + size, end) if size >= 8 else end
        yield b"entry" if parent == b"stsd" else kind, start, start + 8, stop
        if kind in _BOX_PARENTS:
            yield from mp4_boxes(data, start + 8, stop, kind)
        elif kind == b"stsd":
            yield from mp4_boxes(data, start + 16, stop, kind)
        elif parent == b"stsd":
            yield from mp4_boxes(data, start + 8 + _ENTRY_FIELDS, stop, kind)
        start = stop


_EBML_PARENTS = {bytes.fromhex(x) for x in (
    "1a45dfa3", "18538067", "1549a966", "1654ae6b", "ae", "e0", "1f43b675", "a0", "1c53bb6b", "bb", "b7", "114d9b74", "4dbb",
)}  # fmt: skip
_EBML_BLOCKS = {b"\xa1", b"\xa3"}


def _vint_length(first: int) -> int:
    return 9 - first.bit_length() if first else 8


def ebml_elements(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Region]:
    """Every element of a Matroska file (RFC 8794)."""
    end = len(data) if end is None else end
    while start + 2 <= end:
        size_at = start + _vint_length(data[start])
        if size_at >= end:
            return
        payload = size_at + (length := _vint_length(data[size_at]))
        size = int.from_bytes(data[size_at:payload], "big") & ((1 << 7 * length) - 1)
        stop = min(payload + size, end)
        kind = data[start:size_at]
        yield kind, size_at, payload, stop
        if kind in _EBML_PARENTS:
            yield from ebml_elements(data, payload, stop)
        start = stop


def riff_chunks(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Region]:
    """Every chunk of an AVI."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        kind = data[start : start + 4]
        stop = min(start + 8 + int.from_bytes(data[start + 4 : start + 8], "little"), end)
        if kind in (b"RIFF", b"LIST"):
            yield data[start + 8 : start + 12], start + 4, start + 8, start + 12
            yield from riff_chunks(data, start + 12, stop)
        else:
            yield kind, start + 4, start + 8, stop
        start = stop + stop % 2


def _lying(
    walk: Callable[[bytes], Iterator[Region]],
    wanted: Callable[[bytes], bool],
    *,
    sizes: bool = False,
    longest: int | None = None,
    little: bool = False,
) -> Mutation:
    """Overwrite one to three numbers in parts of the kinds wanted: in their first `longest` bytes, or their `sizes`."""

    def mutation(data: bytes, rng: Random) -> bytes:
        regions = [r for r in walk(data) if wanted(r[0]) and r[3] > r[2]]
        if not regions:  # no such part in this file
            return fields_head(data, rng)
        changed = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            _, size_at, payload, stop = regions[rng.integers(len(regions))]
            start, end = (size_at, payload) if sizes else (payload, min(stop, payload + (longest or stop)))
            lie(changed, rng, start, end, little=little)
        return bytes(changed)

    return mutation


def _of(*kinds: bytes) -> Callable[[bytes], bool]:
    return lambda kind: kind in kinds


def _any(kind: bytes) -> bool:
    return True


def _ts_packets(data: bytes, rng: Random) -> bytes:
    """Lose, repeat or swap packets of a transport stream, or damage their headers."""
    cells = [data[i : i + TS_PACKET] for i in range(0, len(data), TS_PACKET)]
    for _ in range(rng.integers(1, 6)):
        i, j = (int(k) for k in rng.integers(len(cells), size=2))
        kind = rng.integers(4)
        if kind == 0:
            del cells[i]
        elif kind == 1:
            cells.insert(j, cells[i])
        elif kind == 2:
            cells[i], cells[j] = cells[j], cells[i]
        else:
            cells[i] = flip(cells[i], rng, 2, end=20)
        cells = cells or [b""]
    return b"".join(cells)


_MP4: dict[str, Mutation] = {
    "mp4_samples": _lying(mp4_boxes, _of(b"stsz", b"stts", b"stco", b"ctts", b"stsc", b"stss", b"trun", b"tfhd")),
    "mp4_times": _lying(mp4_boxes, _of(b"mdhd", b"mvhd", b"elst", b"tfdt", b"sidx", b"stts", b"ctts")),
    "mp4_picture": _lying(mp4_boxes, _of(b"tkhd", b"entry", b"pasp", b"colr"), longest=84),
    "mp4_codec": _lying(mp4_boxes, _of(b"avcC", b"esds", b"hvcC", b"av1C", b"d263", b"stsd")),
    "mp4_sizes": _lying(mp4_boxes, _any, sizes=True),
}
_EBML: dict[str, Mutation] = {
    "ebml_sizes": _lying(ebml_elements, _any, sizes=True),
    "ebml_values": _lying(ebml_elements, lambda kind: kind not in _EBML_PARENTS | _EBML_BLOCKS),
    "ebml_times": _lying(
        ebml_elements, lambda k: k in _EBML_BLOCKS or k in (b"\xe7", b"\x2a\xd7\xb1", b"\x9b"), longest=4
    ),
}
_RIFF: dict[str, Mutation] = {
    "riff_headers": _lying(riff_chunks, _of(b"avih", b"strh", b"strf"), little=True),
    "riff_index": _lying(riff_chunks, _of(b"idx1"), little=True),
    "riff_sizes": _lying(riff_chunks, _any, sizes=True, little=True),
}
HEADERS: dict[str, dict[str, Mutation]] = {
    ".3gp": _MP4,
    ".avi": _RIFF,
    ".mkv": _EBML,
    ".mov": _MP4,
    ".mp4": _MP4,
    ".ts": {"ts_packets": _ts_packets},
    ".webm": _EBML,
}
