import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models import Encoder, MaskedAutoencoder, ModelSpec
from mgm.models.divided_attention import same_position_mask
from tests.errors import raises
from tests.models.clips import random_mask, random_video

SPEC = ModelSpec("debug", patch=8, frames=8, resolution=(32, 24), backbone="timesformer")
STEPS, PLACES = 4, 12


def equal_mask(*, hidden=8, batch=2, seed=0):
    """bool (B, t, h, w) that hides `hidden` tokens of every step, others in each."""
    generator = torch.Generator().manual_seed(seed)
    rank = torch.rand(batch, STEPS, PLACES, generator=generator).argsort(2)
    return (rank < hidden).view(batch, *SPEC.grid)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    encoder = Encoder(SPEC)
    for name, parameter in encoder.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return encoder


def plain(attention, x, allowed):
    """Attention of all tokens to those that `allowed` (B, N, N) lets them see, written out."""
    dim, heads = x.shape[-1], attention.heads
    bias = torch.cat([attention.q_bias, torch.zeros(dim), attention.v_bias])
    parts = F.linear(x, attention.qkv.weight, bias).view(*x.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
    score = parts[0] @ parts[1].transpose(2, 3) / (dim // heads) ** 0.5
    weights = score.masked_fill(~allowed[:, None], float("-inf")).softmax(-1)
    return attention.proj((weights @ parts[2]).transpose(1, 2).flatten(2))


def masked_full_attention(encoder, video, visible):
    """Every token of the clip goes through every block; explicit masks define the attention."""
    index = torch.arange(SPEC.tokens)
    same_position = index[:, None] % PLACES == index % PLACES
    same_step = index[:, None] // PLACES == index // PLACES
    itself = torch.eye(SPEC.tokens, dtype=torch.bool)  # a hidden token attends to itself, and no other token to it
    along_time = (same_position & visible[:, None]) | itself
    within_step = (same_step & visible[:, None]) | itself
    x = encoder.embed(video)
    for block in encoder.blocks:
        x = x + block.temporal_fc(plain(block.temporal_attn, block.temporal_norm1(x), along_time))
        x = x + plain(block.attn, block.norm1(x), within_step)
        x = x + block.mlp(block.norm2(x))
    return encoder.norm(x)


def test_visible_tokens_alone_equal_masked_full_attention(encoder):
    video, mask = random_video(SPEC), equal_mask()
    visible = ~mask.flatten(1)
    expected = masked_full_attention(encoder, video, visible)[visible].view(2, STEPS * 4, 32)
    torch.testing.assert_close(encoder(video, mask), expected, rtol=1e-5, atol=1e-5)


def test_a_tube_equals_masked_full_attention(encoder):
    video, mask = random_video(SPEC), equal_mask()[:, :1].expand(-1, STEPS, -1, -1)
    visible = ~mask.flatten(1)
    expected = masked_full_attention(encoder, video, visible)[visible].view(2, STEPS * 4, 32)
    torch.testing.assert_close(encoder(video, mask), expected, rtol=1e-5, atol=1e-5)


def test_without_a_mask_it_is_divided_attention_over_all_tokens(encoder):
    video = random_video(SPEC)
    everything = torch.ones(2, SPEC.tokens, dtype=torch.bool)
    expected = masked_full_attention(encoder, video, everything)
    torch.testing.assert_close(encoder(video), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(encoder.encode(video, torch.arange(SPEC.tokens).expand(2, -1)), expected)


def test_steps_of_unequal_counts_are_refused(encoder):
    with raises(ModelError, "invalid_value", subject="mask", message="model-mask-unequal-steps"):
        encoder(random_video(SPEC), random_mask(SPEC, hidden=32))
    with raises(ModelError, "invalid_value", subject="mask"):
        MaskedAutoencoder(SPEC)(random_video(SPEC), random_mask(SPEC, hidden=32))


def test_joint_attention_has_the_blocks_of_a_vit_and_takes_any_mask():
    joint = ModelSpec("debug", patch=8, frames=8, resolution=(32, 24), backbone="timesformer", attention="joint")
    vit = ModelSpec("debug", patch=8, frames=8, resolution=(32, 24))
    encoder, other = Encoder(joint), Encoder(vit)
    other.load_state_dict(encoder.state_dict())
    video, mask = random_video(SPEC), random_mask(SPEC, hidden=32)
    assert torch.equal(encoder(video, mask), other(video, mask))
    assert ModelSpec.from_dict(joint.to_dict()) == joint != vit


def test_parameters_of_the_base_size():
    """A ViT-B, and per block the time branch: a norm, attention without key bias, and one more linear layer."""
    d = 768
    with torch.device("meta"):
        encoder = Encoder(ModelSpec("B", backbone="timesformer"))
    assert sum(p.numel() for p in encoder.parameters()) == 86_227_200 + 12 * (2 * d + 3 * d**2 + 2 * d + 2 * (d**2 + d))


def test_attention_of_a_token_stays_in_its_step(encoder):
    row = encoder.attention(random_video(SPEC), query=PLACES + 3)
    assert row.shape == (2, 2, SPEC.tokens)
    torch.testing.assert_close(row.sum(-1), torch.ones(2, 2))
    assert torch.equal(row.view(2, 2, STEPS, PLACES).any(-1)[0, 0], torch.tensor([False, True, False, False]))


def test_positions_are_compared_within_the_frame():
    same = same_position_mask(torch.tensor([[0, 3, 4, 8]]), positions=4)
    assert torch.equal(same[0, 0].int(), torch.tensor([[1, 0, 1, 1], [0, 1, 0, 0], [1, 0, 1, 1], [1, 0, 1, 1]]).int())


def test_divided_attention_belongs_to_timesformer():
    with raises(ModelError, "conflict", subject="attention"):
        ModelSpec("debug", attention="divided")
    with raises(ModelError, "unknown_name", subject="backbone"):
        ModelSpec("debug", backbone="resnet")


def test_divided_attention_has_no_class_token():
    with raises(ModelError, "conflict", subject="class_token"):
        ModelSpec("debug", backbone="timesformer", class_token=True)
