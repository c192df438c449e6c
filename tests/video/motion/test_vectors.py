"""Raw vectors against an independent extractor, and their lifetime."""

import math
from pathlib import Path

import numpy as np
import pytest

from mgm.video import iter_motion_vectors
from tests.video.clips import encode_moving, remux

COMPARED = ["source", "w", "h", "src_x", "src_y", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale"]


@pytest.mark.real
@pytest.mark.parametrize("name", ["h264", "mpeg4_part2"])
def test_equal_to_an_independent_extractor(shared_data: Path, name: str):
    folder = shared_data / "mv_reference"
    kinds = (folder / name / "frame_types.txt").read_text().split()
    compared = 0
    with np.load(folder / f"{name}_motion_vectors.npz") as reference:
        for frame in iter_motion_vectors(folder / f"vid_{name}.mp4"):
            if frame.index == len(reference):
                break
            assert frame.picture_type == kinds[frame.index]
            expected = reference[f"frame_{frame.index:03d}"].reshape(-1, len(COMPARED))
            assert len(frame.vectors) == len(expected)
            for column, field in enumerate(COMPARED):
                np.testing.assert_array_equal(frame.vectors[field], expected[:, column], err_msg=field)
            compared += 1
    assert compared == 48


def test_frames_are_in_display_order_with_their_picture_type(ordinary: Path):
    frames = list(iter_motion_vectors(ordinary))
    assert [frame.index for frame in frames] == list(range(24))
    np.testing.assert_allclose([frame.pts_seconds for frame in frames], np.arange(24) / 25)
    types = [frame.picture_type for frame in frames]
    assert [i for i, kind in enumerate(types) if kind == "I"] == [0, 8, 16]
    assert set(types) == set("IPB")
    for frame in frames:
        assert (len(frame.vectors) == 0) == (frame.picture_type == "I")
        assert set(frame.vectors["source"].tolist()) <= ({-1} if frame.picture_type == "P" else {-1, 1})


def test_a_frame_prints_its_place_and_no_vectors(ordinary: Path):
    first, second, *_ = iter_motion_vectors(ordinary)
    assert repr(first) == "FrameVectors(frame 0, 0.00 s, I, 0 vectors)"
    assert repr(second).startswith("FrameVectors(frame 1, 0.04 s, ")


def test_vectors_outlive_their_frame_and_the_file(ordinary: Path):
    copies, kept = [], []
    for frame in iter_motion_vectors(ordinary):
        kept.append(frame.vectors)
        copies.append(frame.vectors.copy())
    for copy, vectors in zip(copies, kept, strict=True):
        for field in COMPARED:
            np.testing.assert_array_equal(vectors[field], copy[field])


def test_a_codec_without_vectors_yields_empty_frames(tmp_path: Path):
    path = encode_moving(tmp_path / "clip.webm", frames=4, codec="libvpx-vp9", options={"cpu-used": 8, "b": "1M"})
    assert [len(frame.vectors) for frame in iter_motion_vectors(path)] == [0] * 4


def test_a_raw_stream_has_no_times(tmp_path: Path, ordinary: Path):
    path = remux(ordinary, tmp_path / "clip.h264")
    raw, timed = list(iter_motion_vectors(path)), list(iter_motion_vectors(ordinary))
    assert all(math.isnan(frame.pts_seconds) for frame in raw)
    assert [(f.picture_type, len(f.vectors)) for f in raw] == [(f.picture_type, len(f.vectors)) for f in timed]
