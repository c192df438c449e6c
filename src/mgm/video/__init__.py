"""Bytes to frames and motion: one decode pass, vectors read right. Imports neither torch nor the other floors."""

from mgm.video.decode import Clip, MotionClip, VideoReader, read_clip, read_motion
from mgm.video.export import export_motion
from mgm.video.manifest import read_manifest
from mgm.video.motion import MotionField
from mgm.video.prepared import PrepareReport
from mgm.video.record import VideoRecord
from mgm.video.scan import ScanReport, scan, scan_to
from mgm.video.sidecar import build_sidecar, open_sidecar
from mgm.video.transcode import transcode
from mgm.video.vectors import FrameVectors, motion_vectors

__all__ = [
    "Clip",
    "FrameVectors",
    "MotionClip",
    "MotionField",
    "PrepareReport",
    "ScanReport",
    "VideoReader",
    "VideoRecord",
    "build_sidecar",
    "export_motion",
    "motion_vectors",
    "open_sidecar",
    "read_clip",
    "read_manifest",
    "read_motion",
    "scan",
    "scan_to",
    "transcode",
]
