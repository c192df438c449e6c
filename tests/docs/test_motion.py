"""The examples and commands of docs/motion.md and docs/transforms.md run, pictures and links exist."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mgm.commands.main import app
from mgm.data.synthetic.known_motion import make_translation
from mgm.flow.raft import RaftEstimator
from mgm.video import read_motion
from tests.markdown import blocks_in, run

VELOCITY = (3.0, -2.0)
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "motion.md").read_text(encoding="utf-8")
EXAMPLES = blocks_in(PAGE, "python")
COMMANDS = [line for text in blocks_in(PAGE, "") for line in text.splitlines()]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("docs") / "video.mp4"
    return make_translation(path, velocity=VELOCITY, frames=32, size=(64, 96), gop=24, bframes=2)


@pytest.fixture
def folder(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of an example: `video.mp4` and `videos/`."""
    shutil.copy(video, tmp_path / "video.mp4")
    (tmp_path / "videos").mkdir()
    shutil.copy(video, tmp_path / "videos" / "a.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(words: str) -> dict[str, Any]:
    """Run the one example that contains `words` and return its names."""
    (code,) = (code for code in EXAMPLES if words in code)
    return run(code, "docs/motion.md")


def test_a_clip_has_the_shapes_that_the_page_names(folder: Path) -> None:
    clip = example("clip.motion.vectors.shape")["clip"]

    assert clip.frames.shape == (16, 224, 224, 3)
    assert clip.motion.source == "codec"
    assert clip.motion.vectors.shape[0] == 16


def test_the_formula_of_raw_vectors_gives_multiples_of_the_motion(folder: Path) -> None:
    names = example("mgm.iter_motion_vectors")

    times = np.round(names["dx"] / VELOCITY[0])
    usual = np.abs(names["dx"] - times * VELOCITY[0]) + np.abs(names["dy"] - times * VELOCITY[1]) < 0.5
    assert len(usual) > 0
    assert usual.mean() > 0.9
    assert np.median(times) >= 1


def test_the_motion_of_a_whole_video_is_that_of_its_content(folder: Path) -> None:
    names = example('read_motion("video.mp4"')

    assert len(names["speed"]) == 32
    assert np.median(names["speed"]) == pytest.approx(np.hypot(*VELOCITY), rel=0.05)


def test_streamed_fields_are_those_of_every_frame(folder: Path) -> None:
    frame = example("iter_frame_motion")["frame"]

    assert frame.index == 31
    np.testing.assert_allclose(np.median(frame.field.vectors[frame.field.valid], axis=0), VELOCITY, atol=0.3)


def test_one_opening_gives_several_clips(folder: Path) -> None:
    names = example("VideoReader")

    assert [clip.frame_indices[0] for clip in names["clips"]] == [0, 8, 4]
    assert names["second"].frame_indices[0] == 12  # half a second at 25 frames per second


def test_bytes_are_read_and_the_camera_is_taken_off(folder: Path) -> None:
    motion = example("read_bytes")["clip"].motion

    assert np.median(motion.magnitude) < 0.1


def test_the_exported_field_is_written_and_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("export_motion")

    assert capsys.readouterr().out.startswith("(8, 8, 12, 2) (8, 8, 12)")


def test_the_motion_of_raft_is_stored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zstandard")
    untrained = RaftEstimator(None, iterations=1)
    monkeypatch.setattr("mgm.flow.raft.RaftEstimator", lambda weights, device: untrained)
    example("store_raft")

    assert read_motion("videos/a.mp4", motion="raft").motion.source == "raft"


def test_any_list_of_frames_is_read(folder: Path) -> None:
    page = (DOCS / "transforms.md").read_text(encoding="utf-8")
    (code,) = blocks_in(page, "python")
    names = run(code, "docs/transforms.md")

    assert names["clip"].frame_indices.tolist() == [0, 3, 7, 7, 15]
    np.testing.assert_allclose(
        np.median(names["clip"].motion.vectors[2], axis=(0, 1)), np.multiply(VELOCITY, 4), atol=1
    )


def test_every_example_of_the_page_has_its_test() -> None:
    assert len(EXAMPLES) == 8


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_run_as_they_are_written(line: str, folder: Path) -> None:
    program, *arguments = shlex.split(line)

    result = CliRunner().invoke(app, arguments, catch_exceptions=False)

    assert program == "mgm"
    assert result.exit_code == 0, result.output
    written = {"field.npz", "motion.mp4", "prepared/a.mp4"} & {str(p.relative_to(folder)) for p in folder.rglob("*")}
    assert len(written) == (0 if arguments[0] == "scan" else 1)


@pytest.mark.parametrize("name", ["motion.md", "guide.md", "transforms.md", "data.md"])
def test_links_and_pictures_exist(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)
    }

    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif "://" not in target:
            assert (DOCS / target.partition("#")[0]).is_file(), target


def test_pictures_are_small_and_fill_the_width_of_a_page() -> None:
    pictures = [DOCS / target for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE)]

    assert {p.name for p in pictures} == {p.name for p in (DOCS / "images").glob("motion-*.png")}
    assert sum(p.stat().st_size for p in pictures) < 1_200_000
    for path in pictures:
        assert path.stat().st_size < 250_000, path.name
        with Image.open(path) as image:
            assert image.width >= 800, path.name
