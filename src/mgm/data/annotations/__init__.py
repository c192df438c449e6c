"""Which videos there are, and their labels: folders, and the annotation files of every data set of the field."""

from mgm.data.annotations.find import Found, find_set, understand
from mgm.data.annotations.formats import FORMATS, format_names
from mgm.data.annotations.spec import Spec, SpecLike, parse_spec
from mgm.data.items import VideoItem, VideoSet

__all__ = [
    "FORMATS",
    "Found",
    "Spec",
    "SpecLike",
    "VideoItem",
    "VideoSet",
    "find_set",
    "format_names",
    "parse_spec",
    "understand",
]
