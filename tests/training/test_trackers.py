"""Curves in services: an error of theirs ends them, not the run; their own libraries, offline, if they are installed."""

import math
import sys

import pytest

from mgm.errors import ConfigError, FileError
from mgm.training import trackers
from mgm.training.trackers import Trackers
from tests.errors import raises
from tests.training.helpers import read_log


class Kept:
    """A service that keeps what it gets, and fails at a step."""

    opened: list["Kept"] = []  # noqa: RUF012

    def __init__(self, out, project, settings, *, fail_at=math.inf):
        self.project, self.settings, self.fail_at = project, settings, fail_at
        self.losses, self.closed = {}, False
        self.opened.append(self)

    def add(self, step, scalars):
        if step == self.fail_at:
            raise OSError("no network")
        self.losses[step] = scalars["1-loss/total"]

    def flush(self):
        pass

    def close(self):
        self.closed = True


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setattr(Kept, "opened", [])
    monkeypatch.setattr(trackers, "_TRACKERS", {"wandb": Kept, "mlflow": lambda *given: Kept(*given, fail_at=2)})
    return Kept.opened


def test_every_step_is_sent(run, small, kept):
    history = run(small("log.trackers=[wandb]", "log.project=mine", "seed=5")).history
    (tracker,) = kept
    assert list(tracker.losses.values()) == history.losses
    assert (tracker.project, tracker.settings["seed"], tracker.settings["data.frames"]) == ("mine", 5, 4)
    assert tracker.closed


def test_an_error_of_a_service_ends_it_alone(run, small, kept, capsys):
    trained = run(small("log.trackers=[mlflow,wandb]"))
    first, second = kept
    assert list(first.losses) == [0, 1]
    assert list(second.losses) == list(range(6))
    assert len(read_log(trained.out)) == 6
    assert capsys.readouterr().err.count("mlflow: stopped, the run goes on without it: no network") == 1


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_library(monkeypatch, tmp_path, name):
    monkeypatch.setitem(sys.modules, name, None)
    with raises(FileError, "missing_package", message=f"tracker-{name}"):
        Trackers((name,), tmp_path, "mgm", {})


@pytest.mark.parametrize("value", ["[tensorboard]", "wandb", "[wandb,wandb]"])
def test_unknown_services(small, value):
    with raises(ConfigError, "invalid_value"):
        small(f"log.trackers={value}")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_weights_and_biases_offline(run, small, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    out = run(small("log.trackers=[wandb]")).out
    (file,) = out.glob("wandb/offline-run-*/run-*.wandb")
    assert b"1-loss/total" in file.read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_mlflow_in_a_folder(run, small, monkeypatch, tmp_path):
    """A resumed run continues its curves."""
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    settings = small("log.trackers=[mlflow]", "log.project=mine")

    def stop(line):
        if line.startswith("step 3 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=stop)
    history = run(settings, resume="auto").history
    client = MlflowClient(f"file://{tmp_path}/mlruns")
    (found,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    points = client.get_metric_history(found.info.run_id, "1-loss/total")
    assert sorted((point.step, point.value) for point in points) == list(enumerate(history.losses))
    assert found.data.params["data.frames"] == "4"
    assert found.info.status == "FINISHED"
