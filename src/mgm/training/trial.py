"""A step on drawn clips before a run starts: the memory and the time of a step, and the micro-batch that fits the device.

No weight and no random state changes. PyTorch counts the memory of CUDA devices only: elsewhere the tensors are summed that
the forward pass keeps for the backward pass.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
from torch.utils.flop_counter import FlopCounterMode

from mgm.data.loading.dataset import MaskRule
from mgm.data.loading.loader import Batch
from mgm.errors import ModelError
from mgm.machine import free_memory, peak_flops
from mgm.masks import mask_rng
from mgm.printable import plural
from mgm.training.engine import Engine
from mgm.training.fabric import Fabric
from mgm.training.method import TrainingMethod
from mgm.training.run import TrainingRun
from mgm.training.sharding import local

_USABLE = 0.8
"""Fraction of the free memory that a step may fill: the estimate leaves out what one operation needs while it runs."""
_SECONDS = 2.0
"""Time for measuring the speed of a device, and that of a loader."""
_BUFFERED_BYTES = 2**30
"""Clips that are kept while the loader is measured."""
_MIDDLE = 0.5
"""Place in the run whose mask ratio is the mean of all steps."""


@dataclass(frozen=True, slots=True)
class StepMemory:
    """The memory of a step on one device.

    Attributes:
        fixed: bytes of weights, gradients and the optimiser's state.
        per_clip: bytes that a clip of a micro-batch needs until its backward pass.
        free: bytes that the device has for all of them; None if unknown.
    """

    fixed: int
    per_clip: int
    free: int | None

    def of(self, clips: int) -> int:
        """Bytes of a step with `clips` clips at once."""
        return self.fixed + clips * self.per_clip

    def fits(self, clips: int) -> bool:
        """Whether there is room for a step with `clips` clips at once."""
        return self.free is None or self.of(clips) <= _USABLE * self.free


@dataclass(frozen=True, slots=True)
class StepCost:
    """What a step asks of its device.

    Attributes:
        memory: its memory.
        seconds_per_clip: time of the forward and the backward pass.
        clips_at_peak: clips per second at which all devices would compute at their peak; None if it is unknown.
    """

    memory: StepMemory
    seconds_per_clip: float
    clips_at_peak: float | None = None


def try_step(run: TrainingRun, engine: Engine) -> StepCost:
    """Take steps on drawn clips, of growing size for up to two seconds, without changing the model.

    Raises:
        ModelError: the smallest micro-batch does not fit the device.
    """
    fabric, method, smallest = run.fabric, engine.method, run.clips.repeats
    free = _free_on(fabric)
    fixed = fixed_bytes(engine)
    with _unchanged(engine):
        try:
            kept, seconds = _take(run, method, smallest, progress=_heaviest(run))
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{run.section}.micro_batch",
                f"{plural(smallest, 'clip')} of {run.config.data.frames} frames of {run.config.data.size} px do not fit "
                f"into the memory of {torch.cuda.get_device_name(fabric.device)}",
                advice="set model.checkpointing=true, or make the model or the clips smaller",
                reason="unsupported",
            ) from error
        memory = StepMemory(fixed, kept // smallest, free)
        clips, spent = smallest, seconds
        if _heaviest(run) != _MIDDLE:
            _, seconds = _take(run, method, smallest)
        while 2 * clips <= run.clips_per_rank and _on_every_rank(fabric, spent < _SECONDS and memory.fits(2 * clips)):
            clips *= 2
            _, seconds = _take(run, method, clips)
            spent += seconds
        peak = _peak_flops(fabric)
        at_peak = None if peak is None else fabric.world_size * peak / flops_per_clip(run, method)
    return StepCost(memory, seconds / clips, at_peak)


def flops_per_clip(run: TrainingRun, method: TrainingMethod) -> float:
    """Floating-point operations of the matrix products and the attention of a clip's forward and backward pass."""
    with FlopCounterMode(display=False) as counter:
        _take(run, method, run.clips.repeats)
    return float(counter.get_total_flops() / run.clips.repeats)


def fitting_clips(run: TrainingRun, memory: StepMemory) -> int:
    """The largest number of clips that a device can take at once, a multiple of the repeats; the same on every rank."""
    clips = run.clips_per_rank
    while clips > run.clips.repeats and not memory.fits(clips):
        clips -= run.clips.repeats
    lowest: torch.Tensor = run.fabric.all_reduce(torch.tensor(float(-clips), device=run.fabric.device), reduce_op="max")
    return round(-float(lowest))


def fixed_bytes(engine: Engine) -> int:
    """Bytes of a model with its buffers, its average, its gradients and the state of its optimiser on this device."""
    module, average = engine.method.module, engine.average is not None
    model = sum(_local_bytes(value) for value in (*module.parameters(), *module.buffers()))
    trained = 0
    for group in engine.optimiser.param_groups:
        # AdamW keeps two averages of the gradient; SGD and Muon keep one, and alone have a momentum.
        states = 1 if "momentum" in group else 2
        trained += (1 + states + average) * sum(_local_bytes(p) for p in group["params"])
    return model + trained


def drawn_batch(run: TrainingRun, clips: int, progress: float = _MIDDLE) -> Batch:
    """Clips of random pixels with the masks of a run, which have no motion to follow: on the CPU, from fixed seeds.

    Args:
        progress: see `MaskRule.at`; the mean of a ratio that changes is that of the middle.
    """
    data, rule = run.config.data, run.clips.transform.rule
    rule = None if rule is None else rule.at(progress)
    shape = (clips, data.frames, data.size, data.size, 3)
    video = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    index = torch.arange(clips)
    keys = torch.stack([torch.zeros_like(index), index, torch.zeros_like(index)], dim=1)
    motion = torch.zeros(clips, data.frames, *rule.motion_grid, 2) if rule is not None and rule.keep_motion else None
    mask, decode = (None, None) if rule is None else (_masks(rule, clips), _masks(rule.decode, clips))
    return Batch(
        video.permute(0, 4, 1, 2, 3),
        mask,
        torch.zeros_like(index),
        index,
        keys,
        fallback=0.0,
        unreadable=(),
        decode=None if decode is None else ~decode,
        motion=motion,
    )


def measure_reading(stream: Iterator[Batch], run: TrainingRun) -> tuple[float | None, Iterator[Batch]]:
    """The clips per second that the loader of all devices delivers while nothing is trained, and the stream with all its batches.

    None if it ends, or fills a gigabyte, before its processes are warm.
    """
    read: list[Batch] = []
    warm, began, clips, size = max(run.workers, 1), 0.0, 0, 0
    for batch in stream:
        read.append(batch)
        now = time.perf_counter()
        if len(read) > warm:
            clips += len(batch.index)
        elif len(read) == warm:
            began = now
        size += batch.video.nbytes
        if size > _BUFFERED_BYTES or (len(read) >= 2 * warm and now - began > _SECONDS) or len(read) >= 8 * warm:
            break
    rate = clips / (now - began) * run.order.ranks if clips and now > began else None
    return rate, chain(read, stream)


def _on_every_rank(fabric: Fabric, condition: bool) -> bool:
    """Whether a condition holds on every rank. The ranks of a sharded model take every step together."""
    if fabric.world_size == 1:
        return condition
    failures: torch.Tensor = fabric.all_reduce(
        torch.tensor(float(not condition), device=fabric.device), reduce_op="max"
    )
    return not failures


def _masks(rule: MaskRule | None, clips: int) -> torch.Tensor | None:
    if rule is None:
        return None
    drawn = (rule.mask.draw(rule.grid, rule.ratio, None, mask_rng(0, 0, clip, 0)).masked for clip in range(clips))
    return torch.stack([torch.from_numpy(mask) for mask in drawn])


def _heaviest(run: TrainingRun) -> float:
    """Place in the run of the steps with the most visible tokens, which need the most memory; the middle if all have as many."""
    rule = run.clips.transform.rule
    if rule is None or rule.schedule is None:
        return _MIDDLE
    return 0.0 if rule.schedule.first < rule.schedule.last else 1.0


def _take(run: TrainingRun, method: TrainingMethod, clips: int, *, progress: float = _MIDDLE) -> tuple[int, float]:
    """Bytes that a forward pass keeps, and seconds with the backward pass, of one micro-batch of a place in the run."""
    device, module = run.fabric.device, method.module
    batch = drawn_batch(run, clips, progress).to(device)
    on_cuda = device.type == "cuda" and torch.cuda.is_available()
    own = {local(value).untyped_storage().data_ptr() for value in (*module.parameters(), *module.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        """Count the storage of a tensor that autograd keeps for the backward pass, once, unless it is a weight."""
        storage = local(tensor).untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    if on_cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    began = time.perf_counter()
    with run.fabric.autocast(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = method.step(module, batch).loss
    loss.backward()  # type: ignore[no-untyped-call]
    if on_cuda:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - began
    if on_cuda:
        gradients = sum(_local_bytes(p.grad) for p in module.parameters() if p.grad is not None)
        kept_bytes = torch.cuda.max_memory_allocated(device) - before - gradients
    else:
        kept_bytes = sum(kept.values())
    for parameter in module.parameters():
        parameter.grad = None
    return kept_bytes, seconds


@contextmanager
def _unchanged(engine: Engine) -> Iterator[None]:
    """Restore mode, statistics and random states after the block, and show no warnings about its clips."""
    module, device = engine.method.module, engine.fabric.device
    mode = module.training
    devices = [device] if device.type == "cuda" and torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.train()
        try:
            yield
        finally:
            module.train(mode)
            engine.statistics.restore()


def _free_on(fabric: Fabric) -> int | None:
    """Bytes that a process can allocate on its device, with those that it already has on a GPU; None if unknown."""
    device = fabric.device
    if device.type == "cuda":
        if not torch.cuda.is_available():
            return None
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    free = free_memory()
    return None if free is None else free // getattr(fabric.strategy, "num_processes", 1)


def _peak_flops(fabric: Fabric) -> float | None:
    """Operations per second of a GPU in 16 bits, if its maker states them."""
    if fabric.device.type != "cuda" or not torch.cuda.is_available():
        return None
    if not str(fabric.strategy.precision.precision).endswith("16-mixed"):
        return None
    return peak_flops(torch.cuda.get_device_name(fabric.device))


def _local_bytes(tensor: torch.Tensor) -> int:
    """Bytes of a tensor on this device, also of one that is sharded over several."""
    local = getattr(tensor, "_local_tensor", tensor)
    return local.numel() * local.element_size()
