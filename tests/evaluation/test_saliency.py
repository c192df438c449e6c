import csv
import json

import numpy as np
import pytest

import mgm
from mgm.data.items import VideoItem, VideoSet
from mgm.data.synthetic.known_motion import object_over_pan_frames, translating_frames
from mgm.errors import ConfigError, DataError
from mgm.evaluation import saliency
from mgm.evaluation.saliency import MaskClip, advise, check_cameras, frame_saliency
from mgm.training.results import read_results
from mgm.video.motion.field import MotionField
from mgm.video.transcode.write import write_video
from tests.errors import raises

ONE_REFERENCE = {"bf": 0, "refs": 1, "crf": 10}


SIZE, BOX = (192, 384), (48, 48, 144, 144)


def two_halves(path, left, right, *, frames=12):
    """A video whose left and right half translate by (dx, dy) each, and boxes in the left half, in a table beside it.

    The box keeps away from the seam, where blocks mix both motions, and from the border, where content enters.
    """
    half = (SIZE[0], SIZE[1] // 2)
    sides = zip(
        translating_frames(velocity=left, frames=frames, size=half, seed=1),
        translating_frames(velocity=right, frames=frames, size=half, seed=2),
        strict=True,
    )
    write_video(path, (np.concatenate(both, axis=1) for both in sides), fps=25, options=ONE_REFERENCE)
    with path.with_suffix(".csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("video", "frame", "x0", "y0", "x1", "y1"))
        table.writerows((path.name, frame, *BOX) for frame in range(frames))
    return path, path.with_suffix(".csv")


def known_ratio(left, right):
    """The speed in the box / the mean speed of the rest of the left half and of the right one."""
    box, half = (BOX[2] - BOX[0]) * (BOX[3] - BOX[1]), SIZE[0] * SIZE[1] // 2
    speeds = np.hypot(*left), np.hypot(*right)
    return speeds[0] / ((speeds[0] * (half - box) + speeds[1] * half) / (2 * half - box))


@pytest.mark.parametrize(("left", "right"), [((4, 0), (2, 0)), ((0, 1), (3, 4)), ((2, 1), (1, 2)), ((-3, 0), (0, 0))])
def test_the_ratio_of_known_motion(tmp_path, left, right):
    video, boxes = two_halves(tmp_path / "halves.mp4", left, right)
    report = mgm.saliency(video, boxes=boxes, cameras=["none"])
    (found,) = report.found
    assert found.ratio == pytest.approx(known_ratio(left, right), rel=0.02)
    assert found.frames == 11  # the keyframe has no vectors
    assert found.median == found.ratio  # of one video


def test_the_camera_is_subtracted(tmp_path):
    """A square that moves by 4 px over a background that pans by 2 px: the background stands still without the pan."""
    shown = object_over_pan_frames(pan=(2, 0), velocity=(-2, 0), side=64, frames=12, size=(192, 256))
    frames, boxes = zip(*shown, strict=True)
    path = tmp_path / "a" / "pan.mp4"
    write_video(path, frames, fps=25, options=ONE_REFERENCE)
    entries = [{"frame": n, "boxes_xyxy": [list(box)]} for n, box in enumerate(boxes)]
    path.with_suffix(".json").write_text(json.dumps({"frames": entries}))
    none, median = mgm.saliency(tmp_path / "a", cameras=["none", "median"]).found  # boxes beside the video
    assert none.ratio < 1.2  # 2 px inside, 2 px outside
    assert median.ratio > 5


def test_areas_are_exact():
    """A cell of 8 px whose left quarter is in the box, and a frame that ends within its last cells."""
    vectors = np.zeros((1, 2, 2, 2), np.float32)
    vectors[0, :, 0, 0], vectors[0, :, 1, 0] = 3, 5
    field = MotionField(vectors, np.ones((1, 2, 2), bool), "codec", (12, 12))
    found = frame_saliency(field, [np.array([[0.0, 0, 2, 40]])])
    np.testing.assert_allclose(found, [[3 * 24, 24, 3 * 72 + 5 * 48, 6 * 12 + 4 * 12]])


def test_boxes_that_overlap_count_once():
    field = MotionField(np.ones((1, 2, 2, 2), np.float32), np.ones((1, 2, 2), bool), "codec", (16, 16))
    once = frame_saliency(field, [np.array([[0.0, 0, 8, 8]])])
    np.testing.assert_allclose(frame_saliency(field, [np.array([[0.0, 0, 8, 8], [2, 2, 8, 8]])]), once)


def test_several_videos_are_pooled_and_recorded(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for number, speed in enumerate((4, 2, 1)):
        two_halves(folder / f"{number}.mp4", (speed, 0), (1, 0))
    tables = [(folder / f"{n}.csv").read_text().splitlines() for n in range(3)]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("\n".join([tables[0][0], *(line for table in tables[:2] for line in table[1:])]))
    for n in range(3):
        (folder / f"{n}.csv").unlink()
    out = tmp_path / "saliency.json"
    clip = MaskClip(frames=4, stride=2, size=64, patch=8)
    told: list[str] = []
    report = mgm.saliency(
        folder, boxes=boxes, cameras=["none"], masks=["mgm", "tube"], clip=clip, out=out, progress=told.append
    )
    assert told[-1] == "camera none: masks of 1 of 3 videos"  # the third has no boxes
    (found,) = report.found
    np.testing.assert_allclose(found.of_videos, [known_ratio((v, 0), (1, 0)) for v in (4, 2)], rtol=0.02)
    assert found.of_videos.min() < found.ratio < found.of_videos.max()
    np.testing.assert_allclose(found.interval, sorted(found.of_videos))  # of two videos, some resamples have one twice
    assert list(report.without) == [str(folder / "2.mp4")]
    shares = {mask.name: mask for mask in found.masks}
    assert shares["tube"].objects == pytest.approx(0.75, abs=0.05)
    (record,) = read_results(out)
    assert (record.kind, record.videos.incomplete) == ("saliency", "incomplete (2 of 3)")
    assert record.metric("r_bbox / r_non_bbox").value == pytest.approx(found.ratio)
    assert record.metric("objects hidden by tube").value == shares["tube"].objects


def test_parts_of_a_video_add_up(tmp_path):
    video, boxes = two_halves(tmp_path / "halves.mp4", (4, 0), (2, 0))
    parts = tuple(VideoItem(str(video), None, start, end) for start, end in ((0, 5), (5, None)))
    whole, divided = (
        mgm.saliency(VideoSet("set", items, (), (), "none"), boxes=boxes, cameras=["none"]).found[0]
        for items in ((VideoItem(str(video)),), parts)
    )
    np.testing.assert_allclose(divided.sums, whole.sums)
    assert (divided.frames, divided.paths) == (11, (str(video),))


def test_masks_are_graded_on_the_middle_of_each_part(tmp_path, monkeypatch):
    video, boxes = two_halves(tmp_path / "halves.mp4", (4, 0), (2, 0))
    read, clips = saliency.read_any, []

    def watched(path, **options):
        clips.append((options["frame_indices"].tolist(), options["policy"]))
        return read(path, **options)

    monkeypatch.setattr(saliency, "read_any", watched)
    parts = tuple(VideoItem(str(video), None, start, end) for start, end in ((0, 5), (5, None)))
    clip = MaskClip(frames=2, stride=2, size=64, patch=8)
    report = mgm.saliency(
        VideoSet("set", parts, (), (), "none"),
        boxes=boxes, cameras=["none"], masks=["tube"], clip=clip, policy="sampled",
    )  # fmt: skip
    assert clips == [([1, 3], "sampled"), ([7, 9], "sampled")]
    assert report.found[0].masks[0].clips == 2


def test_advice_follows_the_figures():
    still, moves = (0.9, (0.7, 1.2)), (2.0, (1.5, 2.5))
    assert "use mask random" in advise({"none": still, "affine": still})
    by_target = "With pixels as the only target use mask mgm; with the motion as a second target, tube"
    for figures, camera in (
        ({"none": still, "affine": moves}, "affine"),
        ({"none": moves, "affine": (2.1, (1.6, 2.6))}, "none"),
    ):
        assert f"data.camera={camera}. {by_target}" in advise(figures)


def test_wrong_input(tmp_path):
    video, boxes = two_halves(tmp_path / "halves.mp4", (1, 0), (2, 0), frames=3)
    boxes.write_text(boxes.read_text().replace("halves.mp4", "other.mp4"))
    with raises(DataError, "missing_value", message="saliency-no-boxes"):
        mgm.saliency(video, boxes=boxes)
    boxes.unlink()
    with raises(DataError, "missing_value", message="saliency-no-boxes-beside"):
        mgm.saliency(video)
    with raises(ConfigError, "unknown_name", message="saliency-camera"):
        check_cameras("none,pan")
