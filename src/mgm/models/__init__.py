"""Models: video and mask in, representation, loss or logits out. Nothing here knows of video files or of training."""

from mgm.models.autoencoder import MaskedAutoencoder, Reconstruction
from mgm.models.classifier import Classifier
from mgm.models.convert import from_huggingface, load_huggingface, to_huggingface
from mgm.models.encoder import Encoder
from mgm.models.position import position_code
from mgm.models.sizes import SIZES, ModelSpec, Size, Stack
from mgm.models.targets import (
    TARGETS,
    FrameDifference,
    Goal,
    Hog,
    MotionTarget,
    NormalisedPixels,
    OneFrame,
    Pixels,
    Target,
    TargetChoice,
    TeacherFeatures,
)

__all__ = [
    "SIZES",
    "TARGETS",
    "Classifier",
    "Encoder",
    "FrameDifference",
    "Goal",
    "Hog",
    "MaskedAutoencoder",
    "ModelSpec",
    "MotionTarget",
    "NormalisedPixels",
    "OneFrame",
    "Pixels",
    "Reconstruction",
    "Size",
    "Stack",
    "Target",
    "TargetChoice",
    "TeacherFeatures",
    "from_huggingface",
    "load_huggingface",
    "position_code",
    "to_huggingface",
]
