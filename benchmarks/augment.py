"""Time the augmentation of one clip of 16 x 224 x 224: each operation of RandAugment against Pillow, and the whole augmentation.

python benchmarks/augment.py [--clock cpu] [--device cuda]

On a CPU, with one thread. On a GPU, where training does this, each call synchronises; Pillow runs frame by frame on the CPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

from mgm.data.augment.batch import Augmentation
from mgm.data.augment.erasing import RandomErasing
from mgm.data.augment.mixing import Mixing
from mgm.data.augment.randaugment import OPERATIONS, RandAugment
from mgm.models.patches import MEAN, STD
from timing import compare, print_header, print_table

SEED, ROUNDS, FRAMES, SIDE, BATCH = 0, 7, 16, 224, 8
GREY = (128, 128, 128)


def by_pillow(name: str, value: float) -> Callable[[Image.Image], Image.Image]:
    """Pillow's operation on one picture."""
    bicubic = {"resample": Image.Resampling.BICUBIC, "fillcolor": GREY}
    data = {
        "shear_x": (1, value, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, value, 1, 0),
        "translate_x": (1, 0, value * SIDE, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, value * SIDE),
    }
    enhancers = {
        "saturation": ImageEnhance.Color,
        "contrast": ImageEnhance.Contrast,
        "brightness": ImageEnhance.Brightness,
        "sharpness": ImageEnhance.Sharpness,
    }
    if name in data:
        return lambda p: p.transform(p.size, Image.Transform.AFFINE, data[name], **bicubic)
    if name in enhancers:
        return lambda p: enhancers[name](p).enhance(value)
    table = [min(255, i + int(value)) if i < 128 else i for i in range(256)] * 3
    others: dict[str, Callable[[Image.Image], Image.Image]] = {
        "autocontrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
        "invert": ImageOps.invert,
        "rotate": lambda p: p.rotate(value, **bicubic),
        "posterize": lambda p: ImageOps.posterize(p, int(value)),
        "solarize": lambda p: ImageOps.solarize(p, int(value)),
        "solarize_add": lambda p: p.point(table),
    }
    return others[name]


def main() -> None:
    """Print one row for each operation and part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else "one thread"
    print_header(f"one clip of {FRAMES} x {SIDE} x {SIDE}, {named}, {arguments.clock} clock, bicubic", SEED)
    rng = np.random.default_rng(SEED)
    smooth = np.cumsum(rng.normal(0, 6, (BATCH, FRAMES, SIDE, SIDE, 3)), axis=3) + 128
    frames = smooth.clip(0, 255).astype(np.uint8)
    video = torch.from_numpy(frames).permute(0, 4, 1, 2, 3).to(device)
    pictures = [Image.fromarray(frame) for frame in frames[0]]

    def finished(work: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        return run

    augment = RandAugment()
    for name, operation in OPERATIONS.items():
        value = operation.value(0.7, 1)
        change = by_pillow(name, value)
        functions = {
            "Pillow": partial(lambda change: [np.asarray(change(p)) for p in pictures], change),
            name: finished(partial(augment.apply, video[0], ((name, value),))),
        }
        timings = compare(functions, peer="Pillow", rounds=ROUNDS, clock=arguments.clock)
        print_table({name: timings[name]}, peer="Pillow", unit="ms a clip")
    label, keys = torch.zeros(BATCH, dtype=torch.int64, device=device), torch.zeros(BATCH, 3, dtype=torch.int64)
    whole = Augmentation(10, 0.1, SEED, augment, RandomErasing(MEAN, STD), Mixing())

    def batch(one: Augmentation, number: Iterator[int]) -> None:
        keys[:, 1] = torch.arange(BATCH) + BATCH * next(number)
        one(video, label, keys)

    parts = {
        "RandAugment as drawn": Augmentation(10, 0.1, SEED, augment),
        "erasing": Augmentation(10, 0.1, SEED, erasing=RandomErasing(MEAN, STD)),
        "mixing": Augmentation(10, 0.1, SEED, mixing=Mixing()),
        "all of it": whole,
    }
    timings = compare(
        {name: finished(partial(batch, one, count())) for name, one in parts.items()},
        peer="all of it",
        rounds=3 * ROUNDS,
        clock=arguments.clock,
    )
    print_table(timings, peer="all of it", per=BATCH, unit="ms a clip")


if __name__ == "__main__":
    main()
