"""Targets of a masked autoencoder: their catalog, and the objective that weights them."""

from mgm.models.targets.catalog import TARGETS, TargetChoice, build_objective
from mgm.models.targets.codes import Codes, DvaeCodes, VqganCodes
from mgm.models.targets.distillation import ImageTeacher, VideoTeacher
from mgm.models.targets.hog import Hog
from mgm.models.targets.motion import AsinhMotion, MotionTarget
from mgm.models.targets.objective import ReconstructionObjective
from mgm.models.targets.pixels import FrameDifference, NormalisedPixels, OneFrame, Pixels
from mgm.models.targets.sobel import M3VideoHog, MaskFeatHog
from mgm.models.targets.target import Target
from mgm.models.targets.teacher import TeacherFeatures
from mgm.models.targets.trajectory import Trajectory

__all__ = [
    "TARGETS",
    "AsinhMotion",
    "Codes",
    "DvaeCodes",
    "FrameDifference",
    "Hog",
    "ImageTeacher",
    "M3VideoHog",
    "MaskFeatHog",
    "MotionTarget",
    "NormalisedPixels",
    "OneFrame",
    "Pixels",
    "ReconstructionObjective",
    "Target",
    "TargetChoice",
    "TeacherFeatures",
    "Trajectory",
    "VideoTeacher",
    "VqganCodes",
    "build_objective",
]
