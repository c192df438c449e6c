"""Each command ends with the next one, which can be typed as it is printed. Here they are followed, with less work."""

import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mgm.commands.main import app
from mgm.commands.next_command import folder_beside, new_folder
from tests.commands.typed import parse

FEWER = {
    "preview": ["--clips=2", "--frames=8", "--stride=1", "--size=32", "--draws=2", "--no-video"],
    "pretrain": ["pretrain.steps=1", "pretrain.warmup=0", "pretrain.batch=4", "finetune.steps=1", "finetune.batch=4"],
    "probe": ["probe.steps=2", "probe.temporal_views=1", "probe.clips_per_video=1"],
    "finetune": ["finetune.warmup=0", "probe.temporal_views=1"],
}


@pytest.fixture
def folder(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: `my videos`, whose name needs quotes."""
    shutil.copytree(tiny_set, tmp_path / "my videos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def following(line: str) -> str:
    """Run a command, and return the next one."""
    program, name, *words = shlex.split(line)
    assert program == "mgm"
    done = CliRunner().invoke(app, [name, *words, *FEWER.get(name, ())], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[-1].startswith("next: ")
    return done.stderr.splitlines()[-1].removeprefix("next: ")


@pytest.mark.filterwarnings("ignore:4 of 8 classes")
def test_following_them_leads_from_videos_to_an_exported_model(folder):
    lines = ["mgm scan 'my videos'"]
    while lines[-1].startswith("mgm"):
        lines.append(following(lines[-1]))
    assert [line.split()[1] for line in lines[:-1]] == ["scan", "preview", "pretrain", "probe", "finetune", "export"]
    assert Path(shlex.split(lines[-1])[1]).is_file()


@pytest.mark.parametrize(
    "line",
    [
        "mgm data show 'my videos'",
        "mgm data formats",
        "mgm prepare 'my videos/test' prepared --processes 1",
        "mgm pack 'my videos' packed",
        "mgm motion 'my videos/a b.mp4' --out m.npz",
        "mgm preview 'my videos/a b.mp4'",
        "mgm bench data 'my videos' --clips 2",
    ],
)
def test_they_can_be_typed(folder, line):
    shutil.copy(next((folder / "my videos").rglob("*.mp4")), folder / "my videos" / "a b.mp4")
    program, *words = shlex.split(following(line))
    assert program == "mgm"
    parse(words)


def test_a_new_folder_is_new(tmp_path):
    assert new_folder(tmp_path / "a", "-b") == tmp_path / "a-b"
    (tmp_path / "a-b").mkdir()
    (tmp_path / "a-b-2").mkdir()
    assert new_folder(tmp_path / "a", "-b") == tmp_path / "a-b-3"
    assert folder_beside(tmp_path / "a", "-b") == tmp_path / "a-b-3"
    assert folder_beside(tmp_path / "a" / "checkpoints" / "step-00000500", "-b") == tmp_path / "a-step-00000500-b"


def test_after_a_preview_the_same_is_pretrained(folder):
    line = "mgm preview 'my videos' --recipe debug mask.ratio=0.9"
    assert following(line) == "mgm pretrain 'my videos' --recipe debug --out runs/pretrain mask.ratio=0.9"
    assert following("mgm preview 'my videos' data.stride=1") == (
        "mgm pretrain 'my videos' --recipe mgm-vitb-k400 --out runs/pretrain data.stride=1"
    )
