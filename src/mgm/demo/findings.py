"""Results of the demo's stages, for the page and metrics.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mgm.data.annotations import VideoSet
from mgm.demo.measure import MaskMeasure
from mgm.evaluation.probing import Comparison
from mgm.models import MaskedAutoencoder
from mgm.show.machine import machine, versions
from mgm.show.preview import Preview
from mgm.training import Config
from mgm.training.log import RunHistory
from mgm.video.scan.folder import ScanReport


@dataclass(slots=True)
class Findings:
    """Results of the stages so far."""

    out: Path
    config: Config
    synthetic: bool
    place: str
    command: str
    scan: ScanReport
    videos: VideoSet
    seconds: dict[str, float] = field(default_factory=dict)
    previews: list[Preview] = field(default_factory=list)
    masks: list[MaskMeasure] = field(default_factory=list)
    history: RunHistory = field(default_factory=RunHistory)
    model: MaskedAutoencoder | None = None
    comparisons: list[Comparison] = field(default_factory=list)
    chance: float | None = None
    unreadable: dict[str, str] = field(default_factory=dict)


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
            "problems": {r.path: r.problem for r in found.scan.problems} | found.history.bad | found.unreadable,
        },
        "videos": {
            "train": len(found.videos.train),
            "test": len(found.videos.test),
            "classes": list(found.videos.classes),
        },
        "masks": {m.name: m.to_dict() for m in found.masks},
        "pretrain": {
            "steps": len(losses),
            "clips per second": round(len(losses) * found.config.pretrain.batch / max(found.history.seconds, 1e-9), 1),
            "first loss": losses[0],
            "last loss": sum(losses[-20:]) / len(losses[-20:]),
        },
        "chance": found.chance,
        "probes": {c.name: c.to_dict() for c in found.comparisons},
        "config": found.config.model_dump(mode="json"),
    }
