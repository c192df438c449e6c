"""Clips per second and core of the whole data path: decode, multi-scale crop, flip, motion, mask, collate.

python benchmarks/loader.py FOLDER                     # a folder of ordinary videos, at least 2 s long
python benchmarks/loader.py FOLDER --clock cpu         # on a machine shared with other programs
python benchmarks/loader.py FOLDER --memory 20000      # whether processes that read clips for days grow

The peer is a loader of the design of VideoMAE's public one, implemented independently from its description. decord reads the frames
of a clip at full size, and Pillow crops and resizes each of them. They are then stacked, scaled and normalised as floats, and a
tube mask is drawn. The peer delivers no motion. mgm delivers uint8 clips (normalised on the device), motion and the mask `mgm`,
from the same files and from the same files after `mgm prepare`. "Packed crops" are the pixels of its finished batches, read from
uncompressed files that the system has in memory: the least that a format of packed crops could cost. Rounds are interleaved; every
round reads the same clips. decord is installed by `pip install -r benchmarks/requirements.txt`.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import mgm
from mgm.data.annotations import VideoItem
from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.clips.transform import multi_scale_crop
from mgm.data.loading.dataset import ClipSet, ClipTransform, MaskRule
from mgm.data.loading.loader import BatchOrder, batches, read_batch
from mgm.data.loading.memory import keep_freed_memory
from mgm.data.synthetic.known_motion import make_translation
from mgm.masks import build_mask, make_mask
from mgm.models.patches import MEAN, STD
from mgm.video.container.metadata import read_video_info
from mgm.video.scan.find import find_videos
from timing import compare, print_header, print_table, ratios

SEED, FRAMES, STRIDE, SIZE = 0, 16, 4, 224
GRID, RATIO, BATCH = (8, 14, 14), 0.75, 8
SPAN = (FRAMES - 1) * STRIDE + 1


def main() -> None:
    """Parse, prepare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="ordinary videos")
    parser.add_argument("--videos", type=int, default=24, help="clips per round, each from another video")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--memory", type=int, metavar="CLIPS", help="instead: measure memory over that many clips")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as in reading processes; for the peer, too
    files = long_enough(find_videos([args.folder]), args.videos)
    print_header(f"{len(files)} clips of {FRAMES} x stride {STRIDE} at {SIZE} px, {args.clock} time", SEED)
    if args.memory:
        with tempfile.TemporaryDirectory() as folder:
            watch_memory(small_set(Path(folder)), args.memory)
        return
    with tempfile.TemporaryDirectory() as folder:
        prepared = {
            "strided": prepare(files, Path(folder) / "strided", "strided"),
            "motion": prepare(files, Path(folder) / "motion", "motion"),
        }
        measure(files, prepared, pack(clip_set(files), Path(folder) / "packed"), args.rounds, args.clock)
        workers(clip_set(files), args.rounds, "ordinary files")
        workers(clip_set(prepared["strided"]), args.rounds, "strided files")


def long_enough(files: Sequence[Path], count: int) -> list[Path]:
    """The first videos that are at least as long as a clip."""
    found: list[Path] = []
    for file in files:
        if read_video_info(str(file)).frames >= SPAN:
            found.append(file)
        if len(found) == count:
            break
    if not found:
        raise SystemExit(f"no video of at least {SPAN} frames among {len(files)} files")
    return found


def prepare(files: Sequence[Path], out: Path, profile: str) -> list[Path]:
    """The same videos transcoded."""
    source = out.with_name(f"{profile}-source")
    source.mkdir(parents=True)
    links = [source / f"{i:04d}{file.suffix}" for i, file in enumerate(files)]
    for link, file in zip(links, files, strict=True):
        link.symlink_to(file.resolve())
    mgm.prepare_videos(
        source, out, profile, stride=STRIDE if profile == "strided" else None, processes=os.cpu_count() or 1
    )
    return sorted(out.glob("*.mp4"))


def clip_set(files: Sequence[Path], repeats: int = 1) -> ClipSet:
    """mgm's pretraining samples."""
    return ClipSet(
        tuple(VideoItem(str(file)) for file in files),
        FileSource(),
        ClipSettings(FRAMES, STRIDE, SIZE, "auto"),
        ClipTransform("multiscale", flip=True, rule=MaskRule(build_mask("mgm"), GRID, RATIO)),
        seed=SEED,
        repeats=repeats,
    )


def ours(clips: ClipSet) -> None:
    """One clip of every video, in batches."""
    for first in range(0, len(clips), BATCH):
        read_batch(clips, [(0, i) for i in range(first, min(first + BATCH, len(clips)))])


def pack(clips: ClipSet, folder: Path) -> list[Path]:
    """The pixels of finished batches, uncompressed, a file for each batch."""
    folder.mkdir()
    packed = []
    for first in range(0, len(clips), BATCH):
        batch = read_batch(clips, [(0, i) for i in range(first, min(first + BATCH, len(clips)))])
        packed.append(folder / f"{first}.npy")
        np.save(packed[-1], batch.video.permute(0, 2, 3, 4, 1).contiguous().numpy())
    return packed


def read_packed(packed: Sequence[Path]) -> None:
    """The pixels of every batch."""
    for file in packed:
        torch.from_numpy(np.load(file)).permute(0, 4, 1, 2, 3)


def theirs(files: Sequence[Path]) -> None:
    """The same with decord and Pillow."""
    for first in range(0, len(files), BATCH):
        samples = [decord_sample(file, first + i) for i, file in enumerate(files[first : first + BATCH])]
        torch.utils.data.default_collate(samples)


def decord_sample(file: Path, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised float32 (3, T, H, W) and a tube mask."""
    import decord

    rng = np.random.default_rng([SEED, number])
    reader = decord.VideoReader(str(file), num_threads=1, ctx=decord.cpu(0))
    start = int(rng.integers(max(len(reader) - SPAN, 0) + 1))
    frames = reader.get_batch(list(range(start, start + SPAN, STRIDE))).asnumpy()
    pictures = [Image.fromarray(frame) for frame in frames]
    crop = multi_scale_crop(frames.shape[1], frames.shape[2], size=SIZE, flip=True, rng=rng)
    x, y, width, height = crop.box
    pictures = [p.crop((x, y, x + width, y + height)).resize((SIZE, SIZE), Image.Resampling.BILINEAR) for p in pictures]
    stacked = np.concatenate([np.asarray(p) for p in pictures], axis=2)
    video = torch.from_numpy(stacked).permute(2, 0, 1).contiguous().float().div(255)
    video = video.view(FRAMES, 3, SIZE, SIZE)
    video.sub_(torch.tensor(MEAN).view(3, 1, 1)).div_(torch.tensor(STD).view(3, 1, 1))
    if crop.flip:
        video = video.flip(3)
    mask = make_mask("tube", grid=GRID, ratio=RATIO, rng=rng).masked
    return video.transpose(0, 1), torch.from_numpy(mask)


def measure(
    files: Sequence[Path], prepared: dict[str, list[Path]], packed: Sequence[Path], rounds: int, clock: str
) -> None:
    """The table of one core."""
    functions: dict[str, Callable[[], object]] = {"decord, Pillow, tube mask": partial(theirs, files)}
    functions["mgm, motion and mask"] = partial(ours, clip_set(files))
    for profile, paths in prepared.items():
        functions[f"mgm after prepare --profile {profile}"] = partial(ours, clip_set(paths))
    peer, alone = list(functions)[:2]
    units = dict.fromkeys(functions, len(files))
    twice = f"{alone}, each clip twice"
    functions[twice] = partial(ours, clip_set(files, repeats=2))
    units[twice] = 2 * len(files)
    functions["packed crops"] = partial(read_packed, packed)
    units["packed crops"] = len(files)
    timings = compare(functions, peer=peer, rounds=rounds, units=units, clock=clock)  # type: ignore[arg-type]
    print_table(timings, peer=peer, unit="ms a clip")
    ratio, low, high = ratios(timings[twice].rounds, timings[alone].rounds)
    print(f"repeats=2: {ratio:.2f} [{low:.2f}, {high:.2f}] of the cost of repeats=1 per delivered clip")
    for name, timing in timings.items():
        print(f"{name}: {1 / timing.seconds:.1f} clips/s on one core, {1 / timing.ratio:.2f} x the peer")


def workers(clips: ClipSet, rounds: int, files: str) -> None:
    """Wall time of reading with one worker process and with two, after the first batch, and their processor time, which
    estimates the gain of two on an idle machine."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    used: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        for count in (1, 2) if number % 2 else (2, 1):
            wall, cpu = _read_by(clips, count)
            seconds[count].append(wall)
            used[count].append(cpu)
    gain, low, high = ratios(seconds[1], seconds[2])
    cost = ratios(used[2], used[1])[0]
    print(
        f"{files}: two workers read {gain:.2f} [{low:.2f}, {high:.2f}] x as many clips as one, at {cost:.2f} x the processor time"
    )


def _read_by(clips: ClipSet, count: int) -> tuple[float, float]:
    """(seconds from the first batch to the last, processor time of the workers) of an equal number of clips."""
    order = BatchOrder(len(clips), BATCH, SEED)
    steps = max(4 * order.steps_per_epoch, 24)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    stream = batches(clips, order, first=0, last=steps + 1, workers=count)
    next(stream)
    began = time.perf_counter()
    for _ in stream:
        pass
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def small_set(folder: Path) -> ClipSet:
    """Small videos, so that many clips are read in minutes; one is damaged, since errors may leak memory."""
    items = []
    for number in range(16):
        path = folder / f"{number}.mp4"
        make_translation(path, velocity=(number - 8, 3), frames=24, size=(96, 128), bframes=number % 3)
        items.append(VideoItem(str(path)))
    Path(items[0].path).write_bytes(Path(items[0].path).read_bytes()[:3000])
    rule = MaskRule(build_mask("mgm"), (4, 4, 4), RATIO)
    settings = ClipSettings(8, 2, 64, "auto")
    return ClipSet(
        tuple(items), FileSource(), settings, ClipTransform("multiscale", flip=True, rule=rule), seed=SEED, repeats=2
    )


def watch_memory(clips: ClipSet, count: int) -> None:
    """Resident size of this process and of two that read for it, over many batches."""
    order = BatchOrder(len(clips), BATCH, SEED)
    began = time.perf_counter()
    early: dict[str, float] = {}
    steps = count // (BATCH * clips.repeats)
    marks = {steps // 10, steps // 2, steps - 1}
    for step, _ in enumerate(batches(clips, order, first=0, last=steps, workers=2)):
        if step not in marks:
            continue
        gc.collect()
        sizes = {"this process": resident(os.getpid())}
        sizes |= {f"worker {i + 1}": resident(p.pid) for i, p in enumerate(multiprocessing.active_children())}
        early = early or sizes
        listed = ", ".join(
            f"{name} {size:.1f} MB ({size - early.get(name, size):+.1f})" for name, size in sizes.items()
        )
        print(
            f"after {(step + 1) * BATCH * clips.repeats:,} clips: {listed}; {time.perf_counter() - began:.0f} s",
            flush=True,
        )


def resident(process: int | None) -> float:
    """Private memory of a process in MB, without memory shared with other processes, such as a batch in transfer."""
    size, shared = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1:3]
    return (int(size) - int(shared)) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
