"""Colour changes equal Pillow's, frame by frame."""

import numpy as np
import pytest
import torch
from PIL import ImageEnhance, ImageOps

from mgm.data.augment import colour
from tests.data.augment.pictures import H, W, as_clip, as_frames, pillow


def clips():
    """Two frames each: noise, a smooth picture, one colour, two levels, the whole range, dark, one by one pixel short of a line."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2, H, W, 3))
    ramp = np.stack(np.broadcast_arrays(np.arange(W)[None, :] * 7, np.arange(H)[:, None] * 10, 77), axis=-1)
    smooth = np.stack([ramp, np.roll(ramp, 5, axis=1)]) % 256
    flat = np.full((2, H, W, 3), 93)
    two = np.where(noise > 200, 180, 40)
    dark = noise // 9 + 3
    skewed = (255 * (noise / 255) ** 4).astype(int)
    few = np.full((2, H, W, 3), 10)
    few[:, :2] = noise[:, :2]
    return {"noise": noise, "smooth": smooth, "flat": flat, "two": two, "dark": dark, "skewed": skewed, "few": few}


CLIPS = {name: frames.astype(np.uint8) for name, frames in clips().items()}
FACTORS = (0.1, 0.37, 1.0, 1.6, 1.9)


def solarize_add(image, amount):
    return image.point([min(255, i + amount) if i < 128 else i for i in range(256)] * 3)


def cases():
    for name, operation in (
        ("autocontrast", ImageOps.autocontrast),
        ("equalize", ImageOps.equalize),
        ("invert", ImageOps.invert),
    ):
        yield name, (), operation
    for bits in range(1, 9):
        yield "posterize", (bits,), lambda image, bits=bits: ImageOps.posterize(image, bits)
    for threshold in (0, 1, 77, 128, 255, 256):
        yield "solarize", (threshold,), lambda image, t=threshold: ImageOps.solarize(image, t)
    for amount in (0, 33, 110, 128):
        yield "solarize_add", (amount,), lambda image, a=amount: solarize_add(image, a)
    enhancers = {"saturation": ImageEnhance.Color, "contrast": ImageEnhance.Contrast,
                 "brightness": ImageEnhance.Brightness, "sharpness": ImageEnhance.Sharpness}  # fmt: skip
    for name, enhancer in enhancers.items():
        for factor in FACTORS:
            yield name, (factor,), lambda image, e=enhancer, f=factor: e(image).enhance(f)


@pytest.mark.parametrize("content", CLIPS)
@pytest.mark.parametrize(("name", "values", "operation"), [pytest.param(*c, id=f"{c[0]}{c[1]}") for c in cases()])
def test_colours_are_pillows_to_the_level(name, values, operation, content):
    frames = CLIPS[content].copy()
    found = getattr(colour, name)(as_clip(frames), *values)
    np.testing.assert_array_equal(as_frames(found), pillow(frames, operation))
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(frames, CLIPS[content])  # the clip is left as it was


def test_grey_is_pillows():
    expected = pillow(CLIPS["noise"], lambda image: image.convert("L"))
    np.testing.assert_array_equal(colour.grey(as_clip(CLIPS["noise"]))[0].numpy(), expected)


def test_memory_layout_does_not_matter():
    planar = as_clip(CLIPS["noise"]).contiguous()
    for name, values, _ in cases():
        operation = getattr(colour, name)
        assert torch.equal(operation(planar, *values), operation(as_clip(CLIPS["noise"]), *values))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_changes_clips_as_a_cpu_does():
    for frames in CLIPS.values():
        clip = as_clip(frames)
        for name, values, _ in cases():
            operation = getattr(colour, name)
            assert torch.equal(operation(clip.cuda(), *values).cpu(), operation(clip, *values)), name
