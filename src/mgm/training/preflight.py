"""Checks before a run, of the machine, and of a recipe with a set: each returns what it found and, if that is wrong, advice."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, TypeVar

import av
import torch

from mgm.compiled import cache_folder
from mgm.data.annotations import VideoSet
from mgm.data.items import evenly_spaced
from mgm.data.judging import untrainable, without_training
from mgm.data.loading.loader import BatchOrder, batches
from mgm.data.unreadable import LEAVE_OUT_ADVICE
from mgm.errors import MgmError, in_words
from mgm.machine import machine, versions
from mgm.masks.kernels import compile_kernels, lowest
from mgm.models.accelerate.pixels import compile_pixels
from mgm.printable import plural
from mgm.terminal import byte_size
from mgm.training.announce import clips_at_once, device_rate, excess_of_batch
from mgm.training.config import Config, Run
from mgm.training.devices import make_fabric
from mgm.training.engine import Engine
from mgm.training.finetune import set_up_finetuning
from mgm.training.method import TrainingMethod
from mgm.training.pretrain import set_up_pretraining
from mgm.training.recipe import override
from mgm.training.run import TrainingRun, is_sharded
from mgm.training.shared_set import shared_set
from mgm.training.step import clip_gradient, train_step
from mgm.training.trial import StepCost, fitting_clips, fixed_bytes, measure_reading, try_step
from mgm.video.clip.interleave import compile_clip_kernels
from mgm.video.transcode.choice import describe_encoders

FindingVerdict = Literal["ok", "note", "change"]
T = TypeVar("T")

_EXTRAS: Final = {
    "flow": ("cv2",),
    "cache": ("zstandard",),
    "remote": ("aiohttp", "fsspec"),
    "parquet": ("pyarrow",),
    "zarr": ("zarr",),
    "ray": ("ray",),
    "hf": ("transformers",),
    "onnx": ("onnx", "onnxscript"),
    "explore": ("starlette", "uvicorn"),
    "umap": ("umap",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}
"""Extra -> the modules that it installs."""
_DECODERS: Final = ("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2video")
_VIDEOS = 32
"""Videos of a set that are tried."""
_CLIPS = 8
"""Clips per device of the step that is tried."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check.

    Attributes:
        name: what was checked.
        found: one line.
        verdict: "note": worth knowing; "change": a run would fail or do what was not meant.
        advice: what to do; "" if nothing.
    """

    name: str
    found: str
    verdict: FindingVerdict = "ok"
    advice: str = ""


def check_machine() -> Iterator[Finding]:
    """Versions, codecs, encoders, compiled loops, extras, the device, and the connection of several processes."""
    yield Finding("versions", ", ".join(f"{name} {version}" for name, version in versions()))
    yield _safely("codecs", _check_codecs)
    yield _safely("encoders", lambda: Finding("", describe_encoders()))
    yield _safely("kernels", _check_kernels)
    yield _check_extras()
    yield _safely("device", _check_device)
    if int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or 1) > 1:
        yield _safely("processes", _check_collective)


def check_run(config: Config, kind: Run, data: str, out: Path) -> Iterator[Finding]:
    """The set, the memory and the speed of a step, one step on real clips, and the room for checkpoints.

    Args:
        kind: section of the settings that is tried; fine-tuning starts from scratch.
        out: the folder in which the run would be.
    """
    videos = _tried("set", partial(shared_set, data))
    if isinstance(videos, Finding):
        yield videos
        return
    finding = _safely("set", partial(_check_set, videos, kind, config.optim(kind).batch))
    yield finding
    if finding.verdict == "change":
        return
    made = _tried("videos", partial(_prepare, config, kind, videos, out))
    if isinstance(made, Finding):
        yield made
        return
    run, engine = made
    yield _safely("videos", partial(_check_videos, run, videos))
    cost = _tried("memory", partial(try_step, run, engine))
    if isinstance(cost, Finding):
        yield cost
        return
    yield _safely("memory", partial(_check_memory, replace(run, optim=config.optim(kind)), cost))
    yield _safely("step", partial(_check_step, run, engine))
    yield _safely("speed", partial(_check_speed, run, cost))
    yield _safely("disk", partial(_check_disk, engine, config.optim(kind).keep_last, out))


def _tried(name: str, build: Callable[[], T]) -> T | Finding:
    """What a function builds for the checks after it, or its error as the finding of a check."""
    try:
        return build()
    except MgmError as error:
        subject = f"{error.subject}: " if error.subject else ""
        return Finding(name, f"{subject}{error.statement}", "change", error.advice)
    except (RuntimeError, OSError, MemoryError) as error:  # of torch, of the disk
        return Finding(name, in_words(error), "change", "mend it, then run mgm doctor again")


def _safely(name: str, check: Callable[[], Finding]) -> Finding:
    """The finding of a check, or its error as one."""
    return replace(_tried(name, check), name=name)


def _check_codecs() -> Finding:
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    missing = [name for name in _DECODERS if name not in av.codecs_available]
    if "libx264" not in av.codecs_available:
        missing.append("libx264 (encoding)")
    if missing:
        found = f"FFmpeg's libavcodec {version} lacks {', '.join(missing)}"
        return Finding("", found, "note", "install PyAV from its wheel: pip install av")
    return Finding("", f"FFmpeg's libavcodec {version} decodes {', '.join(_DECODERS)}, and encodes H.264")


def _check_kernels() -> Finding:
    compile_clip_kernels()
    compile_kernels()
    compile_pixels()
    folder = cache_folder(lowest)
    if folder is None:
        advice = "set NUMBA_CACHE_DIR to a folder that can be written"
        return Finding("", "compiled, but every process compiles them again: no folder can be written", "note", advice)
    return Finding("", f"compiled, and kept in {folder}")


def _check_extras() -> Finding:
    present = {name: all(find_spec(module) for module in modules) for name, modules in _EXTRAS.items()}
    names = [name for name, there in present.items() if there]
    missing = [name for name, there in present.items() if not there]
    return Finding(
        "extras", f"{', '.join(names) or 'none'}" + (f"; not installed: {', '.join(missing)}" if missing else "")
    )


def _check_device() -> Finding:
    fabric = make_fabric("auto")
    return Finding("", f"{fabric.device} in {fabric.strategy.precision.precision}; {machine()}")


def _check_collective() -> Finding:
    fabric = make_fabric("auto")
    total = float(fabric.all_reduce(torch.tensor(float(fabric.global_rank), device=fabric.device), reduce_op="sum"))
    expected = fabric.world_size * (fabric.world_size - 1) / 2
    if total != expected:
        found = f"a sum over {fabric.world_size} processes is {total}, expected {expected}"
        return Finding("", found, "change", "check the network between the machines (NCCL_DEBUG=INFO)")
    return Finding("", f"{fabric.world_size} processes on {type(fabric.strategy).__name__} add up")


def _check_set(found: VideoSet, kind: Run, batch: int) -> Finding:
    line = f"{plural(len(found.train), 'training video')}, {plural(len(found.test), 'test video')}, {len(found.classes)} classes"
    if (error := without_training(found)) is not None:
        raise error
    if kind == "finetune" and (error := untrainable(found)) is not None:
        raise error
    if excess := excess_of_batch(batch, len(found.train)):
        return Finding("", f"{line}; batch {batch:,}: {excess}", "note", f"set {kind}.batch, or add videos")
    if found.notes:
        return Finding("", f"{line}; {'; '.join(found.notes)}", "note", f"see 'mgm data show {found.root}'")
    return Finding("", line)


def _prepare(config: Config, kind: Run, found: VideoSet, out: Path) -> tuple[TrainingRun, Engine]:
    """The run on a few videos with a small batch, and its model on the devices."""
    optim = config.optim(kind)
    ranks = make_fabric(optim.precision, sharded=is_sharded(config, optim)).world_size
    small = override(config, [f"{kind}.batch={min(optim.batch, _CLIPS * ranks)}"])
    some = replace(found, train=tuple(evenly_spaced(found.train, _VIDEOS)), notes=())
    method: TrainingMethod
    if kind == "pretrain":
        run, method = set_up_pretraining(some, small, out, None, show_progress=False)
    else:
        run, method = set_up_finetuning(None, some, small, out, None, show_progress=False)
    return run, Engine.build(run.fabric, method, run.optim, peak=run.schedule.peak)


def _check_videos(run: TrainingRun, found: VideoSet) -> Finding:
    """Read a clip of each video that is tried."""
    once = BatchOrder(len(run.clips), 1, run.config.seed)
    timeout = run.config.data.read_timeout
    read = list(batches(run.clips, once, first=0, last=len(run.clips), workers=run.workers, timeout=timeout))
    bad = [*run.left_out.values(), *(video.message for batch in read for video in batch.unreadable)]
    tried = f"{len(run.clips) + len(run.left_out):,} of {len(found.train):,} videos tried"
    if bad:
        failed = len(bad) > run.config.data.bad_share * (len(run.clips) + len(run.left_out))
        line = f"{tried}, {len(bad)} cannot be read, such as {bad[0]}"
        return Finding("", line, "change" if failed else "note", LEAVE_OUT_ADVICE)
    rule = run.clips.transform.rule
    if rule is None or not rule.uses_motion:
        return Finding("", f"{tried}, all can be read; their motion is not used")
    measured = sum(batch.measured for batch in read) / len(read)
    if measured and run.config.data.motion == "auto":
        line = f"{tried}, all can be read, {measured:.0%} without motion vectors: optical flow is measured, which takes longer"
        return Finding("", line, "note", "'mgm prepare' makes files with vectors")
    return Finding("", f"{tried}, all can be read with their motion")


def _check_memory(run: TrainingRun, cost: StepCost) -> Finding:
    memory = cost.memory
    if run.optim.micro_batch == "auto":
        run = replace(run, at_once=fitting_clips(run, memory))
    clips = clips_at_once(run)
    line = (
        f"about {byte_size(memory.of(clips))} for {plural(clips, 'clip')} at once x {run.micro_batches} accumulated x "
        f"{plural(run.order.ranks, 'device')}"
    )
    if memory.free is None:
        return Finding("", f"{line}; the free memory is unknown", "note")
    line += f"; {byte_size(memory.free)} are free"
    if memory.fits(clips):
        return Finding("", line)
    return Finding("", line, "change", f"set {run.section}.micro_batch=auto, or model.checkpointing=true")


def _check_step(run: TrainingRun, engine: Engine) -> Finding:
    """One step on clips of the set, of a model that is thrown away."""
    engine.module.train()
    began = time.perf_counter()
    totals = train_step(engine.method, engine.module, run.batches(0), run)
    norm = float(clip_gradient(engine, run.optim.clip_grad))
    engine.step()
    loss, seconds = float(totals.loss), time.perf_counter() - began
    line = (
        f"loss {loss:.4f}, gradient norm {norm:.3g}, {run.clips_per_step} clips in {seconds:.1f} s with their reading"
    )
    if math.isfinite(loss) and math.isfinite(norm):
        return Finding("", line)
    return Finding("", line, "change", f"set {run.section}.precision=32-true")


def _check_speed(run: TrainingRun, cost: StepCost) -> Finding:
    reading, _ = measure_reading(run.batches(0), run)
    wanted = run.order.ranks / cost.seconds_per_clip
    if reading is None:
        return Finding("", f"{device_rate(run, cost)}; the set is too small to measure its reading", "note")
    line = f"{device_rate(run, cost)}, the loader delivers {reading:,.0f}"
    if reading >= wanted:
        return Finding("", line)
    return Finding("", line, "note", "raise data.workers, or see 'mgm bench data'")


def _check_disk(engine: Engine, kept: int, out: Path) -> Finding:
    """Room for the checkpoints that are kept, the one that is being written, and the best one."""
    gradients = sum(p.nbytes for p in engine.module.parameters() if p.requires_grad)
    needed = (kept + 2) * (fixed_bytes(engine) - gradients)
    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    line = f"checkpoints need about {byte_size(needed)}, {byte_size(free)} are free in {place}"
    if not os.access(place, os.W_OK):
        return Finding("", f"{place} cannot be written", "change", "give another --out")
    if needed > free:
        return Finding("", line, "change", "free some space, or give another --out")
    return Finding("", line)
