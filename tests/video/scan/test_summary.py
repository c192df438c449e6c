"""Sums over the records of a scan."""

import pytest

from mgm.video.scan.record import VideoRecord
from mgm.video.scan.summary import ScanSummary, size_class


@pytest.mark.parametrize(
    ("size", "name"),
    [((340, 256), "360p"), ((240, 320), "240p"), ((1920, 1080), "1080p"), ((64, 9), "144p"), ((8000, 5000), "5000p")],
)
def test_size_classes(size: tuple[int, int], name: str):
    assert size_class(*size) == name


def test_a_summary_counts_by_codec_size_and_status():
    h264 = {"codec": "h264", "width": 340, "height": 256, "frames": 10}
    records = [
        VideoRecord(
            path="a", bytes=1, status="ok", fps=25, seconds=0.4, vectors=0.5, motion=2, motion_source="codec", **h264
        ),
        VideoRecord(path="b", bytes=1, status="ok", fps=30, vectors=1, motion=4, motion_source="codec", **h264),
        VideoRecord(path="c", bytes=1, status="damaged", problem="c: damaged", **h264),
        VideoRecord(path="d", bytes=0, status="empty", problem="d: empty"),
        VideoRecord(path="e", bytes=0, status="empty", problem="e: empty"),
    ]
    summary = ScanSummary(limit=2)
    for record in records:
        summary.add(record)
    assert (summary.files, summary.readable, summary.with_motion) == (5, 2, 2)
    assert set(summary.sizes) == {("h264", "340x256", "ok"), ("h264", "340x256", "damaged"), ("-", "-", "empty")}
    assert set(summary.classes) == {("h264", "360p", "ok"), ("h264", "360p", "damaged"), ("-", "-", "empty")}
    good = summary.sizes["h264", "340x256", "ok"]
    assert (good.files, good.frames, good.seconds, good.untimed, good.rates) == (2, 20, 0.4, 1, (25, 30))
    assert (good.vectors, good.motion, good.moving, good.sources) == (1.5, 6, 2, {"codec"})
    assert summary.problems == {"damaged": (1, records[2]), "empty": (2, records[3])}
    assert (summary.broken, summary.others) == (records[2:4], [])
