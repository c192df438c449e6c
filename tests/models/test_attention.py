import pytest
import torch
import torch.nn.functional as F

from mgm.models.attention import Attention, Block


@pytest.fixture
def block():
    torch.manual_seed(0)
    block = Block(24, 3, eps=1e-6)
    torch.nn.init.normal_(block.attn.q_bias)
    torch.nn.init.normal_(block.attn.v_bias)
    return block


def test_attention_is_softmax_of_scaled_products(block):
    attention, x = block.attn, torch.randn(2, 5, 24)
    bias = torch.cat([attention.q_bias, torch.zeros(24), attention.v_bias])
    query, key, value = (x @ attention.qkv.weight.T + bias).view(2, 5, 3, 3, 8).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(2, 3) / 8**0.5).softmax(-1)
    expected = attention.proj((weights @ value).transpose(1, 2).reshape(2, 5, 24))
    torch.testing.assert_close(attention(x), expected)
    torch.testing.assert_close(attention.weights(x, query=3), weights[:, :, 3])


@pytest.mark.parametrize("last", [1, 3, 5])
def test_the_last_tokens_alone_are_the_same(block, last):
    x = torch.randn(2, 5, 24)
    torch.testing.assert_close(block(x, last=last), block(x)[:, -last:])


def test_no_key_bias():
    names = {name for name, _ in Attention(24, 3).named_parameters()}
    assert names == {"qkv.weight", "q_bias", "v_bias", "proj.weight", "proj.bias"}


def test_a_block_is_pre_norm_with_an_exact_gelu(block):
    x = torch.randn(2, 5, 24)
    middle = x + block.attn(block.norm1(x))
    hidden = F.gelu(block.mlp.fc1(block.norm2(middle)), approximate="none")
    torch.testing.assert_close(block(x), middle + block.mlp.fc2(hidden))


def test_drop_path_skips_whole_branches_and_keeps_the_expectation(block):
    block.drop_path = 0.5
    x = torch.randn(1, 5, 24).expand(400, -1, -1)
    branch = block.attn(block.norm1(x))
    skipped = block._skip(branch)
    factor = (skipped / branch).mean((1, 2))
    assert set(factor.round(decimals=3).tolist()) == {0.0, 2.0}
    assert 0.8 < factor.mean() < 1.2
    block.eval()
    assert block._skip(branch) is branch
