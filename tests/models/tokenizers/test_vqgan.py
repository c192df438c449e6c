"""The tokenizer of VQGAN, compared with transformers' forward pass, and its files."""

import pytest
import torch
from transformers import ChameleonVQVAE, ChameleonVQVAEConfig

from mgm.errors import ModelError
from mgm.models import Vqgan
from tests.errors import raises
from tests.models.tokenizers.files import vqgan, write_vqgan


def test_the_published_network_has_the_keys_and_the_weights_of_the_authors():
    with torch.device("meta"):
        state = Vqgan(16384).state_dict()
    encoder = {key: value for key, value in state.items() if key.startswith("encoder.")}
    assert len(encoder) == 144
    assert sum(value.numel() for value in encoder.values()) == 29_298_176
    assert {key: tuple(value.shape) for key, value in state.items() if key not in encoder} == {
        "quant_conv.weight": (256, 256, 1, 1),
        "quant_conv.bias": (256,),
        "quantize.embedding.weight": (16384, 256),
    }


def test_codes_are_those_of_transformers():
    ours = vqgan()
    config = ChameleonVQVAEConfig(
        embed_dim=8,
        num_embeddings=32,
        latent_channels=256,
        resolution=256,
        base_channels=32,
        channel_multiplier=[1, 1, 2, 2, 4],
        num_res_blocks=2,
        attn_resolutions=[16],
    )
    theirs = ChameleonVQVAE(config).eval()
    wrong = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert wrong.unexpected_keys == []
    assert {key.partition(".")[0] for key in wrong.missing_keys} == {"post_quant_conv"}
    pictures = torch.rand(3, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        cells = theirs.quant_conv(theirs.encoder(2 * pictures - 1))
        expected = theirs.quantize(cells)[2].view(3, 4, 6)
    found = ours.encode(pictures)
    assert torch.equal(found, expected)
    assert len(found.unique()) > 4


def test_a_checkpoint_of_lightning_is_read_without_its_program(tmp_path):
    made = vqgan(seed=1)
    for callbacks in (True, False):
        read = Vqgan.read(write_vqgan(tmp_path / f"{callbacks}.ckpt", made.state_dict(), callbacks=callbacks))
        assert read.codes == 32
        pictures = torch.rand(1, 3, 32, 32)
        assert torch.equal(read.encode(pictures), made.encode(pictures))
        assert not read.training
        assert not any(p.requires_grad for p in read.parameters())


@pytest.mark.parametrize("key", ["encoder.mid.attn_1.q.weight", "quantize.embedding.weight", "encoder.conv_in.weight"])
def test_a_missing_an_extra_and_a_misshapen_tensor_are_named(key, tmp_path):
    state = dict(vqgan().state_dict())
    for number, changed in enumerate(
        (
            {k: v for k, v in state.items() if k != key},
            state | {key.replace("weight", "gamma"): torch.zeros(1)} if "mid" in key else {},
            state | {key: torch.zeros(3)},
        )
    ):
        file = write_vqgan(tmp_path / f"{number}.ckpt", changed)
        named = key.replace("weight", "gamma") if number == 1 and changed else key
        with raises(ModelError, "mismatch") as caught:
            Vqgan.read(file)
        if changed:
            assert named in caught.value.subject
        assert str(file) in caught.value.subject


def test_other_files(tmp_path):
    with raises(ModelError, "not_found"):
        Vqgan.read(tmp_path / "none.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with raises(ModelError, "malformed"):
        Vqgan.read(tmp_path / "list.ckpt")
