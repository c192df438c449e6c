"""The systems that the demo compares, each trained and evaluated in a process of its own."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from mgm.data.clips.source import ClipSource
from mgm.data.items import VideoSet
from mgm.errors import ModelError, VideoError
from mgm.evaluation.metrics import correct
from mgm.evaluation.multi_view import evaluate_classifier
from mgm.evaluation.probing import Hits, ProbeScores, probe_encoder, untrained_encoder
from mgm.models import Classifier, MaskedAutoencoder
from mgm.training import Config
from mgm.training.finetune import finetune
from mgm.training.log import RunHistory
from mgm.training.pretrain import pretrain
from mgm.workers.map_files import map_files
from mgm.workers.process import report_progress

Line = tuple[str, str]
"""The name of a system and what is done for it, such as "pretraining, step 20 of 500"."""


@dataclass(frozen=True, slots=True)
class System:
    """One way to get features.

    Attributes:
        target: what pretraining predicts (`model.target`); None: no pretraining.
        mask: name of its mask; None: as configured.
    """

    name: str
    target: str | dict[str, float] | None
    mask: str | None = None

    def configured(self, config: Config) -> Config:
        """The configuration of its pretraining."""
        target = config.model.model_copy(update={"target": self.target})
        mask = config.mask if self.mask is None else config.mask.model_copy(update={"name": self.mask, "options": {}})
        return config.model_copy(update={"model": target, "mask": mask})


@dataclass(frozen=True, slots=True)
class Job:
    """The work of one process. frozen: probe the frozen features; tuned: numbers of steps, one fine-tuned model for each."""

    system: System
    frozen: bool = False
    tuned: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Experiment:
    """What all jobs share.

    Attributes:
        videos: pretraining reads all training videos.
        labelled: probes and fine-tuning train on its training videos; everything is tested on its test videos.
        out: folder of the runs, one for each training.
        threads: of torch in each process; None: as they are.
    """

    videos: VideoSet
    labelled: VideoSet
    config: Config
    source: ClipSource
    out: Path
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class SystemResult:
    """What was measured of one system.

    Attributes:
        run: folder of its pretraining; None without.
        frozen: of probes on its frozen features; None if not measured.
        tuned: number of fine-tuning steps -> hits of the test videos.
        unreadable: path -> message.
    """

    history: RunHistory | None = None
    run: Path | None = None
    frozen: ProbeScores | None = None
    tuned: Mapping[int, Hits] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def with_other(self, other: SystemResult) -> SystemResult:
        """The results of two jobs of one system."""
        return SystemResult(
            self.history or other.history,
            self.run or other.run,
            self.frozen or other.frozen,
            {**self.tuned, **other.tuned},
            {**self.unreadable, **other.unreadable},
        )


def run_jobs(
    jobs: Sequence[Job], experiment: Experiment, *, processes: int, report: Callable[[Line], None]
) -> dict[str, SystemResult]:
    """Results by the name of the system, in the order of the jobs.

    Args:
        processes: jobs at a time; above 1 only under `if __name__ == "__main__":`.

    Raises:
        ModelError: a process died. MgmError: as of the training and the probes.
    """
    results: dict[str, SystemResult] = {}
    processes = min(processes, len(jobs))
    if processes > 1:  # the threads of several processes would compete for the cores
        experiment = replace(experiment, threads=1)
    with _sender(report, processes) as send:
        work = partial(_run_job, experiment=experiment, send=send)
        for job, result in map_files(work, jobs, processes=processes, on_death=_died):
            before = results.get(job.system.name)
            results[job.system.name] = result if before is None else before.with_other(result)
    return {job.system.name: results[job.system.name] for job in jobs}


@contextmanager
def _sender(report: Callable[[Line], None], processes: int) -> Iterator[Callable[[Line], None]]:
    """A function that processes call to reach `report` in this one."""
    if processes == 1:
        yield report
        return
    with get_context("spawn").Manager() as manager:
        lines: Any = manager.Queue()

        def forward() -> None:
            """Report the lines of all processes here, until None arrives."""
            while (line := lines.get()) is not None:
                report(line)

        thread = threading.Thread(target=forward, daemon=True)
        thread.start()
        try:
            yield lines.put
        finally:
            lines.put(None)
            thread.join()


def _died(job: Job, error: VideoError) -> SystemResult:
    raise ModelError(
        job.system.name, f"its process {error.found}", advice="run 'mgm demo' again", reason="crashed"
    ) from error


def _run_job(job: Job, *, experiment: Experiment, send: Callable[[Line], None]) -> SystemResult:
    """Train and evaluate. If a process dies, the next one resumes the job from its checkpoints."""
    if experiment.threads is not None:
        torch.set_num_threads(experiment.threads)
    system, config, source = job.system, experiment.config, experiment.source
    folder = experiment.out / re.sub(r"\W+", "-", system.name)

    def report(text: str) -> None:
        """Send a line, and restart the time limit of the job."""
        report_progress()
        send((system.name, text))

    encoder, result = None, SystemResult()
    if system.target is not None:
        config = system.configured(config)
        pretrained = pretrain(
            experiment.videos, config, out=folder, resume=True, source=source, show_progress=False, progress=report
        )
        assert isinstance(pretrained.model, MaskedAutoencoder)
        encoder, result = pretrained.model.encoder, SystemResult(pretrained.history, folder)
    if job.frozen:
        features = untrained_encoder(config, experiment.labelled.train, source) if encoder is None else encoder
        scores = probe_encoder(features, experiment.labelled, config, source, progress=report)
        result = replace(result, frozen=scores, unreadable=scores.unreadable)
    for steps in job.tuned:
        tuning = config.model_copy(update={"finetune": config.finetune.model_copy(update={"steps": steps})})
        out = folder.with_name(f"{folder.name}-tuned-{steps}")
        tuned = finetune(
            encoder,
            experiment.labelled,
            tuning,
            out=out,
            resume=True,
            source=source,
            show_progress=False,
            progress=report,
        )
        assert isinstance(tuned.model, Classifier)
        answers = evaluate_classifier(tuned.model, experiment.labelled, tuning, source, progress=report)
        result = replace(result, tuned={**result.tuned, steps: correct(answers.probability, answers.label)})
    return result
