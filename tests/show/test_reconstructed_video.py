import numpy as np
import pytest
import torch

import mgm
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import FileError, ModelError
from mgm.models import Classifier, Encoder, MaskedAutoencoder
from mgm.training import load_config
from tests.errors import raises
from tests.evaluation.conftest import SMALL, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An autoencoder with random weights, for clips of 4 frames, every second one."""
    config = load_config("debug", [*SMALL, "data.stride=2", "model.target=pixels"])
    torch.manual_seed(0)
    model = MaskedAutoencoder(config.model_spec(), target="pixels")
    return write_run(tmp_path_factory.mktemp("run"), config, "autoencoder", model, target="pixels")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make_translation(tmp_path_factory.mktemp("video") / "a.mp4", velocity=(2, 1), frames=21, size=(48, 64))


def test_every_sampled_frame_once(run, video, tmp_path):
    report = mgm.reconstruct(run, video, tmp_path / "out.mp4")
    written = mgm.read_clip(tmp_path / "out.mp4", frames=None, stride=1, size=None, motion=None)
    # Clips start at 0, 8 and 14, where the last one ends with the video: 0 2 4 6, 8 10 12 14, then 16 18 20.
    assert (report.clips, report.frames, len(written.frames)) == (3, 11, 11)
    np.testing.assert_allclose(np.diff(written.pts_seconds), 2 / 25, atol=1e-3)  # at the speed of the video
    assert np.isfinite(report.error)


def test_the_panels_are_the_frames_and_what_the_model_made_of_them(run, video, tmp_path):
    mgm.reconstruct(run, video, tmp_path / "out.mp4", overrides=("mask.ratio=0.9",))
    shown = mgm.read_clip(tmp_path / "out.mp4", frames=1, stride=1, size=None, motion=None).frames[0]
    original, sees, made = (shown[8:232, 8 + k * 232 : 232 + k * 232].astype(float) for k in range(3))
    frame = mgm.read_clip(video, frames=1, stride=1, size=224, motion=None).frames[0].astype(float)
    assert np.abs(original - frame).mean() < 12  # enlarged from 32 px, and compressed
    assert np.abs(sees - original).mean() > 20  # nine of ten tokens are hidden
    assert np.abs(made - sees).mean() > 20


def test_a_short_video_and_another_mask(run, tmp_path):
    short = make_translation(tmp_path / "short.mp4", velocity=(1, 0), frames=3, size=(48, 48))
    report = mgm.reconstruct(run, short, tmp_path / "out.mp4", overrides=("mask.name=tube",))
    assert (report.clips, report.frames) == (1, 2)


def test_what_cannot_be_reconstructed(run, video, tmp_path):
    with raises(FileError, "exists"):
        mgm.reconstruct(run, video, video)
    config = load_config("debug", SMALL)
    classifier = Classifier(Encoder(config.model_spec()), 2)
    folder = write_run(tmp_path, config, "classifier", classifier, classes=["a", "b"])
    with raises(ModelError, "mismatch", message="reconstruct-a-classifier"):
        mgm.reconstruct(folder, video, tmp_path / "out.mp4")
