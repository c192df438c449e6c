"""H.264 headers: slices, parameter sets."""

from pathlib import Path

import pytest

from mgm.video.container.h264 import (
    SliceInfo,
    declared_reordering,
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


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"bf": 0}, 0),
        ({"bf": 1}, 1),
        ({"bf": 3}, 2),
        ({"bf": 3, "x264-params": "b-pyramid=none"}, 1),
        (
            {
                "bf": 1,
                "x264-params": "nal-hrd=cbr:vbv-maxrate=300:vbv-bufsize=300:bitrate=300:sar=300/199:overscan=crop",
            },
            1,
        ),
        ({"bf": 3, "x264-params": "interlaced=1:chromaloc=3:colorprim=bt709"}, 2),
    ],
)
def test_the_declared_reordering(tmp_path: Path, options: dict[str, str | int], expected: int):
    path = encode_moving(tmp_path / "a.mp4", frames=12, size=(48, 50), options=options)  # odd in macroblocks: cropped
    with open_video(path, vectors=False) as video:
        extradata = video.stream.codec_context.extradata or b""
    assert declared_reordering(extradata) == expected


def test_reordering_is_unknown_without_a_complete_parameter_set(ordinary: Path):
    with open_video(ordinary, vectors=False) as video:
        extradata = video.stream.codec_context.extradata or b""
    length = int.from_bytes(extradata[6:8], "big")
    assert declared_reordering(extradata) == 2
    assert declared_reordering(b"") is None
    assert declared_reordering(extradata[: 8 + length - 2]) is None
    assert declared_reordering(b"\0" + extradata[1:]) is None
