"""Ways to damage a video: its bytes, its packets, its headers. Each has a name and is a pure function of its randomness."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np

from tests.fuzz.damage import BYTES, JOINS, Random, flip
from tests.fuzz.headers import HEADERS

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


def mutate(data: bytes, suffix: str, name: str, seed: int, *, other: bytes) -> bytes:
    """The bytes of a video after the mutation `name`, one of `names(suffix)`. The same arguments give the same bytes.

    Args:
        suffix: of the video's file, with the dot: its container.
        other: another video, for the mutations that join two.
    """
    rng = np.random.default_rng(seed)
    if name in JOINS:
        return JOINS[name](data, other, rng)
    if name in _PACKETS:
        return remuxed(data, suffix, _PACKETS[name], rng)
    return {**BYTES, **HEADERS.get(suffix, {})}[name](data, rng)


def names(suffix: str) -> list[str]:
    """The mutations that a container can suffer."""
    packets = _PACKETS if suffix != ".rm" else {}  # RealMedia's packets, as demuxed, do not go into another file
    return [*BYTES, *JOINS, *packets, *HEADERS.get(suffix, {})]


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


def remuxed(data: bytes, suffix: str, edit: Edit, rng: Random) -> bytes:
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
    """Start between two keyframes."""
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
        cut = [flip(data, rng, 3), data[: 1 + len(data) // 2], bytes(len(data)), data[:1]][rng.integers(4)]
        changed[i] = replace(changed[i], data=cut)
    return changed


def _keys(packets: list[Packet], rng: Random) -> list[Packet]:
    """Key flags that lie."""
    return [replace(p, key=bool(rng.random() < 0.3)) for p in packets]


def _timed(change: Callable[[Packet, int, Random], Packet], *, share: float) -> Edit:
    """An edit that changes the times of each packet with probability `share`; `change` receives the packet's position."""

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
