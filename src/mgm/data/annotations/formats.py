"""Every format of annotations that is understood: one explicit list, told apart by content."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from mgm.data.annotations import lists, manifests, tables
from mgm.data.annotations.content import Content
from mgm.data.annotations.listing import Listing
from mgm.errors import DataError


@dataclass(frozen=True, slots=True)
class Format:
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
    claims: Callable[[Content], bool]
    read: Callable[[Content], Listing]


FORMATS = (
    Format(
        "path-label",
        "abseiling/0347ZoDXyP0_000095_000105.mp4 0",
        "VideoMAE, MAE-ST, SlowFast, V-JEPA, TATS, mmaction2, UCF101 trainlist, SIGMA's Mini-Kinetics",
        lambda content: lists.path_label_separator(content) is not None,
        lists.read_path_label,
    ),
    Format(
        "path-start-total",
        "k400/0347ZoDXyP0.mp4 0 -1",
        "VideoMAE V2 pretraining",
        lists.is_path_start_total,
        lists.read_path_start_total,
    ),
    Format(
        "path-total-label",
        "rawframes/abseiling/0347ZoDXyP0 300 0",
        "VideoMAE V2 fine-tuning on frames, mmaction2 rawframes",
        lists.is_path_total_label,
        lists.read_path_total_label,
    ),
    Format(
        "index-label-path",
        "0<tab>11<tab>climb/Silvesterklettern_climb_f_cm_np1.avi",
        "PATAN",
        lists.is_index_label_path,
        lists.read_index_label_path,
    ),
    Format("paths", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", "UCF101 testlist, any list without labels",
           lists.is_paths, lists.read_paths),
    Format("ids", "0347ZoDXyP0", "Mini-Kinetics-200", lists.is_ids, lists.read_ids),
    Format("id-text", "1420;Pushing something so that it falls off the table", "Something-Something V2 test answers",
           lists.is_id_text, lists.read_id_text),
    Format("class-split", "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1", "HMDB51, a file per class",
           lists.is_class_split, lists.read_class_split),
    Format("kinetics", "abseiling,0347ZoDXyP0,95,105,train", "Kinetics csv", tables.is_kinetics, tables.read_kinetics),
    Format("templates", '{"id": "78687", "template": "Holding [something] next to [something]", ...}',
           "Something-Something V2 json", tables.is_templates, tables.read_templates),
    Format("table", '{"vid_name": "_8Vy3dlHg2w_00000", "label": 30, "start_frame": 0, "end_frame": 141}',
           "Diving48 V2 json, CSV or JSON with named columns", tables.is_table, tables.read_table),
    Format("manifest", "path,bytes,modified,status,...", "mgm scan --out", manifests.is_manifest,
           manifests.read_manifest_listing),
)  # fmt: skip


def format_names() -> tuple[str, ...]:
    """What `format=` takes, besides `frames` and `pictures` for folders."""
    return tuple(found.name for found in FORMATS)


def read_listing(content: Content, forced: str | None = None) -> Listing:
    """Tell the format of some content, and read it.

    Raises:
        DataError: no format fits, several do, there is none of the forced name, or a line does not fit.
    """
    if forced is not None:
        if forced not in format_names():
            near = difflib.get_close_matches(forced, format_names(), 1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(format_names())}"
            raise DataError(f"format={forced}: no such format; {hint}")
        return next(found for found in FORMATS if found.name == forced).read(content)
    claimed = [found for found in FORMATS if found.claims(content)]
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
