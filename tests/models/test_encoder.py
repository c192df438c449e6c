import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models import Encoder, ModelSpec
from tests.errors import raises
from tests.models.clips import SMALL, normalised, random_mask, random_video

PARAMETERS = {"S": 21_879_936, "B": 86_227_200, "L": 303_860_736, "H": 631_607_040}


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    encoder = Encoder(SMALL)
    for block in encoder.blocks:
        torch.nn.init.normal_(block.attn.q_bias)
        torch.nn.init.normal_(block.attn.v_bias)
    return encoder


@pytest.mark.parametrize("size", PARAMETERS)
def test_parameters_are_those_of_the_reference(size):
    with torch.device("meta"):
        encoder = Encoder(ModelSpec(size))
    assert sum(p.numel() for p in encoder.parameters()) == PARAMETERS[size]


def test_without_a_mask_all_tokens_come_out(encoder):
    assert encoder(random_video()).shape == (2, 24, 32)


def test_visible_tokens_alone_equal_full_attention_that_ignores_the_hidden(encoder):
    video, mask = random_video(), random_mask()
    visible = ~mask.flatten(1)
    allowed = visible[:, None, None, :].expand(-1, -1, SMALL.tokens, -1)
    x = encoder.embed(video)
    for block in encoder.blocks:
        attention = block.attn
        bias = torch.cat([attention.q_bias, torch.zeros(32), attention.v_bias])
        parts = F.linear(block.norm1(x), attention.qkv.weight, bias).view(2, SMALL.tokens, 3, 2, 16)
        mixed = F.scaled_dot_product_attention(*parts.permute(2, 0, 3, 1, 4), attn_mask=allowed)
        x = x + attention.proj(mixed.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
    expected = encoder.norm(x)[visible].view(2, 6, 32)
    torch.testing.assert_close(encoder(video, mask), expected, rtol=1e-5, atol=1e-5)


def test_hidden_pixels_change_nothing(encoder):
    video, mask = random_video(), random_mask()
    cover = mask.repeat_interleave(2, 1).repeat_interleave(8, 2).repeat_interleave(8, 3)[:, None]
    assert torch.equal(encoder(video.masked_fill(cover, 0), mask), encoder(video, mask))


def test_uint8_is_normalised_inside(encoder):
    video, mask = random_video(), random_mask()
    torch.testing.assert_close(encoder(video, mask), encoder(normalised(video), mask), rtol=1e-4, atol=1e-5)


def test_a_flat_mask_is_the_same_mask(encoder):
    video, mask = random_video(), random_mask()
    assert torch.equal(encoder(video, mask), encoder(video, mask.flatten(1)))


def test_features_of_a_block(encoder):
    video = random_video()
    middle = encoder(video, block=0)
    assert torch.equal(middle, encoder.blocks[0](encoder.embed(video)))
    last = encoder(video, block=-1)
    assert torch.equal(encoder.norm(last), encoder(video))
    with raises(ModelError, "invalid_value", subject="block", message="model-block-out-of-range"):
        encoder(video, block=2)


def test_attention_of_a_token(encoder):
    weights = encoder.attention(random_video(), query=5)
    assert weights.shape == (2, 2, 24)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2))
    with raises(ModelError, "invalid_value", subject="query"):
        encoder.attention(random_video(), query=24)


def test_patch_embedding_starts_like_a_convolution():
    torch.manual_seed(0)
    linear = Encoder(ModelSpec("S")).patch_embed
    torch.manual_seed(0)
    convolution = torch.nn.Conv3d(3, 384, (2, 16, 16))
    assert torch.equal(linear.weight, convolution.weight.flatten(1))
    assert torch.equal(linear.bias, convolution.bias)


def test_one_seed_one_model():
    def states():
        torch.manual_seed(7)
        return Encoder(SMALL).state_dict()

    first, second = states(), states()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_fixed_position_embeddings_are_not_in_checkpoints(encoder):
    assert not [key for key in encoder.state_dict() if "position" in key or "scale" in key or "shift" in key]
    assert len(encoder.state_dict()) == len(list(encoder.parameters()))


def test_drop_path_grows_with_depth():
    encoder = Encoder(ModelSpec("tiny", patch=8, frames=4, resolution=16), drop_path=0.3)
    assert [block.drop_path for block in encoder.blocks] == pytest.approx([0, 0.1, 0.2, 0.3])
    with raises(ModelError, "invalid_value", subject="drop_path"):
        encoder.set_drop_path(1)


def test_separable_position_embeddings_are_used():
    spec = ModelSpec("debug", patch=8, frames=4, resolution=16, position="sincos-3d")
    assert not torch.equal(
        Encoder(spec).position, Encoder(ModelSpec("debug", patch=8, frames=4, resolution=16)).position
    )


def test_errors_reach_the_caller(encoder):
    with raises(ModelError, "invalid_shape", subject="video"):
        encoder(random_video()[0])
    with raises(ModelError, "invalid_value", subject="mask"):
        encoder(random_video(), torch.cat([random_mask(batch=1), random_mask(batch=1, hidden=3)]))
    with raises(ModelError, "invalid_value", subject="video"):
        encoder(torch.full((1, *SMALL.video_shape), float("nan")))


@pytest.mark.parametrize("position", ["sincos-1d", "sincos-3d"])
def test_at_another_grid_embeddings_are_recomputed(position):
    torch.manual_seed(0)
    encoder = Encoder(ModelSpec("debug", patch=8, frames=4, resolution=32, position=position), drop_path=0.2).eval()
    other = encoder.at(frames=8, resolution=(48, 32))
    assert other.spec == ModelSpec("debug", patch=8, frames=8, resolution=(48, 32), position=position)
    assert torch.equal(other.position, Encoder(other.spec).position)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in encoder.state_dict().items())
    assert not other.training
    assert [block.drop_path for block in other.blocks] == [block.drop_path for block in encoder.blocks]
    assert other(random_video(other.spec)).shape == (2, 4 * 6 * 4, 32)
    assert torch.equal(other.at(frames=4, resolution=32)(video := random_video(encoder.spec)), encoder(video))


def test_a_position_keeps_its_separable_embedding():
    encoder = Encoder(ModelSpec("debug", patch=8, frames=4, resolution=32, position="sincos-3d"))
    larger = encoder.at(frames=8, resolution=64).position.view(4, 8, 8, 32)
    assert torch.equal(larger[:2, :4, :4].reshape(32, 32), encoder.position)


def test_at_another_grid_embeddings_are_interpolated():
    encoder = Encoder(ModelSpec("debug", patch=8, frames=4, resolution=32))
    other = encoder.at(frames=8, resolution=64, position="interpolated")
    old, new = encoder.position.view(2, 4, 4, 32), other.position.view(4, 8, 8, 32)
    torch.testing.assert_close(new[0, 0, 0], old[0, 0, 0])  # at a corner nothing is interpolated
    # A new position is at a quarter of the distance between two old ones.
    torch.testing.assert_close(new[0, 0, 1], 0.75 * old[0, 0, 0] + 0.25 * old[0, 0, 1])
    torch.testing.assert_close(new[1, 0, 0], 0.75 * old[0, 0, 0] + 0.25 * old[1, 0, 0])
    again = Encoder(ModelSpec.from_dict(other.spec.to_dict()))
    assert torch.equal(again.position, other.position)  # checkpoints without embeddings restore them
    back = other.at(frames=4, resolution=32, position="interpolated")
    assert torch.equal(back.position, encoder.position)
    assert back.spec == encoder.spec


def test_a_copy_at_another_grid_is_a_copy_and_learns():
    encoder = Encoder(SMALL)
    other = encoder.at(frames=8)
    other(random_video(other.spec)).sum().backward()
    assert all(p.grad is not None for p in other.parameters())
    with torch.no_grad():
        other.patch_embed.weight.zero_()
    assert encoder.patch_embed.weight.count_nonzero() > 0


def test_grids_that_do_not_fit():
    encoder = Encoder(SMALL)
    with raises(ModelError, "invalid_value", subject="frames"):
        encoder.at(frames=5)
    with raises(ModelError, "unknown_name", subject="position"):
        encoder.at(frames=8, position="learned")


def test_learned_embeddings_are_interpolated_in_time_and_space():
    spec = ModelSpec("debug", patch=8, frames=4, resolution=32, position="learned-separable", class_token=True)
    encoder = Encoder(spec)
    other = encoder.at(frames=8, resolution=64, position="interpolated")
    old, new = encoder.position_embedding().view(2, 4, 4, 32), other.position_embedding().view(4, 8, 8, 32)
    torch.testing.assert_close(new[0, 0, 0], old[0, 0, 0])
    torch.testing.assert_close(new[0, 0, 1], 0.75 * old[0, 0, 0] + 0.25 * old[0, 0, 1])
    torch.testing.assert_close(new[1, 0, 0], 0.75 * old[0, 0, 0] + 0.25 * old[1, 0, 0])
    assert torch.equal(other.class_token, encoder.class_token)
    assert torch.equal(encoder.at(frames=4)(video := random_video(spec)), encoder(video))
    with raises(ModelError, "unsupported", message="model-learned-position-recomputed"):
        encoder.at(frames=8)
