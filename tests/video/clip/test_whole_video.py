"""The motion of a whole video in pieces equals that of one read."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mgm.video.clip import whole_video
from mgm.video.clip.reader import read_motion
from mgm.video.clip.whole_video import MotionTotals, motion_chunks
from mgm.video.motion.cache import build_sidecar
from mgm.video.motion.field import MotionField
from tests.video.clip.pieces import READINGS, assert_equal, joined
from tests.video.clips import encode_moving, remux

pytestmark = pytest.mark.usefixtures("short_pieces")


@pytest.mark.parametrize("options", READINGS, ids=str)
def test_pieces_equal_the_whole(ordinary, options):
    pieces = list(motion_chunks(ordinary, **options))
    assert len(pieces) > 1
    assert_equal(joined(pieces), read_motion(ordinary, **options))


@pytest.mark.parametrize("options", READINGS[:4], ids=str)
def test_codecs_whose_b_frames_have_no_vectors(xvid, options):
    assert_equal(joined(list(motion_chunks(xvid, **options))), read_motion(xvid, **options))


def test_from_a_sidecar_they_are_the_same(ordinary, tmp_path, monkeypatch):
    video = Path(shutil.copy(ordinary, tmp_path / "a.mp4"))
    expected = read_motion(video, stride=4)
    build_sidecar(video)
    monkeypatch.setattr("mgm.video.motion.cache.iter_frame_motion", None)
    assert_equal(joined(list(motion_chunks(video, stride=4))), expected)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_they_come_upright(ordinary, tmp_path, rotation):
    turned = remux(ordinary, tmp_path / "turned.mp4", rotation=rotation)
    found = joined(list(motion_chunks(turned)))
    assert found.motion.extent == ((64, 96) if rotation == 180 else (96, 64))
    assert_equal(found, read_motion(turned))


@pytest.mark.parametrize("stride", [1, 3, 8])
def test_without_vectors_flow_is_measured(tmp_path, stride):
    pytest.importorskip("cv2")
    video = encode_moving(tmp_path / "a.webm", codec="libvpx-vp9")
    found = joined(list(motion_chunks(video, stride=stride)))
    assert found.motion.source == "flow"
    assert_equal(found, read_motion(video, stride=stride, motion="auto"))


def test_the_percentile_is_right_to_a_64th():
    rng = np.random.default_rng(0)
    vectors = rng.gamma(0.5, 4, (8, 30, 40, 2)).astype(np.float32)
    totals = MotionTotals()
    for part in np.split(vectors, 4):
        totals.add(MotionField(part, np.ones(part.shape[:3], np.bool_), "codec", (240, 320)))
    expected = np.percentile(np.hypot(vectors[..., 0], vectors[..., 1]), 99, method="inverted_cdf")
    assert totals.p99 <= expected < totals.p99 + 1 / 64
    totals.add(MotionField(vectors * 1e6, np.ones(vectors.shape[:3], np.bool_), "codec", (240, 320)))
    assert totals.p99 == 1024


@pytest.mark.real
@pytest.mark.parametrize("name", ["h264_high_b3_refs4.mp4", "h264_vfr.mkv", "mpeg1.mpg", "h264_intra_only.mp4"])
def test_real_streams(shared_data, monkeypatch, name):
    monkeypatch.setattr(whole_video, "_FRAMES", 40)
    if name == "h264_intra_only.mp4":
        pytest.importorskip("cv2")
    video = shared_data / "codec_matrix" / name
    assert_equal(joined(list(motion_chunks(video, stride=4))), read_motion(video, stride=4, motion="auto"))
