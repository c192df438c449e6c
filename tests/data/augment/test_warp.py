"""Rotated, sheared and shifted frames equal Pillow's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mgm.data.augment import warp
from tests.data.augment.pictures import H, W, as_clip, as_frames, pillow


def real_picture():
    """Smooth frames, for which interpolation is meaningful."""
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
def test_positions_are_pillows(name, value, operation):
    frames = real_picture()
    expected = pillow(frames, operation).astype(int)
    found = as_frames(getattr(warp, name)(as_clip(frames), value)).astype(int)
    off = np.abs(found - expected).max(axis=-1)
    assert (off > 1).mean() < 0.01  # positions within a rounding error of the border
    assert (found == warp.FILL).all(-1).mean() == pytest.approx((expected == warp.FILL).all(-1).mean(), abs=0.01)
    soft = as_frames(getattr(warp, name)(as_clip(frames), value, interpolation="bicubic")).astype(int)
    assert np.percentile(np.abs(soft - expected), 95) < 16


@given(st.sampled_from(["rotate", "shear_x", "shear_y", "translate_x", "translate_y"]))
@settings(deadline=None)
def test_parameters_of_0_change_nothing(name):
    frames = real_picture()
    np.testing.assert_array_equal(as_frames(getattr(warp, name)(as_clip(frames), 0.0)), frames)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [17, 224, 1280])
def test_whole_pixels_are_moved_unchanged(side, interpolation):
    noise = torch.randint(0, 256, (3, 1, 64, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    moved = warp.warp(noise, (1, 0, 5, 0, 1, 0), interpolation=interpolation)
    assert torch.equal(moved[..., : side - 5], noise[..., 5:])


def test_memory_layout_does_not_matter():
    clip = as_clip(real_picture())
    assert torch.equal(warp.rotate(clip.contiguous(), 20), warp.rotate(clip, 20))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_moves_clips_as_a_cpu_does():
    clip = as_clip(real_picture())
    for name, value, _ in place_cases():
        off = (getattr(warp, name)(clip.cuda(), value).cpu().int() - getattr(warp, name)(clip, value).int()).abs()
        assert (off > 1).float().mean() < 0.01, name
