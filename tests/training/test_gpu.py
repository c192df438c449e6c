"""The same path on a CUDA device: pretraining in mixed precision, evaluation, reconstruction."""

import math

import pytest
import torch

from mgm.evaluation.probing import probe_encoder
from mgm.training.pretrain import pretrain

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_pretrain_probe_and_reconstruct(videos, memory, small, tmp_path):
    config = small("probe.steps=3", "probe.temporal_views=1")
    trained = pretrain(videos, config, out=tmp_path / "run", source=memory, show_progress=False)
    assert all(map(math.isfinite, trained.history.losses))
    scores = probe_encoder(trained.model.encoder, videos, config, memory)
    assert len(scores.hits["attentive probe"]) == len(videos.test)
    video = torch.zeros(1, *trained.model.spec.video_shape, dtype=torch.uint8)
    mask = torch.zeros(1, *trained.model.spec.grid, dtype=torch.bool)
    mask[..., 0] = True
    assert trained.model.reconstruct(video, mask).shape == video.shape  # probing left the model where it was
