"""Boxes beside videos."""

import json
from pathlib import Path

from mgm.data.boxes import read_boxes
from mgm.errors import DataError
from tests.errors import raises


def test_a_videos_own_boxes_take_precedence_over_those_of_the_folder(tmp_path: Path) -> None:
    frames = [{"frame": 0, "boxes_xyxy": [[1, 2, 3, 4]]}]
    (tmp_path / "boxes.json").write_text(json.dumps({"frames": frames}))
    assert [boxes.tolist() for boxes in read_boxes(tmp_path / "a.mp4") or []] == [[[1, 2, 3, 4]]]
    (tmp_path / "a.json").write_text(json.dumps({"note": "nothing of boxes"}))
    assert read_boxes(tmp_path / "a.mp4") is not None
    (tmp_path / "a.json").write_text(json.dumps({"frames": [{"frame": 0, "boxes_xyxy": [[5, 6, 7, 8]]}]}))
    assert [boxes.tolist() for boxes in read_boxes(tmp_path / "a.mp4") or []] == [[[5, 6, 7, 8]]]
    (tmp_path / "boxes.json").write_text("[]")
    assert read_boxes(tmp_path / "b.mp4") is None


def test_videos_without_boxes_and_with_broken_ones(tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    assert read_boxes(video) is None
    video.with_suffix(".json").write_text('{"frames": [{"frame": 2, "boxes_xyxy": [[1, 2, 3, 4]]}]}')
    assert [len(boxes) for boxes in read_boxes(video) or []] == [0, 0, 1]
    for foreign in ("{", "[]", '{"url": 1}'):  # many collections have other JSON files beside videos
        video.with_suffix(".json").write_text(foreign)
        assert read_boxes(video) is None
    for broken in ('{"frames": [{"frame": 0}]}', '{"frames": [{"frame": 0, "boxes_xyxy": [[1, 2]]}]}'):
        video.with_suffix(".json").write_text(broken)
        with raises(DataError, "malformed", subject=tmp_path / "clip.json"):
            read_boxes(video)


def test_a_given_file_must_contain_boxes(tmp_path: Path) -> None:
    with raises(DataError, "malformed", subject=tmp_path / "gone.json", message="boxes-none-found"):
        read_boxes(tmp_path / "clip.mp4", file=tmp_path / "gone.json")
