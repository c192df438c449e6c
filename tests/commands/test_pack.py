import json

import pytest
import typer
from typer.testing import CliRunner

from mgm.commands.pack import pack
from mgm.data.annotations import load_set
from mgm.data.shards.members import parse_member
from mgm.training import load_config
from mgm.training.pretrain import pretrain


@pytest.fixture
def app():
    app = typer.Typer()
    app.command()(pack)
    return app


def test_a_set_is_packed_and_trains(tiny_set, tmp_path, app):
    out = tmp_path / "shards"
    result = CliRunner().invoke(app, [str(tiny_set), str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "32 videos in 1 shard (0 already there), " in result.output
    assert "0 left out\n" in result.output
    assert f"next: mgm pretrain {out} " in result.stderr
    assert "(1 already there)" in CliRunner().invoke(app, [str(tiny_set), str(out)]).output
    small = [
        "data.frames=4",
        "data.size=32",
        "data.workers=0",
        "model.size=debug",
        "pretrain.steps=3",
        "pretrain.batch=4",
    ]
    losses = {}
    for name, place in (("files", tiny_set), ("shards", out)):
        config = load_config("debug", [*small, "pretrain.warmup=1", "data.memory=false"])
        losses[name] = pretrain(str(place), config, out=tmp_path / name, show_progress=False).history.losses
    assert losses["files"] == losses["shards"]


def test_a_bad_video_is_reported_with_exit_status_1(tiny_set, tmp_path, app):
    folder = tmp_path / "videos"
    folder.mkdir()
    good = load_set(tiny_set).train[0].path
    (folder / "good.mp4").symlink_to(good)
    (folder / "bad.mp4").write_bytes(b"no video")
    result = CliRunner().invoke(app, [str(folder), str(tmp_path / "shards")], catch_exceptions=False)
    assert result.exit_code == 1
    assert f"{folder}/bad.mp4: " in result.output
    assert "1 video in 1 shard" in result.output
    (item,) = load_set(tmp_path / "shards").items
    assert parse_member(item.path).name == "good.mp4"
    assert json.loads((tmp_path / "shards" / "shards.json").read_text())["videos"] == 1
