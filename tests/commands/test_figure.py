"""`mgm figure`: files by their suffix, and what must be given."""

from typer.testing import CliRunner

from mgm.commands.main import app
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import ConfigError, FileError
from tests.errors import raises


def figure(*words):
    return CliRunner().invoke(app, ["figure", *map(str, words)], catch_exceptions=False)


def test_figures_of_results_and_of_a_video(tmp_path):
    done = figure(1, "--out", tmp_path / "1.svg", "--out", tmp_path / "1.pdf")
    assert done.exit_code == 0, done.output
    assert "epochs of pretraining" in (tmp_path / "1.svg").read_text()
    assert "next: mgm evaluate RUN SET" in done.stderr
    video = make_translation(tmp_path / "a.mp4", velocity=(2, 1), frames=12, size=(48, 64))
    small = ["--recipe", "debug", "data.size=32", "data.frames=4", "--columns", 2]
    done = figure(4, video, *small, "--out", tmp_path / "4.png")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "4.png").stat().st_size > 1000
    assert f"next: mgm preview {video}" in done.stderr


def test_runs_without_an_evaluation_leave_the_paper_alone(tmp_path):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    done = figure(3, tmp_path / "runs", "--out", tmp_path / "3.svg")
    assert done.exit_code == 0, done.output
    assert "no run has results of 'mgm evaluate'; the figure shows the paper's points alone" in done.stderr
    assert "next: mgm evaluate RUN SET" in done.stderr
    assert "yours" not in (tmp_path / "3.svg").read_text()


def test_what_must_be_given(tmp_path):
    with raises(ConfigError, "unknown_name"):
        figure(2)
    with raises(ConfigError, "missing_value"):
        figure(4, "data.stride=2")
    with raises(FileError, "unsupported"):
        figure(1, "--out", tmp_path / "a.mp4")
