"""What a masked autoencoder predicts for a hidden token: targets, their catalog, and the goal that weighs them."""

from mgm.models.targets.catalog import TARGETS, TargetChoice, build_goal
from mgm.models.targets.goal import Goal
from mgm.models.targets.hog import Hog
from mgm.models.targets.motion import MotionTarget
from mgm.models.targets.pixels import FrameDifference, NormalisedPixels, OneFrame, Pixels
from mgm.models.targets.target import Target
from mgm.models.targets.teacher import TeacherFeatures

__all__ = [
    "TARGETS",
    "FrameDifference",
    "Goal",
    "Hog",
    "MotionTarget",
    "NormalisedPixels",
    "OneFrame",
    "Pixels",
    "Target",
    "TargetChoice",
    "TeacherFeatures",
    "build_goal",
]
