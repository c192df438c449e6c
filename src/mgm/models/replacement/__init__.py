"""Masked prediction with all tokens: hidden ones are replaced by a learned token, which a whole network then sees."""

from mgm.models.replacement.catalog import TRUNKS, build_trunk
from mgm.models.replacement.predictor import MaskedPredictor, ReplacementSplit
from mgm.models.replacement.trunk import Trunk

__all__ = ["TRUNKS", "MaskedPredictor", "ReplacementSplit", "Trunk", "build_trunk"]
