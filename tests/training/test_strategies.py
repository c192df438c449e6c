"""Two processes with gloo on the CPU, replicated (DDP) and sharded (FSDP2), learn what one process learns."""

import json
import os
import subprocess
import sys

import pytest
import torch

from mgm.training import load_checkpoint
from mgm.training.devices import Processes
from mgm.training.signals import STOPPED_STATUS
from tests.training.helpers import numbered_videos
from tests.training.test_ranks import SCRIPT, together

# Accumulated in two micro-batches per process, clipped, averaged.
SETTINGS = ("pretrain.micro_batch=1", "pretrain.clip_grad=0.5", "pretrain.ema=0.9", "pretrain.checkpoint_every=5")


@pytest.fixture(scope="module")
def folder(tiny_set, tmp_path_factory):
    return numbered_videos(tiny_set, tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    """The run of one process, 20 steps of the same batch in one piece."""
    return one_process(folder, tmp_path_factory.mktemp("alone") / "run", "pretrain.micro_batch=null")


def one_process(folder, out, *settings):
    command = [sys.executable, str(SCRIPT), str(folder), str(out), "0", "20", *SETTINGS, *settings]
    subprocess.run(command, check=True, timeout=300, env={**os.environ, "RANK": "0"})
    return out


def losses(out):
    return json.loads((out / "rank0.json").read_text())["losses"]


def check_close(first, second):
    """Losses, weights and averages of two runs agree to 1e-5 of the largest value of a tensor."""
    assert losses(first) == pytest.approx(losses(second), rel=1e-5)
    contents = load_checkpoint(first), load_checkpoint(second)
    for part in ("model", "ema"):
        for name, value in contents[0][part].items():
            other = contents[1][part][name]
            assert (value - other).abs().max() <= 1e-5 * max(other.abs().max(), 0.1), name


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_learn_what_one_learns(folder, alone, tmp_path, strategy):
    settings = (*SETTINGS, f"pretrain.strategy={strategy}")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    reports = together(folder, whole, *settings, share=0, steps=20)
    assert [report["sharded"] for report in reports] == [[strategy == "fsdp"]] * 2
    check_close(whole, alone)
    reports = together(folder, stopped, *settings, share=0, steps=20, signalled=8)
    assert [report["status"] for report in reports] == [STOPPED_STATUS] * 2
    together(folder, stopped, *settings, share=0, steps=20)
    first, second = load_checkpoint(whole), load_checkpoint(stopped)
    assert all(torch.equal(first[part][name], second[part][name]) for part in ("model", "ema") for name in first[part])
    assert losses(stopped) == losses(whole)


@pytest.mark.slow
def test_a_sharded_run_continues_alone(folder, alone, tmp_path):
    """Its checkpoint has whole tensors. Before it starts, it takes a step to see what fits the device."""
    settings = (*SETTINGS, "pretrain.strategy=fsdp", "pretrain.micro_batch=auto")
    together(folder, tmp_path / "run", *settings, share=0, steps=20, signalled=8)
    check_close(one_process(folder, tmp_path / "run", "pretrain.strategy=ddp", "pretrain.micro_batch=auto"), alone)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Processes(1, 1, False)),
        ({"WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"}, Processes(8, 2, True)),
        ({"SLURM_STEP_ID": "0", "SLURM_NTASKS": "8", "SLURM_NNODES": "2"}, Processes(4, 2, True)),
        ({"SLURM_STEP_ID": "0"}, Processes(1, 1, True)),
        # torchrun in a job, and a job script itself
        ({"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_NNODES": "2", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"},
         Processes(2, 2, True)),
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}, Processes(1, 1, False)),
    ],
)  # fmt: skip
def test_the_processes_that_a_launcher_started(monkeypatch, environment, expected):
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_STEP_ID", "SLURM_STEPID", "SLURM_NTASKS", "SLURM_NNODES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Processes.found() == expected
    assert Processes.found().world == expected.local * expected.nodes
