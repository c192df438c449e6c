"""A preview shows the clip that the masks were drawn on, with the truth where there is one."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from mgm.data.annotations import VideoItem
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import ConfigError, DataError
from mgm.masks import list_masks
from mgm.show.figures import paint_visibility
from mgm.show.preview import PreviewSettings, preview_clip
from mgm.show.preview_set import middle_of_part, picture_names, preview, write_statistics
from mgm.show.preview_sheet import draw_preview
from mgm.show.style import HIDDEN, VEIL
from mgm.video.container.stream import decode_all, open_video
from tests.errors import raises


def test_rows_are_of_one_length_and_size(tmp_path):
    make_translation(tmp_path / "a.mp4", velocity=(2, 1), frames=20, size=(64, 96))
    settings = PreviewSettings(frames=8, stride=2, size=64, patch=8, masks=list_masks())
    shown = preview_clip(tmp_path / "a.mp4", settings=settings)
    labels = [label for label, _ in shown.rows()]
    assert labels == ["frames", "motion", *list_masks()]
    assert {frames.shape for _, frames in shown.rows()} == {(8, 64, 64, 3)}
    assert shown.boxes is None
    assert all(s.object_share is None for s in shown.statistics.values())
    # all of it moves alike
    assert all(s.motion_share == pytest.approx(0.75, abs=0.1) for s in shown.statistics.values())


def test_boxes_of_synthetic_videos_are_used(tiny_set):
    video = next((tiny_set / "test" / "right").glob("*.mp4"))
    settings = PreviewSettings(frames=8, stride=1, size=96, patch=16, masks=("mgm", "tube"))
    shown = preview_clip(video, settings=settings)
    assert shown.boxes is not None
    assert len(shown.boxes) == 8
    assert np.concatenate(shown.boxes).max() <= 96
    assert shown.statistics["mgm"].object_share is not None


def test_without_motion_mgm_falls_back(tmp_path):
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
    assert not list((tmp_path / "out").glob("*.mp4"))


def test_videos_that_differ_by_suffix_case_or_part_have_pictures_of_their_own(tmp_path):
    names = picture_names(["v/a.mp4", "v/a.mkv", "v/A.avi", "v/a-2.mp4", "v/a.mp4", "w/a.mp4"])
    assert [name.rpartition("_")[2] for name in names] == ["a", "a-2", "A-3", "a-2-2", "a-4", "a"]
    assert len({name.casefold() for name in names}) == 6


def test_a_clip_that_does_not_divide_into_tokens_is_an_error(tmp_path):
    with raises(ConfigError, "mismatch", subject="preview", message="preview-tokens"):
        preview_clip(tmp_path / "a.mp4", settings=PreviewSettings(size=100, patch=16))


def test_the_statistics_are_of_many_draws(tiny_set):
    video = next((tiny_set / "test" / "right").glob("*.mp4"))
    settings = PreviewSettings(frames=8, stride=1, size=96, patch=16, masks=("mgm", "tube", "motion-topk"), draws=30)
    shown = preview_clip(video, settings=settings)
    assert {s.draws for s in shown.draws.values()} == {30}
    assert shown.draws["tube"].never_visible == 0
    assert shown.draws["motion-topk"].overlap > shown.draws["tube"].overlap + 0.1  # only ties are left to chance
    assert shown.draws["tube"].overlap == pytest.approx(0.75**2 / (1 - 0.25**2), abs=0.05)
    assert all(s.object_share is not None for s in shown.draws.values())
    hidden, overlap, never = shown.notes()["tube"]
    assert hidden.startswith("hidden 75%, motion ")
    assert ", object " in hidden
    assert overlap.startswith("IoU of steps 1.00, of draws 0.")
    assert never == "never visible 0 of 36"


def test_the_picture_shows_how_often_each_place_is_seen():
    seen = paint_visibility(np.array([[0.0, 0.25], [0.25, 0.5]]), white=0.5)
    assert seen.shape == (2, 2, 3)
    assert tuple(seen[0, 0]) == VEIL
    assert (seen[1, 1] == 255).all()
    assert (seen[0, 1] == seen[1, 0]).all()


def test_picture_video_and_numbers_of_a_clip(tmp_path):
    make_translation(tmp_path / "a.mp4", velocity=(2, 1), frames=20, size=(64, 96), fps=20)
    settings = PreviewSettings(frames=8, stride=2, size=64, patch=8, masks=("mgm", "tube", "frame"), draws=3)
    made = preview([tmp_path / "a.mp4"], out=tmp_path / "out", settings=settings)
    ((shown, picture),) = made
    with open_video(picture.with_suffix(".mp4"), vectors=False) as opened:
        frames = [frame.to_ndarray(format="rgb24") for frame in decode_all(opened)]
        assert opened.stream.average_rate == 10  # stride 2 of 20 frames a second
    assert len(frames) == 3 * 8
    # Five panels in two rows of three, the first one of the frames themselves.
    assert frames[0].shape[1] == 3 * (224 + 8) + 8
    first = frames[5][8 : 8 + 224, 8 : 8 + 224].astype(float)
    expected = np.asarray(Image.fromarray(shown.clip.frames[5]).resize((224, 224), Image.Resampling.LANCZOS))
    assert np.abs(first - expected).mean() < 6
    rows = list(csv.DictReader(write_statistics(tmp_path / "s.csv", made).read_text().splitlines()))
    assert [row["mask"] for row in rows] == ["mgm", "tube", "frame"]
    assert rows[1]["step_iou"] == "1.0"
    assert rows[1]["object_share"] == ""


def test_boxes_from_another_file(tmp_path):
    make_translation(tmp_path / "a.mp4", velocity=(2, 1), frames=8, size=(64, 64))
    boxes = [{"frame": i, "boxes_xyxy": [[8, 8, 24, 40]]} for i in range(8)]
    (tmp_path / "truth.json").write_text(json.dumps({"frames": boxes}))
    settings = PreviewSettings(frames=8, stride=1, size=64, patch=16, masks=("tube",), draws=2)
    shown = preview_clip(tmp_path / "a.mp4", settings=settings, boxes=tmp_path / "truth.json")
    assert shown.boxes is not None
    np.testing.assert_array_equal(shown.boxes[0], [[8, 8, 24, 40]])
    assert shown.draws["tube"].object_share is not None
    for text in ("{", "{}", "[]"):
        (tmp_path / "none.json").write_text(text)
        with pytest.raises(DataError, match=r"none.json"):
            preview_clip(tmp_path / "a.mp4", settings=settings, boxes=tmp_path / "none.json")
    with pytest.raises(DataError, match=r"absent.json"):
        preview_clip(tmp_path / "a.mp4", settings=settings, boxes=tmp_path / "absent.json")


def test_a_part_is_shown_from_its_middle():
    settings = PreviewSettings(frames=4, stride=3)  # a clip spans 10 frames
    assert middle_of_part(VideoItem("a.mp4"), settings) is None  # the middle of the file
    assert middle_of_part(VideoItem("a.mp4", None, 30), settings) == 30
    assert middle_of_part(VideoItem("a.mp4", None, 30, 60), settings) == 40
    assert middle_of_part(VideoItem("a.mp4", None, 30, 35), settings) == 30


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    return make_translation(tmp_path_factory.mktemp("v") / "a.mp4", velocity=(2, 1), frames=20, size=(64, 96))


def small(*masks, **options):
    return PreviewSettings(frames=4, stride=2, size=64, patch=16, masks=masks, draws=2, **options)


def test_every_sheet_says_what_pretraining_hides(moving):
    shown = preview_clip(
        moving, settings=small("mgm", ratio=0.5, options={"mgm": {"boundary": "grow"}}, origin="a recipe")
    )
    made = draw_preview(shown, columns=2)
    words = "\n".join(made.words)
    assert made.words[0] == "mgm: 50% hidden"
    assert "a.mp4: 4 frames from frame 6, stride 2, 64 px; 2 x 4 x 4 tokens" in words
    assert "motion: codec, camera none; mgm: border rule grow; seed 0" in words
    assert "settings of a recipe" in words
    assert {"frames", "motion", "mgm", "hidden from the encoder", "visibility over draws"} <= set(made.words)
    assert "visible in 0% to 100% of 2 draws" in made.words
    assert "rim of the wheel: 6 px per step" in words.replace("\n", " ")
    encoder = made.pictures[4].pixels  # two frames, two of motion
    assert (encoder == HIDDEN).all(axis=-1).mean() == pytest.approx(0.5, abs=0.05)


def test_a_mask_without_a_count_is_not_said_to_hide_the_ratio(moving):
    shown = preview_clip(moving, settings=small("mgm", "tube", options={"mgm": {"exact": "none"}}))
    assert draw_preview(shown).words[0] == "mgm and tube: mask ratio 75%"
    assert draw_preview(preview_clip(moving, settings=small("mgm", "tube"))).words[0] == "mgm and tube: 75% hidden"


def test_rows_are_chosen_by_name(moving):
    class Model:
        def reconstruct(self, frames, mask):
            return np.full_like(frames, 7)

        def attend(self, frames):
            return np.ones((2, 4, 4), np.float32), (1, 2, 2)

    shown = preview_clip(moving, settings=small("tube"), model=Model())
    made = draw_preview(shown, rows=("mask", "encoder", "reconstruction", "attention"), columns=1, ground="dark")
    assert {"tube: mask", "tube: encoder", "tube: reconstruction", "attention"} <= set(made.words)
    assert len(made.pictures) == 4 + 2  # and the visibility with its key
    assert "visible in 0% to 50% or more of 2 draws" in made.words
    ramp = made.pictures[-1].pixels
    assert (tuple(ramp[0, 0]), tuple(ramp[0, -1])) == (VEIL, (255, 255, 255))
    (predicted,) = (p.pixels for p in made.pictures if (p.pixels == 7).all(axis=-1).mean() > 0.5)
    assert (predicted == 7).all(axis=-1).mean() == pytest.approx(0.75, abs=0.01)
    assert not any(words.startswith("visible in") for words in draw_preview(shown, rows=("frames",)).words)
    with raises(ConfigError, "missing_value", subject="attention"):
        draw_preview(preview_clip(moving, settings=small("tube")), rows=("attention",))
    with raises(ConfigError, "unknown_name", subject="rows"):
        draw_preview(shown, rows=("frame",))


def test_many_masks_are_small_multiples(moving):
    shown = preview_clip(moving, settings=small(*list_masks()))
    made = draw_preview(shown)
    assert made.words[0] == f"{len(list_masks())} masks: mask ratio 75%"  # one of them hides fewer
    families = [
        made.words.index(w) for w in ("the clip", "masks that follow the motion", "masks that do not follow it")
    ]
    assert families == sorted(families)
    assert families[1] < made.words.index("mgm") < families[2] < made.words.index("tube")
    assert set(list_masks()) <= set(made.words)
    assert len(made.pictures) == 3 * (len(list_masks()) + 2) + 1
    shares = {name: found.motion_share for name, found in shown.draws.items()}
    followers = [w for w in made.words[families[1] : families[2]] if w in shares]
    assert [shares[name] for name in followers] == sorted((shares[name] for name in followers), reverse=True)
