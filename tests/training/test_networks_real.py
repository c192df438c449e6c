"""SlowFast and MViT learn from real videos: fine-tuned from scratch, continued from published weights, and evaluated."""

import math
from dataclasses import replace

import pytest

from mgm.data.annotations import load_set
from mgm.evaluation.multi_view import evaluate
from mgm.training import load_config
from mgm.training.finetune import finetune

SHORT = (
    "data.frames=8", "data.stride=2", "data.size=64", "data.workers=0", "finetune.steps=3", "finetune.warmup=1",
    "finetune.batch=4", "finetune.repeats=1", "finetune.flip=auto", "probe.temporal_views=1", "probe.spatial_views=1",
)  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("supervised-slowfast-r101-k400", ["model.network=slowfast-r50-8x8"]),
        ("supervised-slowfast-r101-nl-k400", []),
        ("supervised-mvitv1-b-k400", []),
        ("supervised-mvitv1-b-k400", ["model.network=mvitv1-b-32x3"]),
        ("supervised-mvitv2-s-k400", []),
        ("supervised-mvitv2-b-ssv2", []),
    ],
)
@pytest.mark.real
@pytest.mark.slow
def test_trains_and_evaluates_on_real_videos(recipe, settings, shared_data, tmp_path):
    videos = load_set(shared_data / "surv_fights")
    few = replace(videos, train=videos.train[::20], test=videos.test[::6])
    config = load_config(recipe, [*settings, *SHORT])
    result = finetune(None, few, config, out=tmp_path / "run", show_progress=False)
    assert len(result.history.losses) == 3
    assert all(map(math.isfinite, result.history.losses))
    found = evaluate(tmp_path / "run", few).result
    assert found.metrics[0].count == len(few.test)
    assert (found.protocol["frames"], found.protocol["size"]) == (8, 64)
