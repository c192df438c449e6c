"""Results of the demo's stages, for the page and metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mgm.data.annotations import VideoSet
from mgm.demo.measure import MaskMeasure, ReadingCost
from mgm.demo.systems import SystemResult
from mgm.errors import MgmError
from mgm.evaluation.metrics import Accuracy, accuracy
from mgm.evaluation.probing import Comparison, Hits, ProbeScores, compare_probes
from mgm.machine import machine, versions
from mgm.models import MaskedAutoencoder
from mgm.show.preview import Preview
from mgm.training import Config
from mgm.training.log import RunHistory
from mgm.video.scan.folder import ScanReport

RAW_MOTION = "raw motion, no model"


@dataclass(slots=True)
class Findings:
    """Results of the stages so far.

    Attributes:
        videos: pretraining reads its training videos. labelled: the set of the probes, with fewer labels or the same.
        main: name of the system that the page is about. results: by the name of the system.
        rival: probes on the motion vectors themselves.
        unprobed: why there are no probes.
    """

    out: Path
    config: Config
    synthetic: bool
    place: str
    command: str
    scan: ScanReport
    videos: VideoSet
    labelled: VideoSet
    seconds: dict[str, float] = field(default_factory=dict)
    previews: list[Preview] = field(default_factory=list)
    masks: list[MaskMeasure] = field(default_factory=list)
    reading: ReadingCost | None = None
    main: str = ""
    results: Mapping[str, SystemResult] = field(default_factory=dict)
    rival: ProbeScores | None = None
    unprobed: MgmError | None = None
    model: MaskedAutoencoder | None = None
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def history(self) -> RunHistory:
        """Of the pretraining that the page is about."""
        history = self.results[self.main].history
        assert history is not None
        return history

    @property
    def problems(self) -> dict[str, str]:
        """Path -> problem of every file that the scan, the pretraining or a later stage could not read."""
        scanned = {record.path: record.problem for record in self.scan.problems if record.problem}
        return scanned | self.history.bad | self.unreadable

    @property
    def comparisons(self) -> list[Comparison]:
        """The main system against the untrained one, probe by probe."""
        after, before = self.results[self.main].frozen, self.results.get("untrained")
        return [] if after is None or before is None or before.frozen is None else compare_probes(after, before.frozen)

    @property
    def chance(self) -> float | None:
        """Accuracy of guessing; None without labels."""
        return 1 / len(self.videos.classes) if self.videos.classes else None

    def accuracies(self) -> dict[str, dict[str, Accuracy]]:
        """Way of evaluation -> name of the system -> accuracy. Ways that a system was not evaluated in are missing there."""
        found: dict[str, dict[str, Hits]] = {}
        for name, result in self.results.items():
            for probe, hits in ({} if result.frozen is None else result.frozen.hits).items():
                found.setdefault(probe, {})[name] = hits
        for probe, hits in ({} if self.rival is None else self.rival.hits).items():
            found.setdefault(probe, {})[RAW_MOTION] = hits
        for name, result in self.results.items():
            for steps, hits in result.tuned.items():
                found.setdefault(f"fine-tuned, {steps} steps", {})[name] = hits
        return {way: {name: accuracy(hits) for name, hits in systems.items()} for way, systems in found.items()}


def metrics_of(found: Findings) -> dict[str, Any]:
    """The figures of the report, for metrics.json."""
    losses = found.history.losses
    return {
        "command": found.command,
        "machine": machine(),
        "versions": dict(versions()),
        "seed": found.config.seed,
        "seconds": {name: round(s, 2) for name, s in found.seconds.items()},
        "files": {
            "found": len(found.scan),
            "readable": len(found.scan.readable),
            "with motion vectors": len(found.scan.with_motion),
            "problems": found.problems,
        },
        "videos": {
            "train": len(found.videos.train),
            "labelled": len(found.labelled.train),
            "test": len(found.videos.test),
            "classes": list(found.videos.classes),
        },
        "masks": {m.name: m.to_dict() for m in found.masks},
        "reading": None if found.reading is None else found.reading.to_dict(),
        "pretrain": {
            "steps": len(losses),
            "clips per second": round(len(losses) * found.config.pretrain.batch / max(found.history.seconds, 1e-9), 1),
            "first loss": losses[0],
            "last loss": found.history.final_loss,
        },
        "chance": found.chance,
        "probes": {c.name: c.to_dict() for c in found.comparisons},
        "systems": {
            way: {name: value.to_dict() for name, value in systems.items()}
            for way, systems in found.accuracies().items()
        },
        "config": found.config.model_dump(mode="json"),
    }
