"""Synthetic video: its ground truth is right, only motion determines the class, and a run can be interrupted or repeated."""

import json
import math
from collections import Counter
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from mgm.data.boxes import read_boxes
from mgm.data.synthetic.labelled import HEADINGS, MOTIONS, TEXTURES, SyntheticClip, draw_labelled_clip, make_dataset
from mgm.data.synthetic.rendering import Track, draw_appearance, render
from mgm.errors import DataError
from tests.errors import raises
from tests.video.clips import decode_by_pyav

SMALL = {"train": 10, "test": 8, "frames": 6, "size": 64}


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def dataset_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "set"
    make_dataset(root, **SMALL, workers=1)
    return root


@pytest.fixture(scope="module")
def clips() -> dict[str, list[SyntheticClip]]:
    """Forty clips of every class, each with its own look."""
    return {
        label: [draw_labelled_clip(label, frames=8, size=32, pan=0.5, seed=(i, k)) for i in range(40)]
        for k, label in enumerate(MOTIONS.classes)
    }


def test_translation_moves_the_boxes_by_the_velocity() -> None:
    checked = 0
    for i in range(60):
        clip = draw_labelled_clip("right", frames=4, size=128, pan=1, seed=(i,))
        whole = [boxes[0] for boxes in clip.boxes if len(boxes) == 1]
        if len(whole) == 4:
            np.testing.assert_allclose((whole[3] - whole[0]) / 3, np.tile(clip.velocity, 2), atol=0.7)
            assert 2 <= clip.velocity[0] * 48 / 128 <= 3.5
            checked += 1
    assert checked >= 3


def test_headings_are_eight_directions_clockwise() -> None:
    for number, label in enumerate(HEADINGS.classes):
        clips = [draw_labelled_clip(label, HEADINGS, frames=2, size=64, pan=0, seed=(i,)) for i in range(10)]
        angles = [math.degrees(math.atan2(clip.velocity[1], clip.velocity[0])) for clip in clips]
        assert all(abs((angle - 45 * number + 180) % 360 - 180) <= 6 for angle in angles)
        assert all(clip.growth == 1 and clip.turn == 0 for clip in clips)


def test_a_set_of_another_task_is_refused(dataset_root: Path) -> None:
    with raises(DataError, "exists", subject=dataset_root):
        make_dataset(dataset_root, HEADINGS, **SMALL)


def test_signs_of_growth_and_turn(clips: dict[str, list[SyntheticClip]]) -> None:
    assert all(clip.growth > 1 for clip in clips["growing"])
    assert all(clip.growth < 1 for clip in clips["shrinking"])
    assert all(clip.turn > 0 for clip in clips["turning_cw"])
    assert all(clip.turn < 0 for clip in clips["turning_ccw"])
    for label in ("left", "up"):
        assert all(clip.growth == 1 and clip.turn == 0 and min(clip.velocity) < 0 for clip in clips[label])
    changes = {}
    for label in ("growing", "shrinking"):
        areas = np.array([[covered_area(boxes) for boxes in clip.boxes] for clip in clips[label]])
        changes[label] = np.median(np.diff(areas, axis=1))
    assert changes["growing"] > 0 > changes["shrinking"]


def covered_area(boxes: npt.NDArray[np.int64]) -> int:
    return int(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum())


def test_the_first_frame_is_the_same_in_every_class() -> None:
    first = [draw_labelled_clip(label, frames=2, size=64, pan=0.5, seed=(7,)) for label in MOTIONS.classes]
    for clip in first[1:]:
        np.testing.assert_array_equal(clip.frames[0], first[0].frames[0])
        assert (clip.frames[1] != first[0].frames[1]).any()
        assert clip.pan == first[0].pan


@pytest.mark.parametrize("t", [0, 4, 7])
def test_statistics_of_a_frame_do_not_depend_on_the_class(clips: dict[str, list[SyntheticClip]], t: int) -> None:
    def statistics(clip: SyntheticClip) -> list[float]:
        largest = max(clip.boxes[t], key=lambda box: covered_area(box[None]))
        frame = clip.frames[t]
        return [*frame.mean((0, 1)), frame.std(), covered_area(clip.boxes[t]), *largest, len(clip.boxes[t])]

    by_class = np.array([[statistics(clip) for clip in clips[label]] for label in MOTIONS.classes])
    deviation = (by_class.mean(1) - by_class.mean((0, 1))) / (by_class.std((0, 1)) / 40**0.5)
    # 72 statistics of unit variance; a class that sat to one side by half its spread would show as 3.2 on average.
    assert np.abs(deviation).max() < 4
    assert (deviation**2).mean() < 1.6


def test_pan_is_independent_of_the_class_and_moves_the_background(clips: dict[str, list[SyntheticClip]]) -> None:
    shares = [np.mean([any(clip.pan) for clip in clips[label]]) for label in MOTIONS.classes]
    assert 0.2 < min(shares) <= max(shares) < 0.8
    flat = draw_labelled_clip("growing", frames=4, size=64, pan=0, seed=(1,))
    assert flat.pan == (0, 0)
    outside = np.ones((64, 64), bool)
    for boxes in flat.boxes:
        for x0, y0, x1, y1 in boxes:
            outside[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1] = False
    assert outside.any()
    assert (flat.frames[:, outside] == flat.frames[0, outside]).all()
    track = Track(np.tile((32.0, 32.0), (2, 1)), np.full(2, 10.0), np.zeros(2), np.array([[0, 0], [3.0, -2.0]]))
    frames, _ = render(draw_appearance(np.random.default_rng(0)), track, size=64)
    difference = frames[1, :10, 3:].astype(int) - frames[0, 2:12, :-3]
    assert np.abs(difference).max() <= 1


def test_dataset_has_balanced_classes_exact_frames_and_ground_truth(dataset_root: Path) -> None:
    videos = sorted(dataset_root.rglob("*.mp4"))
    assert Counter(path.parts[-3] for path in videos) == {"train": 10, "test": 8}
    assert set(Counter(path.parent.name for path in videos if "train" in path.parts).values()) == {1, 2}
    for path in videos:
        frames, boxes = decode_by_pyav(path), read_boxes(path)
        assert frames.shape == (6, 64, 64, 3)
        assert boxes is not None
        assert len(boxes) == 6
        assert all(1 <= len(box) <= 4 and box.dtype == np.float32 for box in boxes)
        truth = json.loads(path.with_suffix(".json").read_text())
        assert truth["class"] == path.parent.name
        assert (np.hypot(*truth["velocity"]) > 0) == (truth["class"] in MOTIONS.classes[:4])
    with av.open(str(videos[0])) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.has_b_frames


def test_the_number_of_workers_changes_no_byte_and_the_seed_does(dataset_root: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    made = make_dataset(tmp_path / "a", **SMALL, workers=3, progress=lambda done, total: seen.append((done, total)))
    assert made.made == 18
    assert seen == [(i, 18) for i in range(1, 19)]
    assert contents(tmp_path / "a") == contents(dataset_root)
    other = make_dataset(tmp_path / "b", **SMALL, seed=1)
    assert other.train[0].read_bytes() != made.train[0].read_bytes()


def test_a_finished_dataset_is_reused_and_a_broken_one_completed(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "set", **SMALL)
    before = contents(tmp_path / "set")
    assert make_dataset(tmp_path / "set", **SMALL).made == 0
    made.train[3].unlink()
    again = make_dataset(str(tmp_path / "set"), **SMALL)
    assert again.made == 1
    assert again.train == made.train
    assert contents(tmp_path / "set") == before


def test_foreign_directories_are_refused_untouched(dataset_root: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine")
    with raises(DataError, "exists", subject=tmp_path, message="synthetic-foreign-folder"):
        make_dataset(tmp_path, **SMALL)
    assert contents(tmp_path) == {"holiday.txt": b"mine"}
    before = contents(dataset_root)
    with raises(DataError, "exists", subject=dataset_root, message="synthetic-other-parameters"):
        make_dataset(dataset_root, **SMALL, pan=0.25)
    assert contents(dataset_root) == before
    with raises(DataError, "invalid_value", subject="size", message="synthetic-odd-size"):
        make_dataset(tmp_path / "odd", train=1, test=0, size=65)
    assert not (tmp_path / "odd").exists()


def test_the_background_decides_where_motion_distracts() -> None:
    clips = {
        label: [draw_labelled_clip(label, TEXTURES, frames=2, size=64, pan=0, seed=(i,)) for i in range(40)]
        for label in TEXTURES.classes
    }
    roughness = [
        np.mean([np.abs(np.diff(clip.frames[0].astype(float).mean(-1))).mean() for clip in of_class])
        for of_class in clips.values()
    ]
    assert roughness[::2] == sorted(roughness[::2])  # neighbours differ by less than the clips of a class
    angles = np.array([[math.atan2(*clip.velocity[::-1]) for clip in of_class] for of_class in clips.values()])
    assert (angles == angles[0]).all()  # the class says nothing about the motion
    assert len(np.unique(np.round(angles[0] / (math.pi / 4)))) >= 6
