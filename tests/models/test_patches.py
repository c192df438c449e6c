import pytest
import torch

from mgm.errors import ModelError
from mgm.models import ModelSpec
from mgm.models.patches import check_video, patchify, split_mask, to_255, unpatchify
from tests.errors import raises
from tests.models.clips import SMALL, normalised, random_mask, random_video


def test_pixels_of_a_token_are_its_block_channel_last():
    video = random_video()
    _, h, w = SMALL.grid
    patches = patchify(video, SMALL)
    for t, y, x in [(0, 0, 0), (1, 2, 1), (1, 3, 2)]:
        block = video[1, :, 2 * t : 2 * t + 2, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
        assert torch.equal(patches[1, (t * h + y) * w + x], block.permute(1, 2, 3, 0).reshape(-1, 3))


def test_some_tokens_are_those_of_all_and_the_way_back_is_exact():
    video = random_video()
    index = torch.tensor([[3, 0, 23], [7, 8, 9]])
    everything = patchify(video, SMALL)
    assert torch.equal(patchify(video, SMALL, index), torch.stack([everything[0, index[0]], everything[1, index[1]]]))
    assert torch.equal(unpatchify(everything, SMALL), video)


@pytest.mark.parametrize("patch", [4, 6, 8])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32])
@pytest.mark.parametrize("order", ["channels first", "channels last", "every other frame", "upside down", "cut out"])
def test_videos_of_any_memory(patch, dtype, order):
    """Patches are copied as int64 if their memory is divisible by 8 bytes; the result is the same."""
    spec = ModelSpec("debug", patch=patch, frames=4, resolution=4 * patch)
    video = random_video(spec).to(dtype)
    index = torch.randint(0, spec.tokens, (2, 5), generator=torch.Generator().manual_seed(0))
    expected = patchify(video, spec)[torch.arange(2)[:, None], index]
    if order == "channels last":
        video = video.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)
    elif order == "every other frame":
        video = video.repeat_interleave(2, dim=2)[:, :, ::2]
    elif order == "upside down":
        video = video.transpose(3, 4).contiguous().transpose(3, 4)
    elif order == "cut out":
        video = torch.nn.functional.pad(video, (1, 2))[..., 1:-2]
    assert torch.equal(patchify(video, spec, index), expected)


def test_a_mask_splits_into_ordered_indices():
    mask = random_mask()
    visible, masked = split_mask(mask, SMALL, batch=2)
    assert visible.shape == (2, 6)
    assert masked.shape == (2, 18)
    for i, flat in enumerate(mask.flatten(1)):
        assert visible[i].tolist() == (~flat).nonzero().flatten().tolist()
        assert masked[i].tolist() == flat.nonzero().flatten().tolist()


def test_to_255_undoes_the_normalisation():
    video = random_video()
    pixels, floats = to_255(patchify(video, SMALL)), to_255(patchify(normalised(video), SMALL))
    torch.testing.assert_close(floats, pixels, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 4, 32, 24), "model-video-single-clip"),
        ((1, 1, 4, 32, 24), "model-video-grey"),
        ((1, 4, 3, 32, 24), "model-video-frames-first"),
        ((1, 4, 32, 24, 3), "model-video-channels-last"),
        ((1, 3, 8, 32, 24), "model-video-other-length"),
        ((1, 3, 4, 24, 32), None),
        ((0, 3, 4, 32, 24), None),
    ],
)
def test_a_video_of_another_shape(shape, message):
    with raises(ModelError, "invalid_shape", subject="video", message=message):
        check_video(torch.zeros(shape, dtype=torch.uint8), SMALL)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_video_with_values_that_are_not_finite(value, dtype):
    video = torch.zeros(2, *SMALL.video_shape, dtype=dtype)
    check_video(video, SMALL)
    video[1, 2, 3, 4, 5] = value
    with raises(
        ModelError, "invalid_value", subject="video", message="model-video-nan" if dtype == torch.float16 else None
    ):
        check_video(video, SMALL)


def test_a_video_of_another_type():
    with raises(ModelError, "invalid_type", subject="video"):
        check_video(torch.zeros(1, *SMALL.video_shape, dtype=torch.int64), SMALL)


def test_masks_that_do_not_fit():
    with raises(ModelError, "invalid_shape", subject="mask", message="model-mask-shape"):
        split_mask(torch.zeros(2, 8, 14, 14, dtype=torch.bool), SMALL, batch=2)
    with raises(ModelError, "invalid_shape", subject="mask"):
        split_mask(random_mask(), SMALL, batch=3)
    with raises(ModelError, "invalid_type", subject="mask"):
        split_mask(random_mask().long(), SMALL, batch=2)
    with raises(ModelError, "invalid_value", subject="mask"):
        split_mask(torch.ones(2, 24, dtype=torch.bool), SMALL, batch=2)
    unequal = torch.cat([random_mask(batch=1, hidden=18), random_mask(batch=1, hidden=17)])
    with raises(ModelError, "invalid_value", subject="mask", message="model-mask-unequal-counts"):
        split_mask(unequal, SMALL, batch=2)
