"""H.264 headers: slices, parameter sets."""

from pathlib import Path

import pytest

from mgm.video.container.h264 import (
    SliceInfo,
    may_hold_fields,
    most_references,
    nal_length_size,
    nal_units,
    parameter_sets,
    parse_first_slice,
)
from mgm.video.container.stream import open_video, packets
from tests.video.clips import encode_moving, remux


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_the_first_slice_of_each_picture(tmp_path: Path, suffix: str):
    """MP4 stores lengths before its NAL units, transport streams store start codes."""
    path = encode_moving(tmp_path / "a.mp4", frames=9, options={"g": 4, "bf": 0, "sc_threshold": 0})
    if suffix != ".mp4":
        path = remux(path, tmp_path / f"a{suffix}")
    with open_video(path, vectors=False) as video:
        assert video.nal_length_size == (4 if suffix == ".mp4" else 0)
        found = [parse_first_slice(bytes(packet), video.nal_length_size) for packet in packets(video)]
    key = SliceInfo(reference=True, idr=True, intra=True)
    assert [info == key for info in found] == [number % 4 == 0 for number in range(9)]
    assert all(info.reference and not info.intra for number, info in enumerate(found) if number % 4)


def test_without_a_slice_every_picture_counts_as_a_reference():
    for length_size in (0, 4):
        assert parse_first_slice(b"", length_size) == SliceInfo(reference=True, idr=False, intra=False)


@pytest.mark.parametrize("references", [1, 3])
def test_parameter_sets(tmp_path: Path, references: int):
    path = encode_moving(tmp_path / "a.mp4", frames=4, options={"refs": references, "bf": 0})
    with open_video(path, vectors=False) as video:
        extradata = video.stream.codec_context.extradata or b""
    assert nal_length_size(extradata) == 4
    assert most_references(parameter_sets(extradata)) == references
    assert not may_hold_fields(parameter_sets(extradata))
    assert most_references([]) is None
    assert nal_units(b"\0\0\1ab\0\0\1c", 0) == [b"ab", b"c"]
    assert nal_units(b"\0\2ab\0\1c", 2) == [b"ab", b"c"]
