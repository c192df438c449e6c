"""Pretraining gives the tiny model of the demo a gain that no noise explains."""

import os

import pytest

from mgm.data.annotations import load_set
from mgm.demo.plan import (
    LABELS,
    MOTION_AND_PIXELS,
    SYNTHETIC,
    SYNTHETIC_SETTINGS,
    UNTRAINED,
)
from mgm.demo.systems import Experiment, Job, run_jobs
from mgm.training import load_config
from mgm.training.run import open_source


@pytest.mark.slow
def test_features_of_motion_are_learned_and_not_given(tmp_path):
    SYNTHETIC["headings"].make(tmp_path / "videos")
    videos = load_set(tmp_path / "videos")
    config = load_config("debug", ("data.memory=true", *SYNTHETIC_SETTINGS, 'probe.heads=["linear", "knn"]'))
    _, source = open_source(videos.items, config, motion=True, source=None)
    experiment = Experiment(videos, videos.with_few_labels(LABELS, seed=0), config, source, tmp_path / "runs")
    jobs = [Job(MOTION_AND_PIXELS, frozen=True), Job(UNTRAINED, frozen=True)]
    results = run_jobs(jobs, experiment, processes=os.cpu_count() or 1, report=lambda line: None)
    for probe in ("linear probe", "20-NN"):
        assert results[MOTION_AND_PIXELS.name].frozen.hits[probe].mean() > 0.8
        assert results[UNTRAINED.name].frozen.hits[probe].mean() < 0.35
