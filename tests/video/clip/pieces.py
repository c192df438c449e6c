"""The motion of a whole video in pieces: options to read it with, and comparison of clips of motion."""

import numpy as np

from mgm.video.clip.reader import MotionClip
from mgm.video.motion.field import MotionField

READINGS = [
    {},
    {"stride": 4},
    {"stride": 3, "policy": "window_max"},
    {"stride": 4, "policy": "sampled"},
    {"stride": 4, "policy": "sampled", "reading": "raw"},
    {"stride": 2, "reading": "raw"},
    {"stride": 4, "camera": "median"},
    {"stride": 11},
]


def joined(pieces: list[MotionClip]) -> MotionClip:
    vectors = np.concatenate([p.motion.vectors for p in pieces])
    valid = np.concatenate([p.motion.valid for p in pieces])
    motion = MotionField(vectors, valid, pieces[0].motion.source, pieces[0].motion.extent)
    pts, index = np.concatenate([p.pts_seconds for p in pieces]), np.concatenate([p.frame_indices for p in pieces])
    return MotionClip(pieces[0].path, motion, pts, index, "".join(p.picture_types for p in pieces))


def assert_equal(one: MotionClip, other: MotionClip) -> None:
    assert np.array_equal(one.motion.vectors, other.motion.vectors)
    assert np.array_equal(one.motion.valid, other.motion.valid)
    assert (one.motion.source, one.motion.extent) == (other.motion.source, other.motion.extent)
    assert np.array_equal(one.pts_seconds, other.pts_seconds)
    assert np.array_equal(one.frame_indices, other.frame_indices)
    assert one.picture_types == other.picture_types
