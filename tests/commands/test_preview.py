"""`mgm preview`: pictures, videos and statistics of a set."""

import shutil
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from mgm.commands.main import app
from mgm.commands.preview import share_cell
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import ConfigError, DataError, FileError, VideoError
from mgm.masks import list_masks
from tests.errors import raises
from tests.evaluation.conftest import config, pretrained_run  # noqa: F401

SHAPE = ("--size", "64", "--patch", "16", "--frames", "4", "--draws", "5")


def mgm_preview(*arguments: object) -> Result:
    runner = CliRunner(env={"COLUMNS": "160"})
    return runner.invoke(app, ["preview", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos of one name: class folders often number their files alike."""
    for name in ("x", "y"):
        make_translation(tmp_path / "set" / name / "0.mp4", velocity=(3, 1), frames=70, size=(64, 80))
    return tmp_path / "set"


def test_writes_pictures_videos_and_statistics(folder, tmp_path):
    done = mgm_preview(folder, "--out", tmp_path / "out", "--masks", "mgm,tube", *SHAPE)
    assert done.exit_code == 0, done.output
    for name in ("x", "y"):
        picture = tmp_path / "out" / f"set_{name}_0.png"
        assert picture.stat().st_size > 1000
        assert picture.with_suffix(".mp4").stat().st_size > 1000
        assert str(picture) in done.output
    assert "2 clips, 5 draws each" in done.output
    rows = (tmp_path / "out" / "statistics.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2


def test_shows_all_masks_of_one_video(folder, tmp_path):
    done = mgm_preview(folder / "x" / "0.mp4", "--out", tmp_path / "out", "--masks", "all", *SHAPE, "--no-video")
    assert done.exit_code == 0, done.output
    for name in list_masks():
        assert f" {name} " in done.output
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".csv", ".png"}


def test_ignores_earlier_previews_and_reports_unreadable_videos(folder):
    assert mgm_preview(folder, "--out", folder / "out", *SHAPE).exit_code == 0
    (folder / "text.mp4").write_text("hello")
    done = mgm_preview(folder, "--out", folder / "out", "--no-video", *SHAPE)
    assert done.exit_code == 0, done.output
    assert "2 clips, 5 draws each" in done.output
    assert f"{folder / 'text.mp4'}: " in done.output


def test_errors_name_the_file(folder, tmp_path):
    with raises(FileError, "cannot_write", subject=folder / "x" / "0.mp4"):
        mgm_preview(folder, "--out", folder / "x" / "0.mp4", *SHAPE)
    boxes = tmp_path / "boxes.json"
    with raises(DataError, "conflict", subject=boxes, message="preview-boxes-of-one-video"):
        mgm_preview(folder, "--out", tmp_path / "out", "--boxes", boxes)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "text.mp4").write_text("hello")
    with pytest.raises(VideoError):
        mgm_preview(folder / "text.mp4", "--out", tmp_path / "out", *SHAPE)


def test_shows_what_a_recipe_hides(folder, tmp_path):
    settings = ["data.frames=4", "data.size=32", "data.stride=2", "mask.ratio=0.5", "mask.options={boundary: wrap}"]
    done = mgm_preview(
        *(
            folder / "x",
            *settings,
            "--recipe",
            "debug",
            "--out",
            tmp_path / "out",
            "--draws",
            "2",
            "--format",
            "svg,gif",
        )
    )
    assert done.exit_code == 0, done.output
    (picture,) = (tmp_path / "out").glob("0.svg")
    text = picture.read_text()
    assert "mgm: 50% hidden" in text
    assert "4 frames from frame" in text
    assert "border rule wrap" in text
    assert "settings of the recipe debug data.frames=4" in text
    with Image.open(picture.with_suffix(".gif")) as moving:
        assert moving.n_frames == 4


def test_shows_the_model_of_a_run(pretrained_run, folder, tmp_path):  # noqa: F811
    rows = "frames,encoder,reconstruction,attention"
    done = mgm_preview(
        folder / "x",
        "--run",
        pretrained_run,
        "--rows",
        rows,
        "--out",
        tmp_path / "out",
        "--draws",
        "2",
        "--format",
        "svg",
    )
    assert done.exit_code == 0, done.output
    (picture,) = (tmp_path / "out").glob("*.svg")
    assert all(f">{word}<" in picture.read_text() for word in ("mgm: encoder", "mgm: reconstruction", "attention"))
    with raises(ConfigError, "conflict", subject="--recipe"):
        mgm_preview(folder, "--run", pretrained_run, "--recipe", "debug")
    with raises(ConfigError, "unknown_name", subject="--format"):
        mgm_preview(folder, "--format", "bmp")


def test_the_picture_of_one_video_has_its_name(folder, tmp_path):
    done = mgm_preview(folder / "x" / "0.mp4", "--out", tmp_path / "one", *SHAPE)
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"0.png", "0.mp4", "statistics.csv"}


def test_a_small_share_is_not_shown_as_none():
    assert [share_cell(value) for value in (None, 0.0, 0.004, 0.006, 0.75)] == ["-", "0%", "<1%", "1%", "75%"]
