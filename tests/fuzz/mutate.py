"""Ways to damage a video: its bytes, its packets, what its headers say. Each is named, and pure given its randomness."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np

Random = np.random.Generator
Mutation = Callable[[bytes, Random], bytes]

FORMATS = {
    ".3gp": "3gp",
    ".avi": "avi",
    ".flv": "flv",
    ".h264": "h264",
    ".hevc": "hevc",
    ".m2v": "mpeg2video",
    ".mkv": "matroska",
    ".mov": "mov",
    ".mp4": "mp4",
    ".mpg": "mpeg",
    ".rm": "rm",
    ".ts": "mpegts",
    ".webm": "webm",
    ".wmv": "asf",
}
"""FFmpeg's muxer by suffix."""

HEAD, TAIL = (
    1024,
    2048,
)  # bytes that hold the headers of small files; an MP4's index, an AVI's and a Matroska's cues stand last
TS_PACKET = 188


def mutate(data: bytes, suffix: str, name: str, seed: int, *, other: bytes) -> bytes:
    """The bytes of a video after the mutation `name`, one of `names(suffix)`. The same arguments give the same bytes.

    Args:
        suffix: of the video's file, with the dot: its container.
        other: another video, for the mutations that join two.
    """
    rng = np.random.default_rng(seed)
    if name in _JOINS:
        return _JOINS[name](data, other, rng)
    if name in _PACKETS:
        return _remuxed(data, suffix, _PACKETS[name], rng)
    return {**_BYTES, **_HEADERS.get(suffix, {})}[name](data, rng)


def names(suffix: str) -> list[str]:
    """The mutations that a container can suffer."""
    packets = _PACKETS if suffix != ".rm" else {}  # RealMedia's packets, as demuxed, do not go into another file
    return [*_BYTES, *_JOINS, *packets, *_HEADERS.get(suffix, {})]


def _flip(data: bytes, rng: Random, count: int, start: int = 0, end: int | None = None) -> bytes:
    """`count` bits of `data[start:end]` inverted."""
    changed = bytearray(data)
    end = len(data) if end is None else min(end, len(data))
    for position in rng.integers(start, end, count):
        changed[position] ^= 1 << rng.integers(8)
    return bytes(changed)


def _range(data: bytes, rng: Random, longest: int) -> tuple[int, int]:
    start = int(rng.integers(len(data)))
    return start, min(start + int(rng.integers(1, longest)), len(data))


def _flip_few(data: bytes, rng: Random) -> bytes:
    return _flip(data, rng, int(rng.integers(1, 9)))


def _flip_many(data: bytes, rng: Random) -> bytes:
    return _flip(data, rng, max(1, int(len(data) * 10 ** rng.uniform(-3, -1))))


def _flip_head(data: bytes, rng: Random) -> bytes:
    return _flip(data, rng, int(rng.integers(1, 17)), end=HEAD)


def _flip_tail(data: bytes, rng: Random) -> bytes:
    return _flip(data, rng, int(rng.integers(1, 17)), start=max(len(data) - TAIL, 0))


def _truncate(data: bytes, rng: Random) -> bytes:
    return data[: rng.integers(len(data))]


def _truncate_end(data: bytes, rng: Random) -> bytes:
    return data[: -rng.integers(1, 65)]


def _behead(data: bytes, rng: Random) -> bytes:
    return data[rng.integers(1, len(data)) :]


def _zero_block(data: bytes, rng: Random) -> bytes:
    start, end = _range(data, rng, 4096)
    return data[:start] + bytes(end - start) + data[end:]


def _repeat_block(data: bytes, rng: Random) -> bytes:
    start, end = _range(data, rng, 4096)
    at = int(rng.integers(len(data)))
    if rng.random() < 0.5:  # over what is there
        return data[:at] + data[start:end] + data[at + end - start :]
    return data[:at] + data[start:end] + data[at:]


def _insert_bytes(data: bytes, rng: Random) -> bytes:
    at = int(rng.integers(len(data)))
    return data[:at] + rng.bytes(int(rng.integers(1, 256))) + data[at:]


def _delete_bytes(data: bytes, rng: Random) -> bytes:
    start, end = _range(data, rng, 256)
    return data[:start] + data[end:]


def _field(data: bytearray, rng: Random, start: int, end: int, *, little: bool = False) -> None:
    """Overwrite one number in `data[start:end]` by one that a parser may trip over: 0, a limit of its type, a neighbour, noise."""
    width = int(rng.choice([w for w in (1, 2, 4, 4, 4) if w <= end - start] or [1]))
    places = max((end - start) // width, 1)
    at = start + width * int(rng.integers(min(places, 6) if rng.random() < 0.5 else places))  # counts stand first
    order = "little" if little else "big"
    top = (1 << 8 * width) - 1
    old = int.from_bytes(data[at : at + width], order)
    new = int(rng.choice([0, 1, top, top - 1, top >> 1, (top >> 1) + 1, old + 1, old - 1, 2 * old, rng.integers(top)]))
    data[at : at + width] = (new & top).to_bytes(width, order)


def _fields_head(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        _field(changed, rng, 0, min(len(data), HEAD), little=bool(rng.integers(2)))
    return bytes(changed)


def _codec_header(data: bytes, rng: Random) -> bytes:
    """Damage what the decoder is set up with: SPS and PPS, the VOL header, avcC, hvcC, av1C; else the first picture's header."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        header = stream.codec_context.extradata or b""
        at = data.find(header) if header else -1
        if at < 0:  # an Annex B stream is stored with its parameter sets in the first packet
            packet = next(p for p in container.demux(stream) if p.size)
            header = bytes(packet)[:24]
            at = max(data.find(header), 0)
    return _flip(data, rng, int(rng.integers(1, 5)), at, at + len(header))


def _join(data: bytes, other: bytes, rng: Random) -> bytes:
    return data + other


def _splice(data: bytes, other: bytes, rng: Random) -> bytes:
    """The beginning of one and the end of the other."""
    return data[: rng.integers(1, len(data))] + other[rng.integers(len(other)) :]


def _inject(data: bytes, other: bytes, rng: Random) -> bytes:
    start, end = _range(other, rng, 4096)
    at = int(rng.integers(len(data)))
    return data[:at] + other[start:end] + data[at + end - start :]


_BYTES: dict[str, Mutation] = {
    "flip_few": _flip_few,
    "flip_many": _flip_many,
    "flip_head": _flip_head,
    "flip_tail": _flip_tail,
    "truncate": _truncate,
    "truncate_end": _truncate_end,
    "behead": _behead,
    "zero_block": _zero_block,
    "repeat_block": _repeat_block,
    "insert_bytes": _insert_bytes,
    "delete_bytes": _delete_bytes,
    "fields_head": _fields_head,
    "codec_header": _codec_header,
}
_JOINS: dict[str, Callable[[bytes, bytes, Random], bytes]] = {"join": _join, "splice": _splice, "inject": _inject}


@dataclass(frozen=True)
class Packet:
    """A coded picture as its container holds it, times in the stream's time base."""

    data: bytes
    pts: int | None
    dts: int | None
    key: bool
    duration: int
    time_base: Fraction


Edit = Callable[[list[Packet], Random], list[Packet]]


def _remuxed(data: bytes, suffix: str, edit: Edit, rng: Random) -> bytes:
    """The video with other packets in the same container. A packet that the muxer refuses is left out."""
    target = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(target, "w", FORMATS[suffix], {"fflags": "+bitexact"}) as out:
        stream = source.streams.video[0]
        coded = [
            Packet(bytes(p), p.pts, p.dts, p.is_keyframe, p.duration or 0, p.time_base)
            for p in source.demux(stream)
            if p.size
        ]
        copy = out.add_stream_from_template(stream, opaque=True)  # AV1 is decoded by a library that cannot encode
        for given in edit(coded, rng):
            packet = av.Packet(given.data)
            packet.stream, packet.time_base = copy, given.time_base
            packet.pts, packet.dts, packet.duration = given.pts, given.dts, given.duration
            packet.is_keyframe = given.key
            try:
                out.mux(packet)
            except av.FFmpegError:
                continue
    return target.getvalue()


def _in_slots(packets: list[Packet], slots: list[Packet]) -> list[Packet]:
    """Other pictures at the times that the file had: a muxer takes decode times only in order."""
    return [replace(p, pts=s.pts, dts=s.dts) for p, s in zip(packets, slots, strict=False)]


def _swapped(packets: list[Packet], rng: Random) -> list[Packet]:
    order = list(packets)
    for _ in range(rng.integers(1, 4)):
        i, j = rng.integers(len(order), size=2)
        order[i], order[j] = order[j], order[i]
    return _in_slots(order, packets) if rng.random() < 0.7 else order


def _shuffled(packets: list[Packet], rng: Random) -> list[Packet]:
    return _in_slots([packets[i] for i in rng.permutation(len(packets))], packets)


def _dropped(packets: list[Packet], rng: Random) -> list[Packet]:
    gone = set(rng.integers(len(packets), size=rng.integers(1, 1 + len(packets) // 3)).tolist())
    return [p for i, p in enumerate(packets) if i not in gone]


def _headless(packets: list[Packet], rng: Random) -> list[Packet]:
    """Starts between two key pictures."""
    return packets[rng.integers(1, len(packets)) :]


def _duplicated(packets: list[Packet], rng: Random) -> list[Packet]:
    i, times = int(rng.integers(len(packets))), int(rng.integers(1, 4))
    twice = [*packets[:i], *[packets[i]] * times, *packets[i:]]
    return twice if rng.random() < 0.5 else _in_slots(twice, packets)


def _payloads(packets: list[Packet], rng: Random) -> list[Packet]:
    """Damage inside pictures, in a container that is intact."""
    changed = list(packets)
    for i in rng.integers(len(packets), size=rng.integers(1, 4)):
        data = changed[i].data
        cut = [_flip(data, rng, 3), data[: 1 + len(data) // 2], bytes(len(data)), data[:1]][rng.integers(4)]
        changed[i] = replace(changed[i], data=cut)
    return changed


def _keys(packets: list[Packet], rng: Random) -> list[Packet]:
    """Key flags that lie."""
    return [replace(p, key=bool(rng.random() < 0.3)) for p in packets]


def _timed(change: Callable[[Packet, int, Random], Packet], *, share: float) -> Edit:
    """An edit that changes the times of each packet with probability `share`; `change` is told the packet's position."""

    def edit(packets: list[Packet], rng: Random) -> list[Packet]:
        return [change(p, i, rng) if rng.random() < share else p for i, p in enumerate(packets)]

    return edit


_PACKETS: dict[str, Edit] = {
    "packets_swapped": _swapped,
    "packets_shuffled": _shuffled,
    "packets_dropped": _dropped,
    "packets_headless": _headless,
    "packets_duplicated": _duplicated,
    "packets_payload": _payloads,
    "packets_keys": _keys,
    "times_random": _timed(lambda p, i, rng: replace(p, pts=(p.dts or 0) + int(rng.integers(20_000))), share=0.3),
    "times_before": _timed(lambda p, i, rng: replace(p, pts=(p.dts or 0) - int(rng.integers(5000))), share=0.2),
    "times_missing": _timed(lambda p, i, rng: replace(p, pts=None, dts=None), share=0.5),
    "times_pts_missing": _timed(lambda p, i, rng: replace(p, pts=None), share=0.5),
    "times_equal": _timed(lambda p, i, rng: replace(p, pts=1000, dts=min(p.dts or 0, 1000)), share=1),
    "times_decode_order": _timed(lambda p, i, rng: replace(p, pts=p.dts), share=1),
    "times_negative": _timed(lambda p, i, rng: replace(p, pts=i * 40 - 400_000, dts=i * 40 - 400_000), share=1),
    "times_huge": _timed(lambda p, i, rng: replace(p, pts=(1 << 40) * (i + 1), dts=(1 << 40) * (i + 1)), share=0.9),
    "times_jump": _timed(lambda p, i, rng: replace(p, pts=(p.pts or 0) + (i > 9) * (1 << 31),
                                                   dts=(p.dts or 0) + (i > 9) * (1 << 31)), share=1),
}  # fmt: skip


Region = tuple[bytes, int, int, int]
"""(kind, start of the size field, start of the payload, end) of a part of a container."""

_BOX_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf"}
_ENTRY_FIELDS = 78  # bytes of a visual sample entry before its own boxes (ISO 14496-12, 12.1.3)


def _boxes(data: bytes, start: int = 0, end: int | None = None, parent: bytes = b"") -> Iterator[Region]:
    """Every box of an MP4; sample entries, whose type names the codec, as "entry"."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        stop = min(start + size, end) if size >= 8 else end
        yield b"entry" if parent == b"stsd" else kind, start, start + 8, stop
        if kind in _BOX_PARENTS:
            yield from _boxes(data, start + 8, stop, kind)
        elif kind == b"stsd":
            yield from _boxes(data, start + 16, stop, kind)
        elif parent == b"stsd":
            yield from _boxes(data, start + 8 + _ENTRY_FIELDS, stop, kind)
        start = stop


_EBML_PARENTS = {bytes.fromhex(x) for x in (
    "1a45dfa3", "18538067", "1549a966", "1654ae6b", "ae", "e0", "1f43b675", "a0", "1c53bb6b", "bb", "b7", "114d9b74", "4dbb",
)}  # fmt: skip
_EBML_BLOCKS = {b"\xa1", b"\xa3"}


def _vint_length(first: int) -> int:
    return 9 - first.bit_length() if first else 8


def _elements(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Region]:
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
            yield from _elements(data, payload, stop)
        start = stop


def _chunks(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Region]:
    """Every chunk of an AVI."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        kind = data[start : start + 4]
        stop = min(start + 8 + int.from_bytes(data[start + 4 : start + 8], "little"), end)
        if kind in (b"RIFF", b"LIST"):
            yield data[start + 8 : start + 12], start + 4, start + 8, start + 12
            yield from _chunks(data, start + 12, stop)
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

    def lie(data: bytes, rng: Random) -> bytes:
        regions = [r for r in walk(data) if wanted(r[0]) and r[3] > r[2]]
        if not regions:  # no such part in this file
            return _fields_head(data, rng)
        changed = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            _, size_at, payload, stop = regions[rng.integers(len(regions))]
            start, end = (size_at, payload) if sizes else (payload, min(stop, payload + (longest or stop)))
            _field(changed, rng, start, end, little=little)
        return bytes(changed)

    return lie


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
            cells[i] = _flip(cells[i], rng, 2, end=20)
        cells = cells or [b""]
    return b"".join(cells)


_MP4: dict[str, Mutation] = {
    "mp4_samples": _lying(_boxes, _of(b"stsz", b"stts", b"stco", b"ctts", b"stsc", b"stss", b"trun", b"tfhd")),
    "mp4_times": _lying(_boxes, _of(b"mdhd", b"mvhd", b"elst", b"tfdt", b"sidx", b"stts", b"ctts")),
    "mp4_picture": _lying(_boxes, _of(b"tkhd", b"entry", b"pasp", b"colr"), longest=84),
    "mp4_codec": _lying(_boxes, _of(b"avcC", b"esds", b"hvcC", b"av1C", b"d263", b"stsd")),
    "mp4_sizes": _lying(_boxes, _any, sizes=True),
}
_EBML: dict[str, Mutation] = {
    "ebml_sizes": _lying(_elements, _any, sizes=True),
    "ebml_values": _lying(_elements, lambda kind: kind not in _EBML_PARENTS | _EBML_BLOCKS),
    "ebml_times": _lying(_elements, lambda k: k in _EBML_BLOCKS or k in (b"\xe7", b"\x2a\xd7\xb1", b"\x9b"), longest=4),
}
_RIFF: dict[str, Mutation] = {
    "riff_headers": _lying(_chunks, _of(b"avih", b"strh", b"strf"), little=True),
    "riff_index": _lying(_chunks, _of(b"idx1"), little=True),
    "riff_sizes": _lying(_chunks, _any, sizes=True, little=True),
}
_HEADERS: dict[str, dict[str, Mutation]] = {
    ".3gp": _MP4,
    ".avi": _RIFF,
    ".mkv": _EBML,
    ".mov": _MP4,
    ".mp4": _MP4,
    ".ts": {"ts_packets": _ts_packets},
    ".webm": _EBML,
}
