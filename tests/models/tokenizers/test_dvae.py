"""The tokenizer of DALL-E: its size, its equations written a second time, the authors' package, and their file."""

import sys

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from mgm.errors import ModelError
from mgm.models import Dvae
from tests.errors import raises
from tests.models.tokenizers.files import dvae, write_dvae
from tests.peers import ask


def test_the_published_network_has_its_weights_and_its_computation():
    with torch.device("meta"):
        made = Dvae()
        assert sum(p.numel() for p in made.parameters()) == 53_786_240
        with FlopCounterMode(display=False) as counter:
            assert made.scores(torch.empty(1, 3, 112, 112)).shape == (1, 8192, 14, 14)
    assert round(counter.get_total_flops() / 2e9, 1) == 26.1


def test_scores_follow_the_equations():
    """relu-conv four times, times 1/64, beside the identity or a linear map of the channels; pooling after three groups."""
    made = dvae()
    pictures = torch.rand(2, 3, 32, 48)
    w = made.state_dict()
    x = F.conv2d(0.8 * pictures + 0.1, w["blocks.input.w"], w["blocks.input.b"], padding=3)
    for group in range(1, 5):
        for block in (1, 2):
            at = f"blocks.group_{group}.block_{block}"
            y = x
            for number, padding in ((1, 1), (2, 1), (3, 1), (4, 0)):
                key = f"{at}.res_path.conv_{number}"
                y = F.conv2d(y.relu(), w[f"{key}.w"], w[f"{key}.b"], padding=padding)
            if f"{at}.id_path.w" in w:
                x = F.conv2d(x, w[f"{at}.id_path.w"], w[f"{at}.id_path.b"])
            x = x + y / 64
        if group < 4:
            x = F.max_pool2d(x, 2)
    expected = F.conv2d(x.relu(), w["blocks.output.conv.w"], w["blocks.output.conv.b"])
    torch.testing.assert_close(made.scores(pictures), expected)
    codes = made.encode(pictures)
    assert torch.equal(codes, expected.argmax(1))
    assert len(codes.unique()) > 4


def test_the_authors_file_is_read_without_their_package(tmp_path):
    state = dvae(seed=1).state_dict()
    read = Dvae.read(write_dvae(tmp_path / "encoder.pkl", dvae(seed=1)))
    assert (read.codes, read.training) == (32, False)
    assert not any(p.requires_grad for p in read.parameters())
    assert {key: value.tolist() for key, value in read.state_dict().items()} == {
        k: v.tolist() for k, v in state.items()
    }
    assert "dall_e" not in sys.modules
    torch.save(state, tmp_path / "state.pt")
    assert torch.equal(
        Dvae.read(tmp_path / "state.pt").encode(torch.zeros(1, 3, 16, 16)), read.encode(torch.zeros(1, 3, 16, 16))
    )


@pytest.mark.parametrize(
    ("key", "change", "reason"),
    [
        ("blocks.group_2.block_1.id_path.w", None, "mismatch"),
        ("blocks.input.w", None, "mismatch"),
        ("blocks.group_2.block_2.id_path.w", torch.zeros(3), "mismatch"),
        ("blocks.group_2.block_1.res_path.conv_2.w", torch.zeros(3), "invalid_shape"),
    ],
    ids=["missing", "no input", "extra", "misshapen"],
)
def test_a_wrong_key_is_named(key, change, reason, tmp_path):
    state = dict(dvae().state_dict())
    if change is None:
        del state[key]
    else:
        state[key] = change
    torch.save(state, tmp_path / "state.pt")
    with raises(ModelError, reason) as caught:
        Dvae.read(tmp_path / "state.pt")
    assert key in str(caught.value)
    assert str(tmp_path) in str(caught.value.subject)


def test_other_files(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with raises(ModelError, "malformed"):
        Dvae.read(tmp_path / "list.pt")
    with raises(ModelError, "not_found"):
        Dvae.read(tmp_path / "encoder.pkl")


@pytest.mark.peers
def test_agrees_with_the_package(tmp_path):
    made = dvae()
    pictures = torch.rand(2, 3, 32, 48)
    theirs = ask("dall_e_encoder", state=made.state_dict(), pictures=pictures, codes=32, width=16)
    torch.testing.assert_close(theirs["scores"], made.scores(pictures), rtol=0, atol=1e-5)
    (tmp_path / "encoder.pkl").write_bytes(bytes(theirs["file"].tolist()))
    read = Dvae.read(tmp_path / "encoder.pkl")
    assert torch.equal(read.encode(pictures), made.encode(pictures))
