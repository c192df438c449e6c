"""Bytes to frames and motion: one decode pass, vectors read right. Imports neither torch nor the other floors."""

from mgm.video.clip.export import export_motion
from mgm.video.clip.reader import Clip, MotionClip, VideoReader, read_clip, read_motion
from mgm.video.motion.cache import build_sidecar, open_sidecar
from mgm.video.motion.field import MotionField
from mgm.video.motion.vectors import FrameVectors, motion_vectors
from mgm.video.scan.manifest import read_manifest
from mgm.video.scan.record import VideoRecord
from mgm.video.transcode.manifest import PrepareReport

__all__ = [
    "Clip",
    "FrameVectors",
    "MotionClip",
    "MotionField",
    "PrepareReport",
    "VideoReader",
    "VideoRecord",
    "build_sidecar",
    "export_motion",
    "motion_vectors",
    "open_sidecar",
    "read_clip",
    "read_manifest",
    "read_motion",
]
