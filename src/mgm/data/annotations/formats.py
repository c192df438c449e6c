"""Every format of annotations that is understood: one explicit list, told apart by content."""

from __future__ import annotations

import difflib
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
        name: what `format=` takes.
        example: one line of it, or one object.
        used_by: who writes it.
        claims: whether some content looks like it.
        read: understands it; DataError names the line that does not fit.
    """

    name: str
    example: str
    used_by: str
    claims: Callable[[AnnotationFile], bool]
    read: Callable[[AnnotationFile], VideoList]


ANNOTATION_FORMATS = (
    AnnotationFormat(
        "path-label",
        "abseiling/0347ZoDXyP0_000095_000105.mp4 0",
        "VideoMAE, MAE-ST, SlowFast, V-JEPA, TATS, mmaction2, UCF101 trainlist, SIGMA's Mini-Kinetics",
        lambda content: text_formats.path_label_separator(content) is not None,
        text_formats.read_path_label,
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
    AnnotationFormat("paths", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", "UCF101 testlist, any list without labels",
           text_formats.is_paths, text_formats.read_paths),
    AnnotationFormat("ids", "0347ZoDXyP0", "Mini-Kinetics-200", text_formats.is_ids, text_formats.read_ids),
    AnnotationFormat("id-text", "1420;Pushing something so that it falls off the table", "Something-Something V2 test answers",
           text_formats.is_id_text, text_formats.read_id_text),
    AnnotationFormat("class-split", "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1", "HMDB51, a file per class",
           text_formats.is_class_split, text_formats.read_class_split),
    AnnotationFormat("kinetics", "abseiling,0347ZoDXyP0,95,105,train", "Kinetics csv",
                     table_formats.is_kinetics, table_formats.read_kinetics),
    AnnotationFormat("templates", '{"id": "78687", "template": "Holding [something] next to [something]", ...}',
           "Something-Something V2 json", table_formats.is_templates, table_formats.read_templates),
    AnnotationFormat("table", '{"vid_name": "_8Vy3dlHg2w_00000", "label": 30, "start_frame": 0, "end_frame": 141}',
           "Diving48 V2 json, CSV or JSON with named columns", table_formats.is_table, table_formats.read_table),
    AnnotationFormat("manifest", "path,bytes,modified,status,...", "mgm scan --out", table_formats.is_manifest,
           table_formats.read_scan_manifest),
)  # fmt: skip


def format_names() -> tuple[str, ...]:
    """What `format=` takes, besides `frames` and `pictures` for folders."""
    return tuple(found.name for found in ANNOTATION_FORMATS)


def read_annotation(content: AnnotationFile, forced: str | None = None) -> VideoList:
    """Tell the format of some content, and read it.

    Raises:
        DataError: no format fits, several do, there is none of the forced name, or a line does not fit.
    """
    if forced is not None:
        if forced not in format_names():
            near = difflib.get_close_matches(forced, format_names(), 1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(format_names())}"
            raise DataError(f"format={forced}: no such format; {hint}")
        return next(found for found in ANNOTATION_FORMATS if found.name == forced).read(content)
    claimed = [found for found in ANNOTATION_FORMATS if found.claims(content)]
    if len(claimed) > 1:
        could = " or ".join(f"{found.name} (as in '{found.example}')" for found in claimed)
        raise DataError(
            f"{content.path}: ambiguous: could be {could}; say which with format={claimed[0].name} or "
            + " or ".join(f"format={found.name}" for found in claimed[1:])
        )
    if not claimed:
        first = content.lines[0][1] if content.lines else ""
        first = first if len(first) <= 80 else first[:77] + "..."
        raise DataError(
            f"{content.path}: begins with {first!r}, which is none of the formats {', '.join(format_names())}; docs/data.md shows "
            "a line of each; force one with format=NAME"
        )
    return claimed[0].read(content)
