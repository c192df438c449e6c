import json

import pytest

from mgm.errors import ModelError
from mgm.models import SIZES, ModelSpec, Size, Stack


def test_grid_of_the_paper():
    spec = ModelSpec("B")
    assert spec.grid == (8, 14, 14)
    assert spec.tokens == 1568
    assert spec.token_pixels == 512
    assert spec.video_shape == (3, 16, 224, 224)


def test_a_frame_need_not_be_square():
    assert ModelSpec("tiny", patch=8, frames=8, resolution=(48, 64)).grid == (4, 6, 8)


def test_decoder_depth_is_the_sizes_own_unless_given():
    assert [ModelSpec(name).decoder.depth for name in "SBLH"] == [4, 4, 12, 12]
    assert ModelSpec("H", decoder_depth=4).decoder == Stack(640, 4, 8)


@pytest.mark.parametrize("size", [*SIZES, Size(Stack(48, 3, 4), Stack(24, 2, 3))])
@pytest.mark.parametrize("resolution", [64, (48, 64)])
def test_a_specification_survives_json(size, resolution):
    spec = ModelSpec(size, patch=8, resolution=resolution, position="sincos-3d", decoder_depth=3, norm_eps=1e-12)
    values = spec.to_dict()
    read = json.loads(json.dumps(values))
    assert read == values
    assert ModelSpec.from_dict(read) == spec


def test_equal_sides_are_one_resolution():
    assert ModelSpec("S", resolution=(224, 224)) == ModelSpec("S", resolution=224)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": "XL"}, "'XL'.*debug, tiny, S, B, L, H"),
        ({"resolution": 220}, "220 x 220.*patches of 16; take 224 x 224"),
        ({"resolution": (224, 200)}, "224 x 200"),
        ({"frames": 15}, "15 frames.*tubelets of 2; take 16"),
        ({"patch": 0}, "patch: found 0"),
        ({"patch": 16.0}, "patch: found 16.0"),
        ({"position": "learned"}, "'learned'.*sincos-1d, sincos-3d"),
        ({"decoder_depth": 0}, "decoder_depth: found 0"),
        ({"resolution": (32, 32, 32)}, r"resolution: found \(32, 32, 32\), expected one side .* \(height, width\)"),
        ({"resolution": ()}, r"resolution: found \(\)"),
        ({"resolution": "32"}, "resolution: found '32'"),
        ({"resolution": (32, 32.0)}, "resolution: found 32.0, expected a whole number"),
        ({"size": 3}, "size: found 3"),
        ({"norm_eps": "1e-6"}, "norm_eps: found '1e-6', expected a number"),
        ({"head_norm_eps": float("nan")}, "head_norm_eps: found nan"),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    with pytest.raises(ModelError, match=words):
        ModelSpec(**change)


def test_heads_divide_the_width():
    with pytest.raises(ModelError, match="dim 32 is not divisible by 3 heads"):
        Stack(32, 2, 3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sise": "B"}, "unknown sise; expected size, patch"),
        ({"size": {"encoder": {"dim": 32}}}, "cannot be read"),
        ({"resolution": [224]}, r"resolution: found \(224,\)"),
        ({"size": {"encoder": {"dim": None, "depth": 1, "heads": 1}, "decoder": {}}}, "Stack.dim: found None"),
        ({"size": "XL"}, "'XL'"),
    ],
)
def test_a_stored_specification_that_does_not_fit(values, words):
    with pytest.raises(ModelError, match=words):
        ModelSpec.from_dict(values)
