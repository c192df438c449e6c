"""A preview shows the clip that the masks were drawn on, with the truth where there is one."""

import numpy as np
import pytest

from mgm.data.synthetic import make_translation
from mgm.errors import MgmError
from mgm.masks import mask_names
from mgm.show.preview import PreviewSettings, preview, preview_clip


def test_rows_are_of_one_length_and_size(tmp_path):
    make_translation(tmp_path / "a.mp4", velocity=(2, 1), frames=20, size=(64, 96))
    settings = PreviewSettings(frames=8, stride=2, size=64, patch=8, masks=mask_names())
    shown = preview_clip(tmp_path / "a.mp4", settings=settings)
    labels = [label for label, _ in shown.rows()]
    assert labels == ["frames", "motion", *mask_names()]
    assert {frames.shape for _, frames in shown.rows()} == {(8, 64, 64, 3)}
    assert shown.boxes is None
    assert all(s.object_share is None for s in shown.statistics.values())
    assert all(
        s.motion_share == pytest.approx(0.75, abs=0.1) for s in shown.statistics.values()
    )  # all of it moves alike


def test_boxes_of_synthetic_videos_are_used(tiny_set):
    video = next((tiny_set / "test" / "right").glob("*.mp4"))
    settings = PreviewSettings(frames=8, stride=1, size=96, patch=16, masks=("mgm", "tube"))
    shown = preview_clip(video, settings=settings)
    assert shown.boxes is not None
    assert len(shown.boxes) == 8
    assert np.concatenate(shown.boxes).max() <= 96
    assert shown.statistics["mgm"].object_share is not None


def test_without_motion_mgm_falls_back_and_says_so(tmp_path):
    make_translation(tmp_path / "a.webm", velocity=(2, 1), frames=20, size=(64, 64), codec="libvpx-vp9")
    settings = PreviewSettings(frames=8, stride=2, size=64, patch=8, motion=None)
    shown = preview_clip(tmp_path / "a.webm", settings=settings)
    assert [label for label, _ in shown.rows()] == ["frames", "mgm"]
    assert shown.statistics["mgm"].fallback_share == 1.0


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        make_translation(tmp_path / folder / "a.mp4", velocity=(2, 1), frames=20, size=(64, 64))
    settings = PreviewSettings(frames=4, stride=1, size=64, patch=16)
    made = preview(
        [tmp_path / "x" / "a.mp4", tmp_path / "y" / "a.mp4"], out=tmp_path / "out", settings=settings, moving=False
    )
    assert [path.name for _, path in made] == [f"{tmp_path.name}_{folder}_a.png" for folder in ("x", "y")]
    assert not list((tmp_path / "out").glob("*.webp"))


def test_a_clip_that_does_not_divide_into_tokens_is_an_error(tmp_path):
    with pytest.raises(MgmError, match="do not divide into tokens"):
        preview_clip(tmp_path / "a.mp4", settings=PreviewSettings(size=100, patch=16))
