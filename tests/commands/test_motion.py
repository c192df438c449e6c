import re
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from mgm.commands.motion import motion
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import ModelError, VideoError
from mgm.flow.raft import Raft
from mgm.video.clip.reader import read_motion
from mgm.video.motion.cache import open_sidecar
from tests.errors import raises

APP = typer.Typer()
APP.command()(motion)


def mgm_motion(*arguments: object) -> str:
    done = CliRunner().invoke(APP, [*map(str, arguments)])
    if done.exception is not None:
        raise done.exception
    return done.stdout


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return make_translation(tmp_path / "a.mp4", velocity=(3, 0), frames=12, size=(64, 96))


def test_all_three_are_written_and_said(video, tmp_path):
    field, drawn = tmp_path / "field.npz", tmp_path / "drawn.mp4"
    said = mgm_motion(video, "--out", field, "--overlay", drawn, "--style", "wheel", "--cache", "--stride", 4)
    assert [line.split(": ")[0] for line in said.splitlines()[:3]] == [str(field), str(drawn), f"{video}.mgmv"]
    with np.load(field) as found:
        length = np.hypot(found["vectors"][..., 0], found["vectors"][..., 1])
        measured = found["valid"].mean()
    assert "3 frames of 8 x 12 cells, source codec; magnitude per 4 frames" in said
    assert f"mean {length.mean():.2f} px" in said
    assert f"{measured:.1%} measured" in said
    p99 = float(re.search(r"99th percentile ([\d.]+) px", said)[1])
    assert p99 == pytest.approx(np.percentile(length, 99), abs=0.5)
    assert drawn.stat().st_size > 1000
    assert open_sidecar(video) is not None


def test_options_reach_the_field(video, tmp_path):
    mgm_motion(video, "--out", tmp_path / "a.npy", "--stride", 2, "--policy", "sampled", "--reading", "raw")
    expected = read_motion(video, stride=2, policy="sampled", reading="raw")
    assert np.array_equal(np.load(tmp_path / "a.npy"), expected.motion.vectors)


def test_raft_is_stored_beside_the_video(video, tmp_path):
    torch.save(Raft().state_dict(), tmp_path / "raft-small.pth")
    said = mgm_motion(video, "--raft", tmp_path / "raft-small.pth")
    assert f"{video}.raft.mgmv: " in said
    assert "12 frames of 8 x 12 cells, source raft; magnitude per frame: mean" in said
    with raises(ModelError, "unsupported", subject="device"):
        mgm_motion(video, "--raft", tmp_path / "raft-small.pth", "--device", "abacus")


def test_a_cache_alone_has_its_numbers(video):
    said = mgm_motion(video, "--cache")
    assert f"{video}.mgmv: " in said
    assert "12 frames of 8 x 12 cells, source codec; magnitude per frame: mean" in said
    assert read_motion(video).motion.magnitude.mean() == pytest.approx(
        float(re.search(r"mean ([\d.]+) px", said)[1]), abs=0.006
    )


def test_something_must_be_asked_for(video):
    with raises(VideoError, "missing_value", message="command-motion-nothing-to-write"):
        mgm_motion(video)


def test_errors_are_those_of_the_parts(video, tmp_path):
    with pytest.raises(VideoError):
        mgm_motion(video, "--out", tmp_path / "a.txt")
    with pytest.raises(VideoError):
        mgm_motion(tmp_path / "absent.mp4", "--cache")
