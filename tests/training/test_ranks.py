"""Two processes that train together: their clips, losses and bad videos."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

import mgm
from mgm.data.annotations import load_set
from mgm.data.synthetic.labelled import make_dataset
from mgm.training import load_checkpoint
from mgm.training.finetune import finetune
from mgm.training.pretrain import pretrain
from mgm.training.results import read_results
from mgm.training.signals import STOPPED_STATUS
from tests.training.helpers import numbered_videos

SCRIPT = Path(__file__).with_name("two_ranks.py")
COMMAND = Path(__file__).with_name("two_ranks_command.py")
TOGETHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


def together(folder, out, *settings, share, steps, signalled=None):
    """The reports of two ranks; the second gets SIGTERM in step `signalled`, and a run in `out` is resumed."""
    subprocess.run(
        [*TOGETHER, str(SCRIPT), str(folder), str(out), str(share), str(steps), *settings],
        check=True,
        timeout=120,
        env=os.environ | {"SIGNALLED": str(signalled)},
    )
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture
def folder(tiny_set, tmp_path):
    """16 videos, four of them unreadable."""
    root = tmp_path / "videos"
    root.mkdir()
    for number, item in enumerate(load_set(tiny_set).train):
        content = b"no video" if number % 4 == 1 else Path(item.path).read_bytes()
        (root / f"{number:02d}.mp4").write_bytes(content)
    return root


@pytest.mark.slow
def test_two_ranks_share_an_epoch_and_all_bad_videos(folder, tmp_path):
    first, second = together(folder, tmp_path / "run", share=1, steps=8)
    assert len(first["seen"]) == len(second["seen"]) == 16  # two epochs of 16 videos
    for epoch in (0, 1):
        half = slice(8 * epoch, 8 * epoch + 8)
        counts = sorted(first["seen"][half] + second["seen"][half])
        good = [i for i in range(16) if i % 4 != 1]
        assert set(counts) == set(good)  # each, and substitutes for the four
        assert len(counts) == 16
    assert first["losses"] == second["losses"]
    bad = {str(folder / f"{number:02d}.mp4") for number in (1, 5, 9, 13)}
    assert set(first["bad"]) == set(second["bad"]) == bad  # those of either rank
    listed = (tmp_path / "run" / "bad_videos.tsv").read_text().splitlines()
    assert {line.split("\t")[0] for line in listed} == bad
    content = load_checkpoint(tmp_path / "run")
    assert content["data"]["ranks"] == 2
    assert content["position"]["failed"] >= 8
    assert set(content["bad"]) == bad


@pytest.mark.slow
def test_two_ranks_learn_the_same_as_one(tiny_set, tmp_path):
    """Each reads half of the clips; losses equal those of one rank up to rounding."""
    root = numbered_videos(tiny_set, tmp_path / "videos")
    both = together(root, tmp_path / "both", share=0, steps=8)
    command = [sys.executable, str(SCRIPT), str(root), str(tmp_path / "alone"), "0", "8"]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, "RANK": "0"})
    alone = json.loads((tmp_path / "alone" / "rank0.json").read_text())
    assert both[0]["losses"] == both[1]["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    assert sorted(both[0]["seen"] + both[1]["seen"]) == sorted(alone["seen"])


@pytest.mark.slow
def test_too_many_bad_videos_stop_both(folder, tmp_path):
    first, second = together(folder, tmp_path / "run", share=0.05, steps=16)
    assert first["error"] == second["error"]
    assert first["reason"] == "too_many_failures"


@pytest.mark.slow
def test_two_ranks_weigh_tokens_as_one_does(tiny_set, small, tmp_path):
    """The decoder's mask selects more tokens on one rank than on the other."""
    settings = ("mask.name=random", "mask.decoder.name=random", "pretrain.base_lr=0.5", "data.motion=null")
    videos = numbered_videos(tiny_set, tmp_path / "videos")
    first, second = together(videos, tmp_path / "two", *settings, share=0, steps=6)
    whole = small(*settings, "data.memory=false", "data.crop=centre", "pretrain.warmup=1")
    alone = pretrain(videos, whole, out=tmp_path / "one", show_progress=False).history.losses
    assert first["losses"] == second["losses"] == pytest.approx(alone, rel=1e-5)


def command(launcher, report, *arguments):
    """Run a command of mgm; returns what it printed, and the names of the videos that each rank judged."""
    report.mkdir()
    done = subprocess.run(
        [*launcher, str(COMMAND), str(report), *map(str, arguments)],
        check=True, timeout=600, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout, [file.read_text().split() for file in sorted(report.glob("videos*.txt"))]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """24 training and 40 test videos of 8 classes: three groups for the ranks."""
    root = tmp_path_factory.mktemp("labelled")
    make_dataset(root, train=24, test=40, frames=4, size=32, workers=2)
    return root


@pytest.fixture(scope="module")
def pretrained(labelled, small, tmp_path_factory):
    """A run of one step."""
    settings = small("pretrain.steps=1", "pretrain.warmup=0", "probe.steps=10", "probe.neighbours=3")
    return pretrain(labelled, settings, out=tmp_path_factory.mktemp("runs") / "run", show_progress=False).out


@pytest.mark.slow
def test_two_ranks_finetune_and_evaluate_as_one(labelled, pretrained, tmp_path):
    """The second rank waits for the weights of the first, then judges its own part of the test set."""
    out, report = tmp_path / "run", tmp_path / "report"
    printed, judged = command(
        TOGETHER, report, "finetune", pretrained, labelled, "--out", out, "finetune.steps=2", "finetune.warmup=0"
    )
    assert [len(part) for part in judged] == [24, 16]
    assert sorted(judged[0] + judged[1]) == sorted(item.path for item in load_set(labelled).test)  # each once
    assert [(report / f"step{rank}.txt").read_text() for rank in (0, 1)] == ["2", "2"]
    assert printed.count("top-1") == 1
    (result,) = read_results(out / "evaluation.json")
    assert result.metric("top-1").count == 40
    # without the page
    written = [out / "evaluation.json", *sorted((out / result.details["predictions"]).glob("[cp]*"))]
    assert len(written) >= 4
    contents = [file.read_bytes() for file in written]
    for file in written:
        file.unlink()
    command([sys.executable], tmp_path / "alone", "evaluate", out, labelled)
    assert [file.read_bytes() for file in written] == contents
    top1 = result.metric("top-1").value
    assert [(report / f"predictions{rank}.txt").read_text() for rank in (0, 1)] == [f"40 {top1}", f"0 {top1}"]
    # A stopped evaluation is continued by two ranks.
    for file in written:
        file.unlink()
    with pytest.raises(KeyboardInterrupt):
        mgm.evaluate(out, labelled, progress=stop_after_a_group)
    _, judged = command(TOGETHER, tmp_path / "continued", "evaluate", out, labelled)
    assert sum(map(len, judged)) == 24
    assert [file.read_bytes() for file in written] == contents
    # Names and weights are hashed on the first rank alone.
    assert [(tmp_path / "continued" / f"hashed{rank}.txt").exists() for rank in (0, 1)] == [True, False]
    assert [(report / f"hashed{rank}.txt").exists() for rank in (0, 1)] == [True, False]


def stop_after_a_group(line):
    if line.startswith("classifying 16"):
        raise KeyboardInterrupt


@pytest.mark.slow
def test_two_ranks_predict_transfer_and_compare_as_one(labelled, tuned, tmp_path):
    """The first rank has the predictions and writes; both know the figures."""
    contents = []
    for name, launcher, numbers in (("alone", [sys.executable], ["40"]), ("together", TOGETHER, ["40", "0"])):
        out, report = tmp_path / f"{name}.csv", tmp_path / name
        printed, _ = command(launcher, report, "predict", tuned, labelled / "test", "--out", out)
        assert [file.read_text() for file in sorted(report.glob("predictions*.txt"))] == numbers
        found = [line for line in printed.splitlines() if ".mp4" in line]
        transferred, _ = command(launcher, tmp_path / f"{name} transfer", "transfer", tuned, labelled)
        transfer_file = (tuned / "transfer.json").read_bytes()
        (tuned / "transfer.json").unlink()
        (tuned / "evaluation.json").unlink(missing_ok=True)
        shutil.rmtree(tuned / "predictions", ignore_errors=True)
        compared, _ = command(launcher, tmp_path / f"{name} compare", "compare", tuned, tuned, labelled)
        again, judged = command(launcher, tmp_path / f"{name} again", "compare", tuned, tuned, labelled)
        assert judged == []
        assert again == compared
        contents.append((out.read_bytes(), found, transferred, transfer_file, compared))
    assert contents[0] == contents[1]


@pytest.fixture(scope="module")
def tuned(labelled, pretrained, small, tmp_path_factory):
    """A classifier after one step."""
    settings = small("finetune.steps=1", "finetune.warmup=0")
    out = tmp_path_factory.mktemp("tuned") / "run"
    return finetune(pretrained, labelled, settings, out=out, show_progress=False).out


@pytest.mark.slow
def test_two_ranks_probe_as_one(labelled, pretrained, tmp_path):
    figures = []
    for name, launcher in (("alone", [sys.executable]), ("together", TOGETHER)):
        printed, judged = command(launcher, tmp_path / name, "probe", pretrained, labelled)
        paths = [path for part in judged for path in part]
        assert sorted(paths) == sorted(2 * [item.path for item in load_set(labelled).items])  # by both encoders
        assert printed.count("linear probe") == 1
        figures.append((pretrained / "probe.json").read_bytes())
    assert figures[0] == figures[1]
    for name, launcher in (("cached alone", [sys.executable]), ("cached together", TOGETHER)):
        _, judged = command(launcher, tmp_path / name, "probe", pretrained, labelled, "probe.heads=[linear,knn]")
        assert judged == []
        figures.append((pretrained / "probe.json").read_bytes())
    assert figures[2] == figures[3]


@pytest.mark.slow
def test_two_ranks_embed_as_one_and_the_first_has_the_features(labelled, pretrained, tmp_path):
    """Also after a stop: half of the groups are finished."""
    contents = []
    for name, launcher, numbers in (
        ("alone", [sys.executable], ["64"]),
        ("together", TOGETHER, ["64", "0"]),
        ("again", TOGETHER, ["64", "0"]),
    ):
        out, report, read = tmp_path / f"{name}.safetensors", tmp_path / name, 64
        if name == "again":
            kept = tmp_path / f".{out.name}.unfinished"
            mgm.embed(pretrained, labelled, keep=kept)
            groups = sorted(kept.glob("*/*.group"))
            assert len(groups) == 4
            groups[0].unlink()
            groups[2].unlink()
            read = 32
        printed, judged = command(launcher, report, "embed", pretrained, labelled, "--out", out)
        assert printed.count("64 views of 64 videos") == 1
        assert sum(map(len, judged)) == read
        assert [file.read_text() for file in sorted(report.glob("features*.txt"))] == numbers
        with safe_open(out, "numpy") as file:  # the order of its texts differs from one process to the next
            contents.append((file.metadata(), {key: file.get_tensor(key).tobytes() for key in file.keys()}))  # noqa: SIM118
    assert contents[0] == contents[1] == contents[2]


@pytest.mark.slow
def test_each_rank_draws_its_own_stochastic_depth_and_draws_it_again(tiny_set, tmp_path):
    """Equal draws would drop the same blocks for the clips of all ranks."""
    root = numbered_videos(tiny_set, tmp_path / "videos")
    settings = (
        "model.replacement=vit",
        "model.drop_path=0.5",
        "pretrain.checkpoint_every=1",
        "pretrain.micro_batch=null",
    )
    whole = together(root, tmp_path / "whole", *settings, share=0, steps=6)
    first, second = (report["drawn"][:6] for report in whole)
    assert all(len(draws) == len(first[0]) > 0 for draws in (*first, *second))
    assert sum(one != other for one, other in zip(first, second, strict=True)) > 3  # of four draws a step
    assert all(len({tuple(draws) for draws in steps}) > 3 for steps in (first, second))
    together(root, tmp_path / "parts", *settings, share=0, steps=6, signalled=2)
    step = load_checkpoint(tmp_path / "parts")["position"]["step"]
    parts = together(root, tmp_path / "parts", *settings, share=0, steps=6)
    assert [report["drawn"][: 6 - step] for report in parts] == [first[step:], second[step:]]
    assert parts[0]["losses"] == whole[0]["losses"]


@pytest.mark.slow
def test_a_signal_to_one_rank_stops_both_after_the_same_step(tiny_set, tmp_path):
    root = numbered_videos(tiny_set, tmp_path / "videos")
    first, second = together(root, tmp_path / "run", share=0, steps=8, signalled=3)
    assert first["status"] == second["status"] == STOPPED_STATUS
    step = load_checkpoint(tmp_path / "run")["position"]["step"]
    assert step in (4, 5)
    first, second = together(root, tmp_path / "run", share=0, steps=8)
    assert first["losses"] == second["losses"]
    assert len(first["losses"]) == 8
