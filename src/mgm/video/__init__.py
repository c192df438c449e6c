"""Bytes to frames and motion: one decode pass, vectors read right. Imports neither torch nor the other floors."""

from mgm.video.decode import Clip, MotionClip, VideoReader, read_clip, read_motion
from mgm.video.motion import MotionField
from mgm.video.scan import ScanReport, VideoRecord, scan
from mgm.video.vectors import FrameVectors, motion_vectors

__all__ = [
    "Clip",
    "FrameVectors",
    "MotionClip",
    "MotionField",
    "ScanReport",
    "VideoReader",
    "VideoRecord",
    "motion_vectors",
    "read_clip",
    "read_motion",
    "scan",
]
