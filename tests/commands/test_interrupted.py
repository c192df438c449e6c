"""Ctrl-C in a long command: the last line names the file that a repeat of the command takes up, or says that there is none."""

import sys

import pytest

import mgm
from mgm.commands.main import run
from mgm.data.synthetic.known_motion import make_translation
from mgm.evaluation import views
from mgm.training.folder import checkpoint_folder
from tests.evaluation.conftest import config, pretrained_run  # noqa: F401


def interrupted(monkeypatch, capsys, *words):
    """The last line of a command that is interrupted."""
    monkeypatch.setattr(sys, "argv", ["mgm", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 130
    return capsys.readouterr().err.splitlines()[-1].removeprefix("mgm: interrupted; ")


def stop(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_training_names_its_checkpoint(command, tiny_set, pretrained_run, tmp_path, monkeypatch, capsys):  # noqa: F811
    def train(*_, out, **__):
        if saves:
            checkpoint_folder(out, 12).mkdir(parents=True)
            (checkpoint_folder(out, 12) / "state.pt").touch()
        stop()

    monkeypatch.setattr(mgm, command, train)
    out = tmp_path / "runs" / "a"
    given = (command, *((pretrained_run,) if command == "finetune" else ()), tiny_set, "--out", out)
    saves = False
    assert interrupted(monkeypatch, capsys, *given) == f"{out} has no checkpoint yet: a repeat begins anew"
    assert not out.exists()
    saves = True
    said = interrupted(monkeypatch, capsys, *given)
    assert said == f"{checkpoint_folder(out, 12)} is kept: the same command with --resume auto continues from it"


def test_a_scan_needs_a_manifest_to_go_on(tmp_path, monkeypatch, capsys):
    make_translation(tmp_path / "videos" / "0.mp4", velocity=(2, 0), frames=8, size=(64, 64))
    monkeypatch.setattr("mgm.video.scan.folder.map_files", stop)
    monkeypatch.setattr("mgm.video.scan.manifest.map_files", stop)
    monkeypatch.chdir(tmp_path)
    assert (
        interrupted(monkeypatch, capsys, "scan", "videos")
        == "nothing is kept: with --out FILE the same command continues"
    )
    said = interrupted(monkeypatch, capsys, "scan", "videos", "--out", "m.csv")
    assert said == "no file was finished: a repeat begins anew"  # with finished ones: test_main.py


def test_prepare_names_its_journal(tmp_path, monkeypatch, capsys):
    from mgm.video.transcode import folder

    for number in range(2):
        make_translation(tmp_path / "videos" / f"{number}.mp4", velocity=(2, 0), frames=8, size=(64, 64))
    prepare_one, calls = folder._prepare_one, []

    def second_stops(job):
        calls.append(job)
        return prepare_one(job) if len(calls) == 1 else stop()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder, "map_files", stop)
    words = ("prepare", "videos", "out", "--processes", "1")
    assert interrupted(monkeypatch, capsys, *words) == "no video was finished: a repeat begins anew"
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder, "_prepare_one", second_stops)
    said = interrupted(monkeypatch, capsys, *words)
    assert said == "out/manifest.journal has the finished videos: the same command skips them"


def test_embed_names_the_features_that_it_keeps(tiny_set, pretrained_run, tmp_path, monkeypatch, capsys):  # noqa: F811
    def second_stops(encoder, clips, block):
        calls.append(len(clips))
        return stop() if len(calls) == most else plain(encoder, clips, block)

    plain, calls, most = views.tokens_of, [], 1
    monkeypatch.setattr(views, "tokens_of", second_stops)
    monkeypatch.chdir(tmp_path)
    words = ("embed", pretrained_run, tiny_set, "--out", "f.npz", "probe.temporal_views=1", "probe.spatial_views=1")
    assert interrupted(monkeypatch, capsys, *words) == "no features are kept yet: a repeat begins anew"
    calls.clear()
    most = 2
    said = interrupted(monkeypatch, capsys, *words)
    assert said == ".f.npz.unfinished has the features of the finished videos: the same command continues after them"
    calls.clear()
    most = 0
    monkeypatch.setattr(sys, "argv", ["mgm", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        run()
    assert not ended.value.code
    assert calls == [16]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.npz"]
