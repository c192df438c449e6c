"""Sets of videos and their labels: folders, and annotation files in the formats of the field's data sets."""

from mgm.data.annotations.class_names import read_labels
from mgm.data.annotations.formats import ANNOTATION_FORMATS, format_names
from mgm.data.annotations.resolve import ResolvedSet, load_items, load_set, resolve_set
from mgm.data.annotations.spec import SetSpec, SetSpecLike, parse_spec
from mgm.data.items import VideoItem, VideoSet

__all__ = [
    "ANNOTATION_FORMATS",
    "ResolvedSet",
    "SetSpec",
    "SetSpecLike",
    "VideoItem",
    "VideoSet",
    "format_names",
    "load_items",
    "load_set",
    "parse_spec",
    "read_labels",
    "resolve_set",
]
