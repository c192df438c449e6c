"""One pretraining step - forward, backward, optimiser - against transformers' VideoMAEForPreTraining, with SDPA and eager.

python benchmarks/step.py                                     # CPU, float32: ViT-S and tiny at ratios .9 and .75
python benchmarks/step.py --compile                           # torch.compile for all
python benchmarks/step.py --device cuda --sizes B --dtype bfloat16 --tune --compile
python benchmarks/step.py --sizes S --ratios .9 --profile     # where mgm's step spends its time

All models have the same weights, clips and masks, and the benchmark checks that loss and gradient norm agree before it times
them. Inputs are in the format of each library, on the device already: uint8 clips with channels last in memory for mgm,
normalised floats (B, T, C, H, W) for transformers. All use the same fused AdamW. Rounds are interleaved. On a shared
machine, add --clock cpu --threads 1. On a CPU mgm uses `accelerate_cpu`, as `mgm pretrain` does; --plain adds a row without.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mgm.data.loading.memory import keep_freed_memory
from mgm.masks import make_mask, mask_rng
from mgm.models import MaskedAutoencoder, ModelSpec, to_huggingface
from mgm.models.accelerate import accelerate_cpu
from mgm.models.patches import MEAN, STD
from timing import Clock, compare, print_header, print_table

SEED = 0
CLIPS = {"cpu": {"tiny": 32, "S": 4}, "cuda": {}}
"""Clips of a step without --batch: about a second on one core of a CPU."""
SPECS = {
    "tiny": {"frames": 8, "resolution": 48, "patch": 8},
}
PEER = "transformers, sdpa"
AGREE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""Largest relative difference of loss and gradient norm to the peer's: rounding in float32, the format's in bfloat16."""

Data = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Setting:
    """What one table is about."""

    size: str
    ratio: float
    batch: int | None
    device: torch.device
    dtype: torch.dtype
    compiled: bool
    clock: Clock

    @property
    def spec(self) -> ModelSpec:
        """Epsilons are those that transformers builds in, or the results could not agree."""
        return ModelSpec(self.size, norm_eps=1e-12, head_norm_eps=1e-5, **SPECS.get(self.size, {}))

    @property
    def autocast(self) -> AbstractContextManager[object]:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


@dataclass
class Contender:
    """A model with its optimiser and the way to its loss."""

    model: nn.Module
    loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    optimiser: torch.optim.Optimizer

    def step(self, setting: Setting, data: Data) -> None:
        """One step; waits for the device."""
        with setting.autocast:
            loss = self.loss(*data)
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if setting.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="S,tiny", help="rows of mgm.models.SIZES, with commas")
    parser.add_argument("--ratios", default="0.9,0.75")
    parser.add_argument(
        "--batch", type=int, help="clips per step; default: about a second's worth on a CPU, 32 on a GPU"
    )
    parser.add_argument(
        "--tune", action="store_true", help="for each the power of two with most clips per second (GPU)"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1, help="steps per round; more on a fast device")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--compile", action="store_true", help="torch.compile for all")
    parser.add_argument("--threads", type=int, help="threads of the CPU; default: torch's")
    parser.add_argument(
        "--clock", default="wall", choices=["wall", "cpu"], help="cpu: on a machine that others use; with --threads 1"
    )
    parser.add_argument(
        "--malloc",
        default="keep",
        choices=["keep", "system"],
        help="keep: freed memory stays with the process, as mgm.pretrain sets it on a CPU; here for all contenders",
    )
    parser.add_argument("--no-eager", action="store_true", help="leave out transformers without SDPA")
    parser.add_argument("--plain", action="store_true", help="add mgm without accelerate_cpu")
    parser.add_argument("--profile", action="store_true", help="print where mgm's step spends its time instead")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    kept = args.malloc == "keep" and args.device == "cpu" and keep_freed_memory()
    device = torch.device(args.device)
    dtype = getattr(torch, args.dtype)
    print_header(
        f"pretraining step, {args.dtype}, {'compiled' if args.compile else 'not compiled'}, {args.clock} time, "
        f"{torch.get_num_threads()} CPU threads, "
        f"freed memory {'kept' if kept else 'given back'}, transformers {transformers.__version__}, {device_name(device)}",
        SEED,
    )
    torch.backends.cudnn.allow_tf32 = False  # or the peer's convolution on a GPU would not agree in float32
    ceiling = matmul_rate(device, dtype)
    print(f"largest rate of a matrix product here: {ceiling / 1e12:.3g} TFLOP/s")
    for size in args.sizes.split(","):
        for ratio in map(float, args.ratios.split(",")):
            setting = Setting(size, ratio, args.batch, device, dtype, args.compile, args.clock)
            if args.profile:
                profile(setting)
            else:
                report(
                    setting, args.rounds, args.steps, ceiling, eager=not args.no_eager, plain=args.plain, tune=args.tune
                )


def device_name(device: torch.device) -> str:
    """The GPU, where it is one."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def contenders(setting: Setting, *, eager: bool, plain: bool) -> dict[str, Callable[[], Contender]]:
    """Ways to build each; on a GPU only one is in memory at a time."""
    names = {PEER: "sdpa", **({"transformers, eager": "eager"} if eager else {})}
    build: dict[str, Callable[[], Contender]] = {
        name: lambda kind=kind: theirs(setting, kind)  # type: ignore[misc]
        for name, kind in names.items()
    }
    build["mgm"] = lambda: ours(setting)
    if plain:
        build["mgm, plain PyTorch"] = lambda: ours(setting, accelerated=False)
    return build


def our_model(setting: Setting) -> MaskedAutoencoder:
    """The weights that all contenders hold."""
    torch.manual_seed(SEED)
    return MaskedAutoencoder(setting.spec)


def ours(setting: Setting, *, accelerated: bool = True) -> Contender:
    """mgm, from uint8. accelerated: as `mgm pretrain` runs it on a CPU."""
    model = our_model(setting).to(setting.device)
    if accelerated and setting.device.type == "cpu":
        accelerate_cpu(model)
    run = compiled(model, setting)
    # Masks are split outside, as `mgm pretrain` does it: read inside, they would cut the compiled model into several graphs.
    return Contender(
        model,
        lambda video, floats, mask, there: run(video, model.split(mask, device=video.device)).loss,
        optimiser_of(model),
    )


def compiled(model: nn.Module, setting: Setting) -> Callable[..., Any]:
    """The model as it is run. Each batch is compiled for its own size: one that fits all sizes is slower."""
    return torch.compile(model, dynamic=False) if setting.compiled else model


def theirs(setting: Setting, attention: str) -> Contender:
    """transformers, from normalised floats (B, T, C, H, W)."""
    source = our_model(setting)
    config, _ = to_huggingface(source)
    model = transformers.VideoMAEForPreTraining._from_config(
        transformers.VideoMAEConfig(**{k: v for k, v in config.items() if k not in ("model_type", "architectures")}),
        attn_implementation=attention,
    )
    old = any(key.endswith("q_bias") for key in model.state_dict())
    _, state = to_huggingface(source, bias_names="q_bias" if old else "query.bias")
    # Some releases have a bias of the keys, which is zero, some have none.
    own = model.state_dict()
    state = {key: value for key, value in state.items() if key in own or not key.endswith("key.bias")}
    lost = model.load_state_dict(state, strict=False)
    if lost.unexpected_keys or any(not key.endswith("key.bias") for key in lost.missing_keys):
        raise SystemExit(f"the peer did not take the weights: {lost}")
    for name, parameter in model.named_parameters():
        if name.endswith("key.bias"):
            nn.init.zeros_(parameter)
    model.to(setting.device).train()
    run = compiled(model, setting)
    return Contender(
        model,
        lambda video, floats, mask, there: run(floats, bool_masked_pos=there.flatten(1)).loss,
        optimiser_of(model),
    )


def optimiser_of(model: nn.Module) -> torch.optim.Optimizer:
    """The same for all."""
    return torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, fused=True)


def data_of(setting: Setting, batch: int) -> Data:
    """uint8 clips and the same normalised, on the device; masks on the CPU, where mgm takes them, and on the device."""
    spec = setting.spec
    generator = torch.Generator().manual_seed(SEED)
    _, *shape = spec.video_shape
    # Channels are last in memory, as mgm's loader delivers clips.
    video = torch.randint(0, 256, (batch, *shape, 3), dtype=torch.uint8, generator=generator).permute(0, 4, 1, 2, 3)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1, 1) for v in (MEAN, STD))
    floats = ((video.float() / 255 - mean) / std).transpose(1, 2).contiguous()
    masks = [
        make_mask("tube", grid=spec.grid, ratio=setting.ratio, rng=mask_rng(SEED, 0, i, 0)).masked for i in range(batch)
    ]
    mask = torch.from_numpy(np.stack(masks))
    return video.to(setting.device), floats.to(setting.device), mask, mask.to(setting.device)


def check(setting: Setting, builders: dict[str, Callable[[], Contender]]) -> None:
    """Same loss and same norm of the gradient, or the times mean nothing."""
    data = data_of(setting, 2)
    found: dict[str, tuple[float, float]] = {}
    for name, build in builders.items():
        with one(build) as contender:
            with setting.autocast:
                loss = contender.loss(*data)
            loss.backward()
            grads = [
                p.grad.float().norm()
                for n, p in contender.model.named_parameters()
                if p.grad is not None and not n.endswith("key.bias")
            ]
            found[name] = (loss.item(), float(torch.stack(grads).norm()))
    for name, values in found.items():
        for kind, value, expected in zip(("loss", "gradient norm"), values, found[PEER], strict=True):
            if abs(value - expected) > AGREE[setting.dtype] * abs(expected):
                raise SystemExit(f"{name}: {kind} {value}, but {PEER}: {expected}; nothing was timed")
    loss, norm = found["mgm"]
    print(f"checked: loss {loss:.6f}, gradient norm {norm:.5f}, equal within {AGREE[setting.dtype]:g}")


@contextmanager
def one(build: Callable[[], Contender]) -> Iterator[Contender]:
    """A contender that leaves the device when it is done."""
    contender = build()
    yield contender
    del contender
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def report(setting: Setting, rounds: int, steps: int, ceiling: float, *, eager: bool, plain: bool, tune: bool) -> None:
    """Check, time and print one size at one ratio."""
    builders = contenders(setting, eager=eager, plain=plain)
    print(
        f"\n{setting.size}, ratio {setting.ratio:g}, {setting.spec.frames} x {setting.spec.frame_size[0]} px, "
        f"{setting.spec.tokens} tokens"
    )
    torch.compiler.reset()  # it keeps eight versions of a function, then compiles no more
    check(setting, builders)
    usual = setting.batch or CLIPS[setting.device.type].get(setting.size, 32)
    batches = {name: best_batch(setting, build) if tune else usual for name, build in builders.items()}
    torch.compiler.reset()
    all_of = {name: build() for name, build in builders.items()}
    inputs = {batch: data_of(setting, batch) for batch in set(batches.values())}

    def repeat(name: str) -> None:
        for _ in range(steps):
            all_of[name].step(setting, inputs[batches[name]])

    timings = compare(
        {name: lambda name=name: repeat(name) for name in all_of},  # type: ignore[misc]
        peer=PEER,
        rounds=rounds,
        units={name: steps * batches[name] for name in all_of},
        clock=setting.clock,
    )
    print_table(timings, peer=PEER, unit="ms a clip")
    flop = flop_per_clip(setting)
    for name, timing in timings.items():
        memory = ""
        if setting.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            repeat(name)
            memory = f", {(torch.cuda.max_memory_allocated() - before) / 2**30:.2f} GiB for activations and gradients"
        faster = statistics.median(b / a for a, b in zip(timing.rounds, timings[PEER].rounds, strict=True))
        print(
            f"{name}: {1 / timing.seconds:,.2f} clips/s in batches of {batches[name]}, {faster:.2f} x the speed of {PEER}, "
            f"{flop / timing.seconds / ceiling:.0%} of the largest rate{memory}",
            flush=True,
        )


def best_batch(setting: Setting, build: Callable[[], Contender]) -> int:
    """The power of two that gives most clips per second, up to what fits; at most 512."""
    best, speed, batch = 8, 0.0, 8
    with one(build) as contender:
        while batch <= 512:
            try:
                torch.compiler.reset()
                data = data_of(setting, batch)
                for _ in range(3):  # the first steps compile and choose kernels
                    contender.step(setting, data)
                began = time.perf_counter()
                for _ in range(5):
                    contender.step(setting, data)
                now = 5 * batch / (time.perf_counter() - began)
            except torch.OutOfMemoryError:
                break
            if now > speed:
                best, speed = batch, now
            batch *= 2
    return best


def flop_per_clip(setting: Setting) -> float:
    """Floating-point operations that a step of mgm needs, counted by torch; the same yardstick for all contenders."""
    video, _, mask, _ = data_of(setting, 1)
    fresh = our_model(setting).to("meta")
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        fresh(video.to("meta"), mask).loss.backward()
    return float(counter.get_total_flops())


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP per second of the best of several large matrix products."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(20):
        began = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * side**3 / (time.perf_counter() - began))
    return best


def profile(setting: Setting) -> None:
    """The twenty dearest operations of mgm's step."""
    contender, data = ours(setting), data_of(setting, setting.batch or CLIPS[setting.device.type].get(setting.size, 32))
    contender.step(setting, data)
    with torch.profiler.profile() as recorded:
        contender.step(setting, data)
    key = "self_cuda_time_total" if setting.device.type == "cuda" else "self_cpu_time_total"
    print(recorded.key_averages().table(sort_by=key, row_limit=20))


if __name__ == "__main__":
    main()
