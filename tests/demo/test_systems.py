"""The systems of the demo in processes of their own."""

import dataclasses

import numpy as np
import pytest

from mgm.data.annotations import load_set
from mgm.demo.systems import Experiment, Job, System, run_jobs
from mgm.errors import MgmError
from mgm.training import load_config
from mgm.training.run import open_source
from tests.demo.test_pipeline import QUICK

PIXELS, UNTRAINED = System("pixels", "normalised-pixels"), System("untrained", None)


@pytest.fixture
def experiment(tiny_set, tmp_path) -> Experiment:
    videos = load_set(tiny_set)
    config = load_config("debug", (*QUICK, "finetune.warmup=1", "finetune.batch=4"))
    _, source = open_source(videos.items, config, motion=True, source=None)
    return Experiment(videos, videos, config, source, tmp_path / "runs")


@pytest.mark.slow
def test_two_processes_measure_what_one_does(experiment, tmp_path):
    jobs = [Job(PIXELS, frozen=True, tuned=(2,)), Job(UNTRAINED, frozen=True)]
    lines: list[tuple[str, str]] = []
    alone = run_jobs(jobs, dataclasses.replace(experiment, threads=1), processes=1, report=lines.append)
    elsewhere = dataclasses.replace(experiment, out=tmp_path / "again")
    together = run_jobs(jobs, elsewhere, processes=2, report=lines.append)
    assert list(alone) == list(together) == ["pixels", "untrained"]
    for name, found in alone.items():
        other = together[name]
        assert list(found.tuned) == list(other.tuned)
        for probe, hits in found.frozen.hits.items():
            np.testing.assert_array_equal(hits, other.frozen.hits[probe])
    assert alone["pixels"].history.losses == together["pixels"].history.losses
    assert sum(text.startswith("step 3 of 3") for name, text in lines if name == "pixels") == 2


@pytest.mark.slow
def test_an_error_in_a_process_is_that_of_the_caller(experiment):
    unknown = System("odd", "no-such-target")
    with pytest.raises(MgmError):
        run_jobs([Job(unknown), Job(UNTRAINED, frozen=True)], experiment, processes=2, report=lambda line: None)
