"""Changes of colour and of place against Pillow, frame by frame."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from mgm.data.augment import colour, warp

H, W = 24, 36


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


def pillow(frames, operation):
    return np.stack([np.asarray(operation(Image.fromarray(frame))) for frame in frames])


def as_clip(frames):
    return torch.from_numpy(frames).permute(3, 0, 1, 2)


def as_frames(clip):
    return clip.permute(1, 2, 3, 0).numpy()


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


def real_picture():
    """Smooth enough that interpolation is meaningful."""
    y, x = np.mgrid[0:H, 0:W]
    waves = [np.sin(x / 3 + y / 7), np.cos(x / 5 - y / 4), np.sin((x + y) / 4)]
    return np.stack([np.stack(waves, axis=-1) * 110 + 128, np.stack(waves[::-1], axis=-1) * 90 + 120]).astype(np.uint8)


def place_cases():
    grey = (warp.FILL,) * 3
    bilinear = {"resample": Image.Resampling.BILINEAR, "fillcolor": grey}

    def affine(data):
        return lambda image: image.transform(image.size, Image.Transform.AFFINE, data, **bilinear)

    for angle in (-30, -7.5, 13, 30):
        yield "rotate", angle, lambda image, a=angle: image.rotate(a, **bilinear)
    for factor in (-0.3, 0.11, 0.3):
        yield "shear_x", factor, affine((1, factor, 0, 0, 1, 0))
        yield "shear_y", factor, affine((1, 0, 0, factor, 1, 0))
    for share in (-0.45, 0.13, 0.45):
        yield "translate_x", share, affine((1, 0, share * W, 0, 1, 0))
        yield "translate_y", share, affine((1, 0, 0, 0, 1, share * H))


@pytest.mark.parametrize(("name", "value", "operation"), [pytest.param(*c, id=f"{c[0]} {c[1]}") for c in place_cases()])
def test_places_are_pillows(name, value, operation):
    frames = real_picture()
    expected = pillow(frames, operation).astype(int)
    found = as_frames(getattr(warp, name)(as_clip(frames), value)).astype(int)
    off = np.abs(found - expected).max(axis=-1)
    assert (
        off > 1
    ).mean() < 0.01  # a place within a rounding error of the border is inside for one and outside for the other
    assert (found == warp.FILL).all(-1).mean() == pytest.approx((expected == warp.FILL).all(-1).mean(), abs=0.01)
    soft = as_frames(getattr(warp, name)(as_clip(frames), value, interpolation="bicubic")).astype(int)
    assert np.percentile(np.abs(soft - expected), 95) < 16


@given(st.sampled_from(["rotate", "shear_x", "shear_y", "translate_x", "translate_y"]))
@settings(deadline=None)
def test_nothing_moves_by_nothing(name):
    frames = real_picture()
    np.testing.assert_allclose(as_frames(getattr(warp, name)(as_clip(frames), 0.0)).astype(int), frames, atol=1)


def test_memory_layout_does_not_matter():
    planar = as_clip(CLIPS["noise"]).contiguous()
    for name, values, _ in cases():
        operation = getattr(colour, name)
        assert torch.equal(operation(planar, *values), operation(as_clip(CLIPS["noise"]), *values))
    assert torch.equal(warp.rotate(planar, 20), warp.rotate(as_clip(CLIPS["noise"]), 20))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_changes_clips_as_a_cpu_does():
    for frames in CLIPS.values():
        clip = as_clip(frames)
        for name, values, _ in cases():
            operation = getattr(colour, name)
            assert torch.equal(operation(clip.cuda(), *values).cpu(), operation(clip, *values)), name
    clip = as_clip(real_picture())
    for name, value, _ in place_cases():
        off = (getattr(warp, name)(clip.cuda(), value).cpu().int() - getattr(warp, name)(clip, value).int()).abs()
        assert (off > 1).float().mean() < 0.01, name
