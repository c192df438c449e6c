"""Specifications inferred from the shapes of a state dict."""

import pytest
import torch
import torch.nn.functional as F

from mgm.errors import ModelError
from mgm.models import Encoder, ModelSpec
from mgm.models.convert import Overrides
from mgm.models.position import sincos_1d
from mgm.models.sizes import Size, Stack
from tests.errors import raises
from tests.models.clips import normalised, random_video
from tests.models.convert.checkpoints import TUNED, close, embedded, load, reference_blocks
from tests.models.reference import pretrained_shapes, random_state


@pytest.mark.parametrize(
    ("dim", "width", "heads"),
    [(384, 192, (6, 3)), (768, 384, (12, 6)), (1024, 512, (16, 8)), (1280, 640, (16, 8)), (1408, 512, (16, 8))],
)
def test_heads_are_those_of_the_published_models(dim, width, heads):
    """The small model has 6, though conversions of it to Hugging Face say 16."""
    shapes = pretrained_shapes(dim=dim, depth=1, width=width, layers=1, patch=2)
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in shapes.items()}
        spec = load(state, Overrides(frames=2, resolution=4)).spec
    assert (spec.encoder.heads, spec.decoder.heads) == heads


def test_the_giant_of_v2():
    """Patches of 14 pixels, and an MLP of 48/11 the width."""
    shapes = pretrained_shapes(dim=88, depth=1, width=44, layers=1, patch=14, hidden=384)
    state = random_state(shapes)
    model = load(state, Overrides(frames=2, resolution=28, heads=8), encoder_only=True)
    assert model.spec.encoder == Stack(88, 1, 8, hidden=384)
    assert model.spec.patch == 14
    video = random_video(model.spec)
    x = embedded(state, "encoder.", normalised(video)) + sincos_1d(4, 88)
    x = reference_blocks(state, x, "encoder.", 1, 8)
    close(model(video), F.layer_norm(x, (88,), state["encoder.norm.weight"], state["encoder.norm.bias"], 1e-6))


def test_a_specification_with_another_mlp_survives_its_dictionary():
    spec = ModelSpec(Size(Stack(16, 1, 2, hidden=40), Stack(8, 1, 2)), patch=8, frames=2, resolution=16)
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    assert Stack(16, 1, 2, hidden=64) == Stack(16, 1, 2)
    assert Encoder(spec).blocks[0].mlp.fc1.out_features == 40


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"fc_norm.weight": torch.full((32,), float("nan"))}, "diverged", "checkpoint-nan"),
        ({"head.bias": torch.full((5,), 1e300, dtype=torch.float64)}, "diverged", None),
        ({"head.weight": torch.zeros(5, 32, dtype=torch.int8)}, "invalid_type", None),
        ({"head.weight": torch.zeros(5, 32, dtype=torch.complex64)}, "invalid_type", None),
        ({"head.weight": torch.zeros(())}, "invalid_shape", None),
        ({"blocks.0.mlp.fc1.weight": torch.zeros(())}, "invalid_shape", None),
        ({"pos_embed": torch.zeros(1, 32, 32, dtype=torch.int64)}, "invalid_type", None),
    ],
)
def test_weights_that_are_not_finite_floats(change, reason, message):
    with raises(ModelError, reason, subject="state dict", message=message):
        load(TUNED | change)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"frames": 0}, "invalid_value"),
        ({"heads": 0}, "invalid_value"),
        ({"heads": True}, "invalid_value"),
        ({"resolution": (8, 8, 8)}, "invalid_type"),
        ({"resolution": ()}, "invalid_type"),
    ],
)
def test_overrides_are_checked(overrides, reason):
    with raises(ModelError, reason, subject=next(iter(overrides))):
        Overrides(**overrides)


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"blocks.0.gamma_1": torch.ones(32)}, "unsupported", "layer-scale"),
        ({"pos_embed": torch.ones(1, 32, 32)}, "unsupported", "learned-position"),
        ({"blocks.4.norm1.weight": torch.ones(32)}, "malformed", "blocks-missing"),
        ({"patch_embed.proj.weight": torch.ones(32, 3, 8, 8)}, "invalid_shape", "image-model"),
        ({"head.weight": torch.ones(5, 31)}, "invalid_shape", "other-head"),
    ],
)
def test_state_dicts_of_other_models(change, reason, message):
    with raises(ModelError, reason, message=f"checkpoint-{message}"):
        load(TUNED | change)
