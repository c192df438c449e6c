"""Pretrained files of MME (M3Video): VideoMAE's encoder beside a list of decoders."""

import torch

from mgm.errors import ModelError
from mgm.models.convert import read_weights
from tests.errors import raises
from tests.models.clips import random_video
from tests.models.convert.checkpoints import PRETRAINED, load


def mme():
    """VideoMAE's state dict with MME's names, as DeepSpeed's `module`."""
    names = {"encoder_to_decoder.": "encoder_to_decoder.0.", "decoder.": "decoder.0."}
    theirs = {}
    for key, value in PRETRAINED.items():
        old = next((old for old in names if key.startswith(old)), None)
        theirs[key if old is None else key.replace(old, names[old], 1)] = value
    return theirs


def test_its_encoder_is_videomaes(tmp_path):
    torch.save({"module": mme(), "global_steps": 3}, tmp_path / "mp_rank_00_model_states.pt")
    found = load(read_weights(tmp_path / "mp_rank_00_model_states.pt").state, encoder_only=True)
    expected = load(PRETRAINED, encoder_only=True)
    video = random_video(expected.spec)
    assert torch.equal(found(video), expected(video))


def test_its_decoders_are_refused():
    with raises(ModelError, "unsupported") as caught:
        load(mme())
    assert "MME" in caught.value.found
