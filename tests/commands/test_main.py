"""The command line from its entry point, where that matters in a process of its own: output, errors, exit status."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mgm import commands
from mgm.commands.main import COMMANDS, GROUPS, PANELS, app, run
from mgm.data.synthetic.known_motion import make_translation
from mgm.training.results import read_results
from mgm.video.transcode.write import write_video
from tests.commands.in_process import here


def mgm(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "import torch; torch.set_num_threads(1); from mgm.commands.main import run; run()"
    light = {"scan", "prepare", "motion", "--help", "--version", "preview"}
    if str(arguments[0]) in light:
        code = "from mgm.commands.main import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


def one_line(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    *progress, line = process.stderr.strip().splitlines()
    assert all(said.startswith("mgm: ") for said in progress)
    return line


@pytest.fixture(scope="module")
def run_folder(tiny_set, tmp_path_factory):
    """A run of two steps, made by the command itself."""
    out = tmp_path_factory.mktemp("runs") / "a"
    settings = ["model.size=debug", "pretrain.steps=2", "pretrain.warmup=1", "pretrain.batch=4", "finetune.steps=2"]
    settings += ["finetune.warmup=1", "finetune.batch=4", "probe.steps=3", "probe.temporal_views=1"]
    done = here("pretrain", tiny_set, "--out", out, *settings)
    assert done.returncode == 0, done.stderr
    assert "2 steps of 4 clips" in done.stdout
    return out


@pytest.fixture(scope="module")
def tuned(run_folder, tiny_set, tmp_path_factory):
    """A classifier of two steps, fine-tuned by the command."""
    out = tmp_path_factory.mktemp("tuned") / "b"
    done = here("finetune", run_folder, tiny_set, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "top-1" in done.stdout
    return out


def test_help_lists_every_command():
    files = {path.stem for path in Path(commands.__file__).parent.glob("*.py")}
    files -= {"__init__", "interrupted", "loading", "main", "mistyped", "next_command", "options", "tables"}
    names = [command.__name__ for command in COMMANDS] + list(GROUPS)
    assert set(names) == files, "a file of this folder is missing in COMMANDS or GROUPS of main.py"
    done = mgm("--help")
    assert done.returncode == 0
    listed = re.findall(r"^│ (\w+) ", done.stdout, re.MULTILINE)
    assert sorted(name for name in listed if name in names) == sorted(names)
    panels = re.findall(r"^╭─ ([\w ]+?) ─", done.stdout, re.MULTILINE)
    assert panels[1:] == list(PANELS)  # the first are the options
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("words", [["-h"], ["pretrain", "-h"], ["data", "show", "-h"]])
def test_h_is_help(words):
    asked = CliRunner().invoke(app, words, env={"COLUMNS": "80"})
    assert asked.exit_code == 0
    assert asked.output == CliRunner().invoke(app, [*words[:-1], "--help"], env={"COLUMNS": "80"}).output


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (["pretrain", "videos", "--steps", "5"], "pretrain.steps=5"),
        (["finetune", "runs/a", "videos", "--steps=5"], "finetune.steps=5"),
        (["pretrain", "videos", "--ratio", "0.5"], "mask.ratio=0.5"),
        (["probe", "runs/a", "videos", "--seed", "3"], "seed=3"),
        (["pretrain", "videos", "--base-lr"], "pretrain.base_lr=VALUE"),
        (["pretrain", "videos", "--batch-size", "8"], "pretrain.batch=8"),
    ],
)
def test_an_option_that_is_a_setting_is_answered_with_it(words, setting):
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert f"is a setting: write {setting} after the options" in done.output


def test_a_command_without_settings_does_not_answer_with_one():
    done = CliRunner().invoke(app, ["scan", "videos", "--steps", "5"], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "No such option: --steps" in done.output
    done = CliRunner().invoke(app, ["predict", "run", "a.mp4", "--temporal-views", "1"], env={"COLUMNS": "200"})
    assert "write --set probe.temporal_views=1" in done.output


@pytest.mark.parametrize("words", [["scan", ""], ["prepare", "videos", ""], ["pretrain", "videos", "--out", ""]])
def test_an_empty_argument_is_not_the_working_directory(words):
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "an argument is empty; is a variable of the shell not set?" in done.output


def test_an_unknown_option_is_an_error():
    done = CliRunner().invoke(app, ["pretrain", "videos", "--nonsense"], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "No such option: --nonsense" in done.output


def test_the_tab_key_completes_names():
    command = [sys.executable, "-c", "from mgm.commands.main import run; run()"]
    for typed, expected in (("mgm pre", "preview"), ("mgm preview v --masks tube,mgm-s", "tube,mgm-sparse")):
        environment = {**os.environ, "_PYTHON__C_COMPLETE": "complete_bash"}
        environment |= {
            "_MGM_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        }
        code = "import sys; sys.argv[0] = 'mgm'; from mgm.commands.main import run; run()"
        done = subprocess.run([*command[:2], code], capture_output=True, text=True, env=environment, check=False)
        assert expected in done.stdout.split(), done.stderr


@pytest.mark.parametrize("number", range(len(app.registered_commands)))
def test_an_interrupt_is_one_line(number, monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    info = app.registered_commands[number]
    name = info.name or info.callback.__name__
    monkeypatch.setattr(info, "name", name)
    monkeypatch.setattr(info, "callback", interrupted)
    monkeypatch.setattr(sys, "argv", ["mgm", name])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "mgm: interrupted; saved files are intact\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to another process")
def test_control_c_at_a_scan(tmp_path):
    """As a terminal does it, to all processes of the command; what was found is taken up by the same call."""
    videos, journal = tmp_path / "videos", tmp_path / "m.csv.journal"
    make_translation(videos / "0.mp4", velocity=(2, 0), frames=30, size=(128, 128))
    for number in range(1, 400):
        (videos / f"{number}.mp4").symlink_to(videos / "0.mp4")
    signals = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = signals + "from mgm.commands.main import run; run()"
    command = [sys.executable, "-c", code, "scan", "videos", "--out", "m.csv", "--processes", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    ) as process:
        while process.poll() is None and not (journal.exists() and journal.stat().st_size):
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate()
    kept = "m.csv.journal has the finished files: the same command continues after them"
    assert (process.returncode, errors.splitlines()[-1]) == (130, f"mgm: interrupted; {kept}")
    assert 0 < len(journal.read_text().splitlines()) < 400
    assert not (tmp_path / "m.csv").exists()


def test_scan_reports_and_counts(tmp_path):
    make_translation(tmp_path / "good.mp4", velocity=(2, 0), frames=8, size=(64, 64))
    make_translation(tmp_path / "vp9.webm", velocity=(2, 0), frames=8, size=(64, 64), codec="libvpx-vp9")
    (tmp_path / "text.mp4").write_text("hello")
    done = mgm("scan", tmp_path, "--out", tmp_path / "records.jsonl")
    assert done.returncode == 1
    assert "3 files: 2 readable, 1 with motion vectors, 1 broken" in done.stdout
    assert "text.mp4: " in done.stdout
    assert "vp9.webm: " in done.stdout
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert {Path(r["path"]).name: r["codec"] for r in records} == {
        "good.mp4": "h264",
        "vp9.webm": "vp9",
        "text.mp4": None,
    }


@pytest.mark.parametrize("name", ["text.mp4", "empty.mp4", "cut.mp4", "sound.mp4", "vp9.webm", "absent.mp4"])
def test_bad_videos_are_one_line(tmp_path, name):
    path = tmp_path / name
    if name == "text.mp4":
        path.write_text("hello")
    elif name == "empty.mp4":
        path.touch()
    elif name == "cut.mp4":
        make_translation(tmp_path / "whole.mp4", velocity=(1, 0), frames=8, size=(64, 64))
        whole = (tmp_path / "whole.mp4").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif name == "sound.mp4":
        write_sound(path)
    elif name == "vp9.webm":
        make_translation(path, velocity=(2, 0), frames=8, size=(64, 64), codec="libvpx-vp9")
    call = mgm if name == "text.mp4" else here
    line = one_line(call("preview", path, "--out", tmp_path / "out", "--motion", "codec"))
    assert line.startswith(f"mgm: {path}: ")


def write_sound(path: Path) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def test_a_wrong_setting_names_the_nearest_key(tiny_set, tmp_path):
    done = here("pretrain", tiny_set, "--out", tmp_path / "a", "pretrain.stepz=3", "mask.ration=0.5")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "pretrain.steps" in done.stderr
    assert "mask.ratio" in done.stderr


def test_resume_of_a_finished_run_and_refusal_without(run_folder, tiny_set):
    line = one_line(here("pretrain", tiny_set, "--out", run_folder))
    assert "--resume" in line


def test_probe_compares_with_the_untrained_encoder(run_folder, tiny_set):
    done = here("probe", run_folder, tiny_set)
    assert done.returncode == 0, done.stderr
    assert "attentive probe" in done.stdout
    (written,) = read_results(run_folder / "probe.json")
    assert set(written.details["against untrained"]) == {"attentive probe", "linear probe", "20-NN"}


def test_finetuning_by_another_recipe_on_mirrored_clips(run_folder, tiny_set, tmp_path):
    recipe = shutil.copy(run_folder / "config.yaml", tmp_path / "mine.yaml")
    settings = ["finetune.steps=1", "finetune.warmup=0", "finetune.flip=true", "finetune.sampling=sparse"]
    call = ["finetune", run_folder, tiny_set, "--recipe", recipe, "--out", tmp_path / "b", *settings]
    with pytest.warns(UserWarning, match="4 of 8 classes"):
        done = CliRunner().invoke(app, [str(part) for part in call], catch_exceptions=False)
    assert "8 classes, clips of 8 frames spread over the video" in done.output


def test_finetune_then_evaluate(run_folder, tuned, tiny_set):
    done = here("evaluate", tuned, tiny_set, "probe.temporal_views=1")
    assert done.returncode == 0, done.stderr
    assert read_results(tuned / "evaluation.json")[0].metric("top-1").count == 16
    line = one_line(here("evaluate", run_folder, tiny_set))
    assert line.startswith(f"mgm: {run_folder}")


def test_evaluating_on_other_classes_is_refused(tuned, tiny_set, tmp_path):
    other = tmp_path / "other"
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (other / split / name).mkdir(parents=True)
            source = next((tiny_set / split).rglob("*.mp4"))
            shutil.copy(source, other / split / name / "x.mp4")
    line = one_line(here("evaluate", tuned, other))
    assert line.startswith(f"mgm: {other}: ")


def test_encode_is_what_the_tests_need(tmp_path):
    """The audio-only file above really has no video, and a video written here really has one."""
    import av
    import numpy as np

    write_sound(tmp_path / "sound.mp4")
    write_video(tmp_path / "video.mp4", (np.zeros((16, 16, 3), np.uint8) for _ in range(2)), fps=5)
    with av.open(str(tmp_path / "sound.mp4")) as sound, av.open(str(tmp_path / "video.mp4")) as video:
        assert (len(sound.streams.video), len(video.streams.video)) == (0, 1)
