"""The devices of a run: how many processes there are, and Lightning Fabric on them."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch

from mgm.training.fabric import Fabric, LightningEnvironment, ModelParallelStrategy
from mgm.training.open_files import allow_connections
from mgm.training.sections import Precision
from mgm.training.sharding import shard


class Processes(NamedTuple):
    """Processes on this machine, and machines; `launched` if torchrun or SLURM's srun started them."""

    local: int
    nodes: int
    launched: bool

    @property
    def world(self) -> int:
        """All processes."""
        return self.local * self.nodes

    @classmethod
    def found(cls) -> Processes:
        """The processes that torchrun or srun announced in the environment.

        A job script of SLURM has the variables of its tasks too, but is one process: only srun numbers its steps.
        """
        world = os.environ.get("WORLD_SIZE")
        if world is not None:
            local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
            return cls(local, max(int(world) // local, 1), launched=True)
        if "SLURM_STEP_ID" in os.environ or "SLURM_STEPID" in os.environ:
            tasks, nodes = int(os.environ.get("SLURM_NTASKS", 1)), int(os.environ.get("SLURM_NNODES", 1))
            return cls(max(tasks // nodes, 1), nodes, launched=True)
        return cls(1, 1, launched=False)


def make_fabric(precision: Precision, *, sharded: bool = False) -> Fabric:
    """Lightning Fabric on one device, or on those that torchrun or SLURM started processes for.

    It never takes all GPUs of a machine by itself: Fabric would start the running command once more for each.

    Args:
        sharded: distribute weights, gradients and the optimiser's state over the devices, if there are several (FSDP2);
            otherwise each has all of them (DDP).

    Raises:
        ConfigError: the system allows too few open files for so many processes.
    """
    if precision == "auto":
        # bf16 autocast is half as fast as float32 on a CPU that only emulates it
        native = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16-mixed" if native else "32-true"
    processes = Processes.found()
    allow_connections(processes.world)
    strategy = (
        ModelParallelStrategy(shard, data_parallel_size=processes.world, tensor_parallel_size=1)
        if sharded and processes.world > 1
        else "auto"
    )
    fabric = Fabric(
        devices=processes.local,
        num_nodes=processes.nodes,
        precision=precision,
        strategy=strategy,
        plugins=None if processes.launched else LightningEnvironment(),
    )
    fabric.launch()
    return fabric
