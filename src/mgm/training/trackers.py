"""Weights & Biases and MLflow, through their own libraries, beside TensorBoard and log.jsonl, which every run has.

They are for watching: an error of theirs is shown once and ends that tracker, not the run. Addresses and keys come from their own
environment variables and files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, Protocol

from mgm.errors import FileError, in_words
from mgm.terminal import note

TrackerName = Literal["wandb", "mlflow"]


class Tracker(Protocol):
    """A service that shows curves."""

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Add the values of a step."""

    def flush(self) -> None:
        """Send what was added."""

    def close(self) -> None:
        """Send what was added, and end."""


class WandbTracker:
    """A run of Weights & Biases; a run in the same folder continues it."""

    def __init__(self, out: Path, project: str, settings: Mapping[str, Any]) -> None:
        import wandb

        self._run = wandb.init(
            project=project,
            name=out.name,
            id=blake2b(str(out.resolve()).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest(),
            resume="allow",
            dir=str(out),
            config=dict(settings),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """The library sends them in the background."""
        self._run.log(dict(scalars), step=step)

    def flush(self) -> None:
        """Nothing: the library sends by itself."""

    def close(self) -> None:
        """Wait until all is sent."""
        self._run.finish()


class MlflowTracker:
    """A run of MLflow; a run in the same folder continues it."""

    def __init__(self, out: Path, project: str, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._client, self._metric = MlflowClient(), Metric
        self._waiting: list[Any] = []
        found = self._client.get_experiment_by_name(project)
        experiment = self._client.create_experiment(project) if found is None else found.experiment_id
        folder = blake2b(str(out.resolve()).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
        earlier = self._client.search_runs([experiment], f"tags.mgm_folder = '{folder}'", max_results=1)
        if earlier:
            self._id = earlier[0].info.run_id
            return
        run = self._client.create_run(experiment, tags={"mgm_folder": folder}, run_name=out.name)
        self._id = run.info.run_id
        self._client.log_batch(self._id, params=[Param(name, str(value)[:500]) for name, value in settings.items()])

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Kept until they are sent together: each request takes a while."""
        now = time.time_ns() // 1_000_000
        self._waiting += [self._metric(name, value, now, step) for name, value in scalars.items()]

    def flush(self) -> None:
        """Send at most 1,000 values per request, the limit of its server."""
        while self._waiting:
            self._client.log_batch(self._id, metrics=self._waiting[:1000])
            del self._waiting[:1000]

    def close(self) -> None:
        """Send the rest, and mark the run as ended."""
        self.flush()
        self._client.set_terminated(self._id)


_TRACKERS: Mapping[TrackerName, type[WandbTracker] | type[MlflowTracker]] = {
    "wandb": WandbTracker,
    "mlflow": MlflowTracker,
}


class Trackers:
    """Some trackers as one, which never raises once it is open.

    Args:
        names: of the services. project: the name under which they collect runs.
        settings: of the run, flat.

    Raises:
        FileError: the library of a service is missing.
    """

    def __init__(self, names: tuple[TrackerName, ...], out: Path, project: str, settings: Mapping[str, Any]) -> None:
        self._open: dict[TrackerName, Tracker] = {}
        for name in names:
            try:
                self._open[name] = _TRACKERS[name](out, project, settings)
            except ModuleNotFoundError as error:
                package = str(error.name).partition(".")[0]
                raise FileError.missing_package(f"log.trackers: {name}", package, extra=name) from error
            except Exception as error:  # whatever the service raises: no network, no key
                _give_up(name, error)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._each(lambda tracker: tracker.add(step, scalars))

    def flush(self) -> None:
        """See `Tracker`."""
        self._each(lambda tracker: tracker.flush())

    def close(self) -> None:
        """See `Tracker`."""
        self._each(lambda tracker: tracker.close())
        self._open.clear()

    def _each(self, use: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            try:
                use(tracker)
            except Exception as error:
                del self._open[name]
                _give_up(name, error)
                with suppress(Exception):
                    tracker.close()


def _give_up(name: str, error: Exception) -> None:
    note(f"{name}: stopped, the run goes on without it: {in_words(error)}")
