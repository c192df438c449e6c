"""The attention of a token: that of the model, at the token's place, and its errors."""

import numpy as np
import pytest
import torch
from PIL import Image

from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import ConfigError, ModelError
from mgm.models import Encoder, ModelSpec
from mgm.show.attention import AttentionSettings, attend, attention_weights
from mgm.show.figures import paint_attention
from tests.errors import raises
from tests.evaluation.conftest import config, pretrained_run  # noqa: F401


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make_translation(tmp_path_factory.mktemp("video") / "a.mp4", velocity=(2, 1), frames=21, size=(48, 64))


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return Encoder(ModelSpec("debug", frames=4, resolution=32)).eval()


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def test_the_weights_are_those_of_the_encoder(encoder, frames):
    steps, h, w = encoder.spec.grid
    video = torch.from_numpy(frames).permute(3, 0, 1, 2)[None]
    centre = (steps // 2 * h + h // 2) * w + w // 2
    with torch.no_grad():
        rows = encoder.attention(video, query=centre)[0].numpy()
        first = encoder.attention(video, query=1, block=0)[0].numpy()
    weights, query = attention_weights(encoder, frames, AttentionSettings())
    assert query == (steps // 2, h // 2, w // 2)
    np.testing.assert_allclose(weights.ravel(), rows.mean(0), rtol=1e-5)
    weights, _ = attention_weights(encoder, frames, AttentionSettings((0, 0, 1), block=0, head=1))
    np.testing.assert_allclose(weights.ravel(), first[1], rtol=1e-5)
    rolled, _ = attention_weights(encoder, frames, AttentionSettings((0, 0, 1), rollout=True))
    assert rolled.sum() == pytest.approx(1, abs=1e-5)
    assert rolled.argmax() == 1  # half of it stays in every block


def test_errors_name_the_value(encoder, frames):
    with raises(ConfigError, "invalid_value", subject="query"):
        attention_weights(encoder, frames, AttentionSettings((0, 0, 99)))
    with raises(ConfigError, "invalid_value", subject="head"):
        attention_weights(encoder, frames, AttentionSettings(head=64))
    with raises(ModelError, "invalid_value", subject="block"):
        attention_weights(encoder, frames, AttentionSettings(block=64))
    with raises(ConfigError, "conflict", subject="head"):
        AttentionSettings(head=0, rollout=True)


def test_a_sheet_and_a_video_of_a_run(pretrained_run, video, tmp_path):  # noqa: F811
    found = attend(pretrained_run, video, start=3)
    assert repr(found).startswith("AttentionMap(")
    made = found.sheet(columns=4)
    assert {"frames", "attention", "the query token"} <= set(made.words)
    assert any("a.mp4: 4 frames from frame 3" in words for words in made.words)
    assert len(made.pictures) == 2 * 4
    assert found._repr_png_().startswith(b"\x89PNG")
    found.write_video(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as moving:
        assert moving.n_frames == 4


def test_attention_is_brightest_where_it_is_paid():
    frames = np.full((4, 32, 48, 3), 128, np.uint8)
    weights = np.zeros((2, 4, 6))
    weights[1, 2, 4] = 1
    painted = paint_attention(frames, weights).astype(float).sum(axis=-1)
    t, y, x = np.unravel_index(painted.argmax(), painted.shape)
    assert t in (2, 3)
    assert (y // 8, x // 8) == (2, 4)
    assert np.ptp(painted[0]) == 0
