"""`mgm pretrain`: what it prints after a run."""

import pytest

from mgm.commands.pretrain import pretrain

SETTINGS = ["data.frames=4", "data.size=32", "data.workers=0", "model.size=debug"]
SETTINGS += ["pretrain.steps=2", "pretrain.warmup=1", "pretrain.batch=4"]


def test_losses_and_files(tiny_set, tmp_path, capsys):
    pretrain(str(tiny_set), SETTINGS, out=tmp_path)
    shown = capsys.readouterr().out
    assert "loss 1." in shown
    assert f"s; {tmp_path}" in shown.replace("\n", "")
    assert "motion was measured" not in shown
    assert "\\x0a" not in shown
    assert len(shown.splitlines()) == 6  # five of the run to come, one of its result


def test_unreadable_videos_are_counted(tiny_set, tmp_path, capsys):
    videos = tmp_path / "videos"
    videos.mkdir()
    for number, path in enumerate(sorted(tiny_set.rglob("*.mp4"))[:3]):
        (videos / f"{number}.mp4").symlink_to(path)
    (videos / "bad.mp4").write_bytes(b"not a video")
    pretrain(str(videos), [*SETTINGS, "data.memory=false"], out=tmp_path / "run")
    assert "1 video could not be read" in capsys.readouterr().out


@pytest.mark.parametrize("motion", ["difference", "flow"])
def test_measured_motion_is_counted(tiny_set, tmp_path, capsys, motion):
    """Differences of grey levels are not optical flow."""
    pretrain(str(tiny_set), [*SETTINGS, f"data.motion={motion}", "data.memory=false"], out=tmp_path)
    shown = capsys.readouterr().out
    assert "8 of 8 clips" in shown
    assert "optical flow" not in shown
