"""`mgm attention`: files by their suffix, and the token that attends."""

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from mgm.commands.main import app
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import ConfigError, FileError
from tests.errors import raises
from tests.evaluation.conftest import config, pretrained_run  # noqa: F401


def attention(*words):
    return CliRunner().invoke(app, ["attention", *map(str, words)], catch_exceptions=False)


def test_pictures_and_a_video(pretrained_run, tmp_path):  # noqa: F811
    video = make_translation(tmp_path / "a.mp4", velocity=(2, 1), frames=12, size=(48, 64))
    files = [tmp_path / f"out.{suffix}" for suffix in ("png", "svg", "pdf", "mp4")]
    out = [word for file in files for word in ("--out", file)]
    done = attention(pretrained_run, video, "--query", "1,0,0", "--columns", "3", "--dark", *out)
    assert done.exit_code == 0, done.output
    assert all(file.stat().st_size > 500 for file in files)
    assert "Attention of token 1, 0, 0" in files[1].read_text()
    assert np.asarray(Image.open(files[0]))[0, 0].max() < 60
    assert "of the attention is paid to the query's own step" in done.output
    assert f"next: mgm figure 5 {video} --run {pretrained_run}" in done.stderr
    with raises(FileError, "unsupported", subject=tmp_path / "a.txt"):
        attention(pretrained_run, video, "--out", tmp_path / "a.txt")
    with raises(ConfigError, "invalid_value", subject="--query"):
        attention(pretrained_run, video, "--query", "1,0")
