"""Formats of checkpoints, recognised by their keys."""

import torch

from mgm.errors import ModelError
from mgm.models import Encoder
from mgm.models.convert import Overrides
from tests.errors import raises
from tests.models.convert.checkpoints import PRETRAINED, SMALL, TUNED, load
from tests.models.reference import maest_shapes, random_state, tuned_shapes


def test_the_stored_command_line_is_used_and_overridden():
    arguments = {"num_frames": 8, "input_size": 64, "normlize_target": False, "lr": 1e-3}
    model = load(PRETRAINED, Overrides(heads=2), arguments=arguments)
    assert (model.spec.frames, model.spec.resolution) == (8, 64)
    assert type(model.target).__name__ == "Pixels"
    assert load(PRETRAINED, SMALL, arguments=arguments).spec.frames == 4
    assert load(PRETRAINED, Overrides(heads=2)).spec.video_shape == (3, 16, 224, 224)
    segments = {"num_frames": 4, "num_segments": 2, "input_size": 32}
    assert load(TUNED, Overrides(heads=2), arguments=segments).encoder.spec.frames == 8


def test_integers_outside_of_the_encoder_are_ignored():
    load(PRETRAINED | {"projector.num_batches_tracked": torch.tensor(3)}, encoder_only=True)
    maest = random_state(maest_shapes(dim=32, depth=1, grid=(2, 4, 4), patch=8))
    with raises(ModelError, "invalid_type", subject="state dict", message="checkpoint-quantised"):
        load(
            maest | {"blocks.0.attn.q.weight": torch.zeros(32, 32, dtype=torch.int32)},
            Overrides(heads=2),
            encoder_only=True,
        )


def test_tensors_of_another_method_are_ignored_for_the_encoder():
    state = PRETRAINED | {"projector.weight": torch.zeros(3), "decoder.head.weight": torch.zeros(7, 16)}
    assert isinstance(load(state, encoder_only=True), Encoder)
    with raises(ModelError, "mismatch", subject="state dict", message="checkpoint-unexpected-keys"):
        load(state)


def test_an_unknown_format():
    with raises(ModelError, "malformed", message="checkpoint-unknown-format"):
        load({"conv1.weight": torch.zeros(1)})
    with raises(ModelError, "missing_value", subject="heads of the encoder", message="checkpoint-heads-unknown"):
        load(random_state(tuned_shapes(dim=96, depth=1, classes=2)), Overrides())
