"""The references that slice headers declare."""

import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from mgm.video.container.h264 import Bits, nal_units, parameter_sets
from mgm.video.container.h264_slices import SliceParser, SliceReferences
from mgm.video.container.stream import open_video, packets
from tests.video.clips import encode_moving, remux


def slices(path: Path) -> list[list[SliceReferences]]:
    """Those of each picture in decode order."""
    parser = SliceParser()
    with open_video(path, vectors=False) as video:
        assert not list(parser.parse(parameter_sets(video.stream.codec_context.extradata or b"")))
        assert video.nal_length_size is not None
        return [list(parser.parse(nal_units(bytes(packet), video.nal_length_size))) for packet in packets(video)]


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_the_last_references_come_first(tmp_path: Path, suffix: str):
    """Up to three references, as many as there are; in a transport stream the parameter sets come with the pictures."""
    options = {"refs": 3, "bf": 0, "g": 6, "x264-params": "weightp=0:scenecut=0"}
    path = encode_moving(tmp_path / "a.mp4", frames=12, options=options)
    path = path if suffix == ".mp4" else remux(path, tmp_path / "a.ts")
    expected = [("P" if n else "I", min(n, 3), True, n) for n in range(6)] * 2
    assert [[each[:4] for each in picture] for picture in slices(path)] == [[each] for each in expected]


def test_slices_of_a_picture_and_b_pictures(tmp_path: Path):
    options = {"bf": 2, "refs": 1, "x264-params": "slices=3:b-adapt=0:b-pyramid=none:weightp=0:scenecut=0"}
    found = slices(encode_moving(tmp_path / "a.mp4", frames=7, options=options))
    assert [[each.kind for each in picture] for picture in found] == [[kind] * 3 for kind in "IPBBPBB"]
    assert {each.active for picture in found for each in picture if each.kind == "P"} == {1}


def test_a_reference_that_is_not_the_last(tmp_path: Path):
    """Weighted prediction lists a picture twice, and B-pictures as references are moved behind older ones."""
    options = {"bf": 3, "refs": 4, "x264-params": "b-adapt=0:b-pyramid=normal:weightp=2:scenecut=0"}
    found = slices(encode_moving(tmp_path / "a.mp4", frames=24, options=options))
    assert not all(each.nearest_first for picture in found for each in picture)


def test_fields_and_unknown_parameter_sets(tmp_path: Path):
    path = encode_moving(tmp_path / "a.mp4", frames=2, options={"x264-params": "interlaced=1"})
    with pytest.raises(ValueError, match="fields"):
        slices(path)
    with open_video(path, vectors=False) as video, pytest.raises(ValueError, match="parameter set"):
        list(SliceParser().parse(nal_units(bytes(next(packets(video))), 4)))
    with pytest.raises(ValueError):
        list(SliceParser().parse([b"\x67\x64"]))


@pytest.mark.parametrize("header", [b"\x67\x64", b"\x67\x42", b"\x68"])
@pytest.mark.parametrize("filling", [b"\0\0\0", b"\xff\xff\xff", b"\0\0\3"])
def test_a_huge_parameter_set_takes_no_memory_for_its_bits(header: bytes, filling: bytes):
    unit = header + filling * 400_000
    tracemalloc.start()
    try:
        with suppress(ValueError):
            list(SliceParser().parse([unit]))
        assert tracemalloc.get_traced_memory()[1] < len(unit) * 2
    finally:
        tracemalloc.stop()


def test_a_number_that_is_cut_is_no_number():
    bits = Bits(b"\x67\xff")
    with pytest.raises(ValueError):
        bits.fixed(9)
