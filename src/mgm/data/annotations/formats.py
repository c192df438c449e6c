"""The list of all annotation formats. A format is recognised by a file's content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mgm.data.annotations import table_formats, text_formats
from mgm.data.annotations.annotation_file import AnnotationFile
from mgm.data.annotations.video_list import VideoList
from mgm.errors import DataError


@dataclass(frozen=True, slots=True)
class AnnotationFormat:
    """One format.

    Attributes:
        name: value of `format=` that selects it.
        example: one line or one object.
        used_by: data sets or projects that write it.
        matches: whether a file looks like it.
        read: parses a file; raises DataError with the number of the first line that does not fit.
    """

    name: str
    example: str
    used_by: str
    matches: Callable[[AnnotationFile], bool]
    read: Callable[[AnnotationFile], VideoList]


ANNOTATION_FORMATS = (
    AnnotationFormat(
        "path-label",
        "abseiling/0347ZoDXyP0_000095_000105.mp4 0",
        "VideoMAE, MAE-ST, SlowFast, V-JEPA, TATS, mmaction2, UCF101 trainlist, SIGMA's Mini-Kinetics",
        lambda file: text_formats.path_label_separator(file) is not None,
        text_formats.read_path_label,
    ),
    AnnotationFormat(
        "path-class",
        "videos/0347ZoDXyP0.mp4,rock climbing",
        "lists written by hand or by a table program",
        lambda file: text_formats.path_class_separator(file) is not None,
        text_formats.read_path_class,
    ),
    AnnotationFormat(
        "path-start-total",
        "k400/0347ZoDXyP0.mp4 0 -1",
        "VideoMAE V2 pretraining",
        text_formats.is_path_start_total,
        text_formats.read_path_start_total,
    ),
    AnnotationFormat(
        "path-total-label",
        "rawframes/abseiling/0347ZoDXyP0 300 0",
        "VideoMAE V2 fine-tuning on frames, mmaction2 rawframes",
        text_formats.is_path_total_label,
        text_formats.read_path_total_label,
    ),
    AnnotationFormat(
        "index-label-path",
        "0<tab>11<tab>climb/Silvesterklettern_climb_f_cm_np1.avi",
        "PATAN",
        text_formats.is_index_label_path,
        text_formats.read_index_label_path,
    ),
    AnnotationFormat(
        "paths",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
        "UCF101 testlist, any list without labels",
        text_formats.is_paths,
        text_formats.read_paths,
    ),
    AnnotationFormat("ids", "0347ZoDXyP0", "Mini-Kinetics-200", text_formats.is_ids, text_formats.read_ids),
    AnnotationFormat(
        "id-text",
        "1420;Pushing something so that it falls off the table",
        "Something-Something V2 test answers",
        text_formats.is_id_text,
        text_formats.read_id_text,
    ),
    AnnotationFormat(
        "class-split",
        "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1",
        "HMDB51, a file per class",
        text_formats.is_class_split,
        text_formats.read_class_split,
    ),
    AnnotationFormat(
        "kinetics",
        "abseiling,0347ZoDXyP0,95,105,train",
        "Kinetics csv",
        table_formats.is_kinetics,
        table_formats.read_kinetics,
    ),
    AnnotationFormat(
        "templates",
        '{"id": "78687", "template": "Holding [something] next to [something]", ...}',
        "Something-Something V2 json",
        table_formats.is_templates,
        table_formats.read_templates,
    ),
    AnnotationFormat(
        "table",
        '{"vid_name": "_8Vy3dlHg2w_00000", "label": 30, "start_frame": 0, "end_frame": 141}',
        "Diving48 V2 json; CSV, parquet or JSON with named columns",
        table_formats.is_table,
        table_formats.read_table,
    ),
    AnnotationFormat(
        "manifest",
        "path,bytes,modified,status,...",
        "mgm scan --out",
        table_formats.is_scan_manifest,
        table_formats.read_scan_manifest,
    ),
)


PICTURE_FORMATS = ("frames", "pictures")
"""Values of `format=` for folders of pictures."""


def format_names() -> tuple[str, ...]:
    """The values of `format=`, besides `frames` and `pictures` for folders."""
    return tuple(known.name for known in ANNOTATION_FORMATS)


def check_format(name: str | None) -> None:
    """Raise DataError if `format=` names no known format."""
    if name is not None and name not in PICTURE_FORMATS:
        _format_named(name)


def _format_named(name: str) -> AnnotationFormat:
    chosen = next((known for known in ANNOTATION_FORMATS if known.name == name), None)
    if chosen is None:
        known_names = (*format_names(), *PICTURE_FORMATS)
        raise DataError.not_one_of(f"format={name}", "unknown format", name, known_names)
    return chosen


def read_annotation(file: AnnotationFile, format_name: str | None = None) -> VideoList:
    """Parse an annotation file, in the given format or in the one that its content matches.

    Raises:
        DataError: `format_name` is unknown, no format matches or several do, or a line does not fit.
    """
    if format_name is not None:
        return _format_named(format_name).read(file)
    matching = [known for known in ANNOTATION_FORMATS if known.matches(file)]
    if len(matching) > 1:
        raise DataError(
            file.path,
            "ambiguous: could be " + " or ".join(f"{known.name} (as in '{known.example}')" for known in matching),
            advice="choose with " + " or ".join(f"format={known.name}" for known in matching),
            reason="conflict",
        )
    if not matching:
        first = file.lines[0][1] if file.lines else ""
        first = first if len(first) <= 80 else first[:77] + "..."
        raise DataError(
            file.path,
            f"first line {first!r} fits none of the formats",
            "a path and a label in each line, such as 'run/a.mp4 0' or 'a.mp4,run'",
            "'mgm data formats' shows a line of each format; set one with format=NAME",
            reason="malformed",
        )
    return matching[0].read(file)
