"""Damage to bytes, whatever they hold."""

import io
from collections.abc import Callable

import av
import numpy as np

Random = np.random.Generator
Mutation = Callable[[bytes, Random], bytes]

HEAD, TAIL = (
    1024,
    2048,
)  # bytes that hold the headers of small files; an MP4's index, an AVI's and a Matroska's cues stand last
TS_PACKET = 188


def lie(data: bytearray, rng: Random, start: int, end: int, *, little: bool = False) -> None:
    """Overwrite one number in `data[start:end]` by one that a parser may trip over: 0, a limit of its type, a neighbour, noise."""
    width = int(rng.choice([w for w in (1, 2, 4, 4, 4) if w <= end - start] or [1]))
    places = max((end - start) // width, 1)
    at = start + width * int(rng.integers(min(places, 6) if rng.random() < 0.5 else places))  # counts stand first
    order = "little" if little else "big"
    top = (1 << 8 * width) - 1
    old = int.from_bytes(data[at : at + width], order)
    new = int(rng.choice([0, 1, top, top - 1, top >> 1, (top >> 1) + 1, old + 1, old - 1, 2 * old, rng.integers(top)]))
    data[at : at + width] = (new & top).to_bytes(width, order)


def flip(data: bytes, rng: Random, count: int, start: int = 0, end: int | None = None) -> bytes:
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
    return flip(data, rng, int(rng.integers(1, 9)))


def _flip_many(data: bytes, rng: Random) -> bytes:
    return flip(data, rng, max(1, int(len(data) * 10 ** rng.uniform(-3, -1))))


def _flip_head(data: bytes, rng: Random) -> bytes:
    return flip(data, rng, int(rng.integers(1, 17)), end=HEAD)


def _flip_tail(data: bytes, rng: Random) -> bytes:
    return flip(data, rng, int(rng.integers(1, 17)), start=max(len(data) - TAIL, 0))


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
    if rng.random() < 0.5:  # overwrite
        return data[:at] + data[start:end] + data[at + end - start :]
    return data[:at] + data[start:end] + data[at:]


def _insert_bytes(data: bytes, rng: Random) -> bytes:
    at = int(rng.integers(len(data)))
    return data[:at] + rng.bytes(int(rng.integers(1, 256))) + data[at:]


def _delete_bytes(data: bytes, rng: Random) -> bytes:
    start, end = _range(data, rng, 256)
    return data[:start] + data[end:]


def fields_head(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        lie(changed, rng, 0, min(len(data), HEAD), little=bool(rng.integers(2)))
    return bytes(changed)


def _codec_header(data: bytes, rng: Random) -> bytes:
    """Damage the setup of the decoder: SPS and PPS, the VOL header, avcC, hvcC, av1C; else the first picture's header."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        header = stream.codec_context.extradata or b""
        at = data.find(header) if header else -1
        if at < 0:  # an Annex B stream is stored with its parameter sets in the first packet
            packet = next(p for p in container.demux(stream) if p.size)
            header = bytes(packet)[:24]
            at = max(data.find(header), 0)
    return flip(data, rng, int(rng.integers(1, 5)), at, at + len(header))


def _join(data: bytes, other: bytes, rng: Random) -> bytes:
    return data + other


def _splice(data: bytes, other: bytes, rng: Random) -> bytes:
    """The beginning of one and the end of the other."""
    return data[: rng.integers(1, len(data))] + other[rng.integers(len(other)) :]


def _inject(data: bytes, other: bytes, rng: Random) -> bytes:
    start, end = _range(other, rng, 4096)
    at = int(rng.integers(len(data)))
    return data[:at] + other[start:end] + data[at + end - start :]


BYTES: dict[str, Mutation] = {
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
    "fields_head": fields_head,
    "codec_header": _codec_header,
}
JOINS: dict[str, Callable[[bytes, bytes, Random], bytes]] = {"join": _join, "splice": _splice, "inject": _inject}
