"""Pictures that are missing from an H.264 stream are found, and nothing else is taken for that."""

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from mgm.video.container.h264_slices import SliceParser
from mgm.video.container.stream import open_video, packets
from mgm.video.scan.folder import scan_file
from mgm.video.scan.lost_pictures import LostPictures
from tests.video.clips import encode_moving

OPTIONS = {"g": 8, "bf": 2, "x264-params": "b-adapt=0:b-pyramid=none:scenecut=0"}
"""Packets of a group in decode order: I, P B B, P B B, P."""


def without(source: Path, out: Path, lost: Callable[[int], bool]) -> Path:
    """A copy of a video without the packets of some numbers in decode order."""
    with av.open(str(source)) as old, av.open(str(out), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            if not lost(number):
                packet.stream = stream
                new.mux(packet)
    return out


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4", ".h264"])
@pytest.mark.parametrize("lost", [4, 8, 9], ids=["P", "keyframe", "P after a keyframe"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_lost_reference_is_damage(tmp_path: Path, suffix: str, lost: int, b_frames: int):
    whole = encode_moving(tmp_path / "whole.mkv", frames=24, options={**OPTIONS, "bf": b_frames})
    assert scan_file(whole).status == "ok"
    record = scan_file(without(whole, tmp_path / f"lost{suffix}", lambda number: number == lost))
    assert record.status == "damaged"
    assert record.problem is not None
    assert "pictures are missing" in record.problem
    assert (record.where is None) == (suffix == ".h264")  # a raw stream has no times


def test_pictures_that_no_other_needs_may_be_missing(tmp_path: Path):
    whole = encode_moving(tmp_path / "whole.mkv", frames=24, options=OPTIONS)
    record = scan_file(without(whole, tmp_path / "fewer.mkv", lambda number: number % 8 in (2, 3, 5, 6)))
    assert (record.status, record.frames) == ("ok", 12)


def test_a_stream_that_begins_or_continues_elsewhere_is_whole(tmp_path: Path):
    """An intra picture that is not an IDR picture begins a cut recording, and continues a joined one."""
    options = {"g": 8, "bf": 0, "x264-params": "open-gop=1:scenecut=0"}
    whole = encode_moving(tmp_path / "whole.mkv", frames=32, options=options)
    for name, lost in {"begun": range(8), "joined": range(8, 16)}.items():
        path = without(whole, tmp_path / f"{name}.mkv", lost.__contains__)
        with open_video(path, vectors=False) as video:
            found = LostPictures(video)
            for packet in packets(video):
                found(packet)
        assert found.error is None, name


def test_a_reference_marking_that_starts_the_numbers_again():
    """A P-slice whose marking has operation 5, behind weights, moves and operations with operands; written by hand."""
    units = [_unit(0x67, "01000010" + "0" * 16 + "1" + "1" + "1" + "1" + "010" + "0" + "1" + "1" + "1" + "1" + "1" + "0" + "1"),
             _unit(0x68, "1" + "1" + "0" + "0" + "1" + "1" + "1" + "1" + "00" + "1" * 3 + "0" * 3)]  # fmt: skip
    parser = SliceParser()
    list(parser.parse(units))
    head = "1" + "1" + "1" + "0000" + "0000" + "0"  # first macroblock, P, parameter set, numbers, no other count
    moves = "1" + "1" + "1" + "00100"
    weights = "1" + "1" + "1" + "010" + "010" + "0"
    for marking, expected in (
        ("1" + "010" + "1" + "00110" + "1", True),
        ("1" + "010" + "1" + "1", False),
        ("0", False),
    ):
        assert parser.resets_numbers(_unit(0x61, head + moves + weights + marking)) is expected
    assert not parser.resets_numbers(_unit(0x01, head))  # no reference picture
    with pytest.raises(ValueError):
        parser.resets_numbers(_unit(0x61, head[:4]))


def _unit(header: int, bits: str) -> bytes:
    """A NAL unit of bits, filled up with zeros."""
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    return bytes([header]) + int(bits, 2).to_bytes(len(bits) // 8, "big")
