"""Bytes to frames and motion: one decode pass, vectors read right. Imports neither torch nor the other floors."""

from mgm.video.decode import Clip, read_clip
from mgm.video.motion import MotionField
from mgm.video.scan import ScanReport, VideoRecord, scan
from mgm.video.vectors import FrameVectors, motion_vectors

__all__ = ["Clip", "FrameVectors", "MotionField", "ScanReport", "VideoRecord", "motion_vectors", "read_clip", "scan"]
