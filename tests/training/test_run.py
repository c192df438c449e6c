"""A run before its steps: its devices, and videos that cannot be read into memory."""

from mgm.errors import ConfigError, DataError
from mgm.training.devices import make_fabric
from mgm.training.fabric import Fabric
from mgm.training.run import TrainingRun
from tests.errors import raises
from tests.training.helpers import broken


def test_a_batch_that_is_not_a_multiple_of_the_devices(small, monkeypatch, tmp_path):
    class Three(Fabric):
        world_size = 3

    fabric = make_fabric(small().pretrain.precision)
    fabric.__class__ = Three
    monkeypatch.setattr("mgm.training.run.make_fabric", lambda precision, sharded: fabric)
    config = small("pretrain.batch=4")
    with raises(ConfigError, "mismatch", subject="batch"):
        TrainingRun.prepare(tmp_path, config, config.pretrain, range(12))


def test_unreadable_videos_in_memory(run, small, videos, tmp_path):
    damaged = broken(videos, tmp_path / "bad", count=1)
    trained = run(small("data.memory=true"), videos=damaged, source=None)
    assert list(trained.history.bad) == [damaged.train[0].path]
    assert damaged.train[0].path in (trained.out / "bad_videos.tsv").read_text()
    several = broken(videos, tmp_path / "worse", count=3)
    with raises(DataError, "too_many_failures"):
        run(small("data.memory=true"), "stopped", videos=several, source=None)
