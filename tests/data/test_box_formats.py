"""Boxes of two frames of one video in every format."""

import json

import numpy as np
import pytest

from mgm.data.box_formats import boxes_beside, read_box_file
from mgm.errors import DataError
from tests.errors import raises

FIRST, SECOND = [[10, 20, 30, 60]], [[11.5, 20, 31.5, 60], [0, 0, 5, 5]]


def something_else(boxes, number):
    sides = ("x1", "y1", "x2", "y2")
    return {
        "name": f"v/{number:04}.jpg",
        "labels": [{"box2d": dict(zip(sides, box, strict=True)), "category": "hand"} for box in boxes],
    }


def sides(box):
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


def rows(name="", *, start=0):
    return [
        (*([name] * bool(name)), frame + start, *box) for frame, boxes in enumerate((FIRST, SECOND)) for box in boxes
    ]


def lines(table):
    return "\n".join(",".join(map(str, row)) for row in table) + "\n"


COCO = {
    "videos": [{"id": 7, "name": "v", "height": 100, "width": 200}],
    "images": [{"id": n + 1, "video_id": 7, "frame_index": n, "file_name": f"v/{n}.jpg"} for n in range(2)],
    "annotations": [
        {"image_id": frame + 1, "bbox": sides(box)} for frame, boxes in enumerate((FIRST, SECOND)) for box in boxes
    ],
}
VIS = {
    "videos": [{"id": 7, "file_names": ["v/00000.jpg", "v/00001.jpg"]}],
    "annotations": [
        {"video_id": 7, "bboxes": [sides(FIRST[0]), sides(SECOND[0])]},
        {"video_id": 7, "bboxes": [None, sides(SECOND[1])]},
    ],
}
FILES = {
    "csv": lines([("video", "frame", "x0", "y0", "x1", "y1"), *rows("v.mp4")]),
    "csv with sides": lines(
        [("path", "frame", "x", "y", "w", "h"), *(("v.mp4", n, *sides(box)) for _, n, *box in rows("v"))]
    ),
    "MOT": lines(
        [(n, 1, *sides(box), 1, -1, -1, -1) for n, *box in rows(start=1)] + [(1, 9, 0, 0, 9, 9, 0, -1, -1, -1)]
    ),
    "Something-Else": json.dumps({"v": [something_else(FIRST, 1), something_else(SECOND, 2)]}),
    "COCO": json.dumps(COCO),
    "COCO tracks": json.dumps(VIS),
    "frames": json.dumps({"frames": [{"frame": 0, "boxes_xyxy": FIRST}, {"frame": 1, "boxes_xyxy": SECOND}]}),
}


@pytest.mark.parametrize("name", FILES)
def test_boxes_of_every_format(tmp_path, name):
    path = tmp_path / "boxes.txt"
    path.write_text(FILES[name])
    found = read_box_file(path)
    assert name.startswith(found.format)
    video = found.find("/videos/v.mp4")
    assert sorted(video.frames) == [0, 1]
    np.testing.assert_allclose(video.frames[0], FIRST)
    np.testing.assert_allclose(video.frames[1], SECOND)
    assert (found.find("other.mp4") is None) == (name not in ("MOT", "frames"))  # which are of one video


def test_a_sequence_of_mot_has_its_name(tmp_path):
    path = tmp_path / "MOT17-02" / "gt" / "gt.txt"
    path.parent.mkdir(parents=True)
    path.write_text(FILES["MOT"])
    assert list(read_box_file(path).videos) == ["MOT17-02"]


def test_boxes_follow_the_size_of_the_video(tmp_path):
    (tmp_path / "coco.json").write_text(FILES["COCO"])
    video = read_box_file(tmp_path / "coco.json").find("v.mp4")
    assert video.size == (100, 200)
    np.testing.assert_allclose(video.scaled(50, 400).frames[0], [[20, 10, 60, 30]])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a,b\n1,2\n", "columns"),
        ("video,frame,x0,y0,x1,y1\nv,0,5,5,1,1\n", "swapped"),
        ("video,frame,x0,y0,x1,y1\nv,zero,0,0,1,1\n", "frame"),
        ('{"a": 1}', "layout"),
        ("{", "json"),
        ("1,2,3\n", "mot"),
        ("1,1,nan,0,1,1\n", "nan"),
    ],
)
def test_a_file_that_is_wrong(tmp_path, text, key):
    (tmp_path / "boxes").write_text(text)
    with raises(DataError, "malformed", subject=tmp_path / "boxes", message=f"box-file-{key}"):
        read_box_file(tmp_path / "boxes")
    with raises(DataError, "not_found"):
        read_box_file(tmp_path / "absent")


def test_boxes_beside_a_video(tmp_path):
    (tmp_path / "a.json").write_text(FILES["frames"])
    assert sorted(boxes_beside(str(tmp_path / "a.mp4")).frames) == [0, 1]
    assert boxes_beside(str(tmp_path / "b.mp4")) is None
