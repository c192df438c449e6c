"""Two processes that train together: their clips, losses and bad videos."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mgm.data.annotations import load_set
from mgm.training import load_checkpoint
from mgm.training.pretrain import pretrain

SCRIPT = Path(__file__).with_name("two_ranks.py")


def together(folder, out, *settings, share, steps):
    """The reports of two ranks."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run(
        [*command, str(SCRIPT), str(folder), str(out), str(share), str(steps), *settings], check=True, timeout=120
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
    root = tmp_path / "videos"
    root.mkdir()
    for number, item in enumerate(load_set(tiny_set).train):
        (root / f"{number:02d}.mp4").write_bytes(Path(item.path).read_bytes())
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
    videos = tmp_path / "videos"
    videos.mkdir()
    for number, item in enumerate(load_set(tiny_set).train):
        (videos / f"{number:02d}.mp4").write_bytes(Path(item.path).read_bytes())
    first, second = together(videos, tmp_path / "two", *settings, share=0, steps=6)
    whole = small(*settings, "data.memory=false", "data.crop=centre", "pretrain.warmup=1")
    alone = pretrain(videos, whole, out=tmp_path / "one", show_progress=False).history.losses
    assert first["losses"] == second["losses"] == pytest.approx(alone, rel=1e-5)
