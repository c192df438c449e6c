"""A folder of files that are not an intact video, each with the reason of its error."""

from pathlib import Path

import av
import numpy as np

from mgm.errors import Reason
from tests.video.clips import encode_moving, remux

REASONS: dict[str, Reason] = {
    "text.mp4": "not_video",
    "empty.mp4": "empty",
    "noise.mp4": "not_video",
    "cut_index.mp4": "truncated",
    "cut_within.mp4": "truncated",
    "cut_between.mp4": "truncated",
    "audio.mp4": "no_video_stream",
    "flipped.mp4": "damaged",
}


def make_broken(folder: Path) -> None:
    """Write every file of `REASONS`."""
    whole = encode_moving(folder / "whole.mp4", options={"g": 8})
    data = whole.read_bytes()
    (folder / "text.mp4").write_text("no video at all\n" * 80)
    (folder / "empty.mp4").touch()
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(4000))
    (folder / "cut_index.mp4").write_bytes(data[: len(data) * 2 // 3])
    _write_audio(folder / "audio.mp4")

    flipped = bytearray(data)
    for position in np.random.default_rng(0).integers(data.index(b"mdat") + 1500, data.index(b"moov"), 20):
        flipped[position] ^= 8
    (folder / "flipped.mp4").write_bytes(flipped)

    front = remux(whole, folder / "front.mp4", options={"movflags": "faststart"})
    with av.open(str(front)) as container:
        ends = [packet.pos + packet.size for packet in container.demux(video=0) if packet.size]
    data = front.read_bytes()
    (folder / "cut_within.mp4").write_bytes(data[: ends[11] + 5])
    (folder / "cut_between.mp4").write_bytes(data[: ends[2]])
    whole.unlink()
    front.unlink()


def _write_audio(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        silence.rate = 16000
        out.mux(stream.encode(silence))
        out.mux(stream.encode(None))
