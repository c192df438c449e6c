import sys
from dataclasses import replace

import pytest
import torch

from mgm.data.clips.source import FileSource
from mgm.data.loading.views import ViewSet
from mgm.errors import DataError
from mgm.evaluation.probing import untrained_encoder
from mgm.models import Encoder
from mgm.models.patches import patchify
from mgm.training.finetune import finetune
from mgm.training.pretrain import pretrain
from mgm.training.whitening import start_from_videos, whitening
from tests.errors import raises

pretraining = sys.modules["mgm.training.pretrain"]


def correlated(values, width):
    mixing = torch.randn(width, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return values @ mixing


def test_outputs_are_uncorrelated_and_of_unit_variance():
    data = correlated(torch.randn(20_000, 12, dtype=torch.float64), 12)
    centred = data - data.mean(0)
    out = centred @ whitening(centred.T @ centred / len(data), 8).T
    torch.testing.assert_close(out.T @ out / len(data), torch.eye(8, dtype=torch.float64), atol=0.05, rtol=0)


def test_they_are_the_leading_components():
    """Against scikit-learn's definition by hand: nothing of what the eight largest components hold is lost."""
    data = correlated(torch.randn(5_000, 12, dtype=torch.float64), 12)
    centred = data - data.mean(0)
    weight = whitening(centred.T @ centred / len(data), 8)
    leading = torch.pca_lowrank(centred, 8, center=False, niter=10)[2]
    inside = leading @ leading.T
    torch.testing.assert_close(weight @ inside, weight, atol=1e-6, rtol=1e-6)


def test_more_channels_than_values():
    weight = whitening(torch.eye(3, dtype=torch.float64), 6)
    out = torch.randn(20_000, 3, dtype=torch.float64) @ weight.T
    assert out.shape[1] == 6
    assert out.var(0).mean() == pytest.approx(1, abs=0.05)


def test_a_constant_video_gives_finite_weights():
    assert whitening(torch.zeros(4, 4, dtype=torch.float64), 4).isfinite().all()


@pytest.fixture
def correlation(small, videos, memory):
    """The mean correlation between two channels of the embedded patches of the videos."""
    config = small()
    views = ViewSet(videos.train, memory, config.clip_settings(motion=False), temporal=1, spatial=1)
    clips = torch.cat([views[i].video for i in range(len(views))])

    def of(encoder):
        pixels = patchify(clips, encoder.spec).flatten(2).flatten(0, 1) * encoder.scale + encoder.shift
        return float((torch.corrcoef(encoder.patch_embed(pixels).T.detach()) - torch.eye(32)).abs().mean())

    return of


def test_patches_of_the_videos_are_whitened(small, videos, memory, correlation):
    encoder = Encoder(small("model.patch_init=whitened").model_spec())
    before = correlation(encoder)
    start_from_videos(encoder, videos.train, small(), memory)
    assert correlation(encoder) < 0.1 < 0.3 < before


def test_runs_and_the_untrained_encoder_start_from_it(small, videos, memory, tmp_path, correlation):
    config = small("model.patch_init=whitened", "pretrain.steps=1", "finetune.steps=1", "pretrain.base_lr=1e-9")

    def start(out):
        return pretrain(videos, config, out=tmp_path / out, source=memory, show_progress=False).model.encoder

    first = start("a")
    assert torch.equal(first.patch_embed.weight, start("b").patch_embed.weight)
    tuned = finetune(None, videos, config, out=tmp_path / "d", source=memory, show_progress=False)
    for encoder in (first, tuned.model.encoder, untrained_encoder(config, videos.train, memory)):
        assert correlation(encoder) < 0.1


def test_a_run_that_continues_reads_no_videos_for_its_start(small, videos, memory, tmp_path, monkeypatch):
    config = small("model.patch_init=whitened", "pretrain.checkpoint_every=2")
    started = []
    monkeypatch.setattr(pretraining, "start_from_videos", lambda *_: started.append(1))

    def train(**options):
        pretrain(videos, config, out=tmp_path / "a", source=memory, show_progress=False, **options)

    def stop(line):
        if line.startswith("step 3 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(progress=stop)
    train(resume=True)
    assert started == [1]


def test_without_a_readable_video(small, tmp_path, videos):
    config = small("model.patch_init=whitened")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    item = replace(videos.train[0], path=str(broken))
    encoder = Encoder(config.model_spec())
    with raises(DataError, "too_many_failures"):
        start_from_videos(encoder, (item,), config, FileSource())
    start_from_videos(encoder, (item, *videos.train[:1]), config, FileSource())
    with raises(DataError, "too_many_failures"):
        untrained_encoder(config)
