"""A training step synchronises with the GPU once, to read the values of the log. No GPU is needed; see `StandIn`."""

import re

import pytest
import torch

from mgm.training.fabric import Fabric
from mgm.training.finetune import finetune
from mgm.training.pretrain import pretrain
from tests.models.standin import GPU, StandIn
from tests.training.test_finetune import AUGMENTED

# The one that every step is allowed.
WAIT = re.compile(r"tolist at training/loop\.py:\d+ > training/step\.py")
# The model travels to the GPU before the first step, and back after the last.
MOVES = re.compile(r"copy to the GPU at training/loop\.py:\d+ > training/engine\.py|copy to the CPU at")


@pytest.fixture
def on_gpu(monkeypatch):
    """Train with a stand-in as the device; returns the history and the synchronisations of the steps."""

    def make_fabric(precision, *, sharded=False):
        fabric = Fabric(accelerator="cpu", devices=1)
        fabric.strategy._root_device = GPU
        return fabric

    def go(train):
        with monkeypatch.context() as patch, StandIn() as gpu:
            patch.setattr("lightning_fabric.accelerators.CPUAccelerator.setup_device", lambda self, device: None)
            patch.setattr("mgm.training.run.make_fabric", make_fabric)
            patch.setattr("mgm.data.loading.loader.in_background", iter)  # the stand-in supports one thread
            patch.setattr("torch.cuda.get_rng_state", lambda device: torch.get_rng_state())
            history = train().history
        return history, [wait for wait in gpu.waits if not MOVES.match(wait)]

    return go


def check(on_gpu, train):
    history, waits = on_gpu(lambda: train("gpu"))
    assert history.losses == pytest.approx(train("cpu").history.losses, rel=1e-4)
    assert len(waits) == len(history.losses)
    assert all(WAIT.match(wait) for wait in waits), waits


def test_pretraining_waits_once_a_step(on_gpu, small, videos, memory, tmp_path):
    config = small(
        "model.target={normalised-pixels: 1, motion: 0.5}",
        "mask.decoder.name=running-cell",
        "pretrain.micro_batch=2",
        "pretrain.clip_grad=1",
        "pretrain.precision=32-true",
    )
    check(on_gpu, lambda out: pretrain(videos, config, out=tmp_path / out, source=memory, show_progress=False))


def test_finetuning_waits_once_a_step(on_gpu, small, videos, memory, tmp_path):
    config = small(
        *AUGMENTED,
        "finetune.micro_batch=null",
        "finetune.dropout=0.5",
        "finetune.drop_path=0.2",
        "finetune.precision=32-true",
    )
    check(on_gpu, lambda out: finetune(None, videos, config, out=tmp_path / out, source=memory, show_progress=False))
