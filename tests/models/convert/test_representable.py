"""Models that foreign formats can represent."""

from dataclasses import replace

import pytest

from mgm.errors import ModelError
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.models.accelerate import accelerate_cpu
from mgm.models.convert import check_representable
from tests.errors import raises

SPEC = ModelSpec("debug", patch=8, frames=4, resolution=32)


@pytest.mark.parametrize("target", ["normalised-pixels", "pixels"])
def test_a_plain_videomae_is_representable(target):
    model = MaskedAutoencoder(SPEC, target=target)
    check_representable(model, "the format")
    accelerate_cpu(model)
    check_representable(model, "the format")
    check_representable(Classifier(Encoder(SPEC), 5), "the format")


@pytest.mark.parametrize(
    "model",
    [
        MaskedAutoencoder(SPEC, target="hog"),
        Classifier(Encoder(SPEC), 5, block=0),
        Classifier(Encoder(SPEC), 5, pooling="attentive"),
        Encoder(replace(SPEC, position="sincos-3d")),
        Encoder(replace(SPEC, backbone="timesformer")),
    ],
    ids=["target", "block", "pooling", "position", "backbone"],
)
def test_other_models_are_not(model):
    with raises(ModelError, "unsupported"):
        check_representable(model, "the format")
