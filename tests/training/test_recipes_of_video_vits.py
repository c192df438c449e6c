"""The recipes of TimeSformer, Motionformer, VidTr and CoViAR's motion stream against the configurations of their authors."""

import pytest

from mgm.models.networks.catalog import NETWORKS
from mgm.training.recipe import load_config

# Each authors' learning rate is for the clips of their batch: .005 for 8, 1e-4 for 128, .01 for 8.
# network, frames, stride, optimiser, epochs, batch, base_lr, weight_decay, drop_path, dropout, smoothing, sampling, flip, views
VIDEO_VITS = {
    "supervised-timesformer-k400": (
        "timesformer", 8, 32, "sgd", 15, 8, 0.16, 1e-4, 0.1, 0, 0, "dense", True, (1, 3),
    ),
    "supervised-timesformer-ssv2": (
        "timesformer", 8, 8, "sgd", 15, 8, 0.16, 1e-4, 0.1, 0, 0, "sparse", False, (1, 3),
    ),
    "supervised-motionformer-k400": (
        "motionformer", 16, 4, "adamw", 35, 128, 2e-4, 0.05, 0.2, 0, 0.2, "dense", True, (10, 3),
    ),
    "supervised-motionformer-ssv2": (
        "motionformer", 16, 4, "adamw", 35, 128, 2e-4, 0.05, 0.2, 0, 0.2, "sparse", False, (1, 3),
    ),
    "supervised-vidtr-l-k400": (
        "vidtr-l", 32, 2, "sgd", 50, 8, 0.32, 1e-5, 0.1, 0.5, 0, "dense", True, (10, 3),
    ),
    "coviar-motion": (
        "coviar-motion", 3, 1, "adamw", 510, 80, 3.2e-3, 1e-4, 0, 0, 0, "sparse", True, (8, 3),
    ),
}  # fmt: skip

SCHEDULES = {
    "supervised-timesformer": ("steps", True),
    "supervised-motionformer": ("steps", False),
    "supervised-vidtr-l": ("steps", False),
}
DROPS = {"supervised-timesformer": [11, 14], "supervised-motionformer": [20, 30], "supervised-vidtr-l": [25, 40]}
"""Epochs after which the authors divide the rate by 10."""


@pytest.mark.parametrize("name", VIDEO_VITS)
def test_it_is_the_configuration_of_its_authors(name):
    config = load_config(name)
    f, data, probe = config.finetune, config.data, config.probe
    rates = (f.base_lr, f.weight_decay, f.drop_path, f.dropout, f.label_smoothing)
    views = (probe.temporal_views, probe.spatial_views)
    found = (
        config.model.network,
        data.frames,
        data.stride,
        f.optimiser,
        f.epochs,
        f.batch,
        *rates,
        f.sampling,
        f.flip,
        views,
    )
    assert found == VIDEO_VITS[name]
    assert (data.size, f.crop, f.erasing, f.mixup, f.cutmix, f.layer_decay) == (224, "multiscale", 0, 0, 0, 1)
    assert (f.clip_grad, config.repeats("finetune"), f.sampling_rule) == (None, 1, "exact")
    assert f.randaugment == ("rand-m10-n2-mstd0.5-inc1" if name == "supervised-motionformer-ssv2" else None)
    assert (f.min_lr, f.schedule, f.nesterov) == (0, *SCHEDULES.get(name.rpartition("-")[0], ("cosine", False)))
    assert [round(drop * f.epochs) for drop in f.drops] == DROPS.get(name.rpartition("-")[0], [])


@pytest.mark.parametrize("name", VIDEO_VITS)
def test_clips_and_views_are_those_of_the_catalog(name):
    config = load_config(name)
    entry = NETWORKS[config.model.network + ("-ssv2" if name.endswith("ssv2") else "")]
    assert (config.data.frames, config.data.stride, config.data.size) == (entry.frames, entry.stride, entry.size)
    assert (config.probe.temporal_views, config.probe.spatial_views) == entry.views
    assert (config.finetune.sampling, config.data.input) == (entry.sampling, entry.reads)
