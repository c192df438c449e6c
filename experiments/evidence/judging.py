"""What judges an encoder: the probes of the recipe, and fine-tuning with few labels."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from cells import Cell, Hits
from sets import Judged

from mgm.evaluation.multi_view import evaluate_classifier
from mgm.evaluation.probing import probe_encoder
from mgm.models import Encoder
from mgm.training import load_config
from mgm.training.checkpoint import load_classifier
from mgm.training.finetune import finetune


@dataclass(frozen=True)
class Judges:
    """Which judges an experiment asks.

    Attributes:
        tuned_steps: of fine-tuning after the probes; 0: probes alone.
    """

    tuned_steps: int = 0

    @property
    def fine_tuning(self) -> str:
        """Its name in tables."""
        return f"fine-tuned, {self.tuned_steps} steps"

    def are_whole(self, found: Cell | None, judged: Judged) -> bool:
        """Whether a cell is kept with all judged sets and judges. Where one was added, the finished run is judged again."""
        return found is not None and all(
            name in found.hits and (not self.tuned_steps or self.fine_tuning in found.hits[name])
            for name in judged.labels
        )

    def ask(self, encoder: Encoder, judged: Judged, settings: list[str], seed: int, folder: Path) -> dict[str, Hits]:
        """Name of the judged set -> hits. `folder` is used while a classifier is trained."""
        config = load_config(judged.recipe, settings)
        found = {}
        for name, videos in judged.labelled(seed).items():
            found[name] = dict(probe_encoder(encoder, videos, config, judged.source).hits)
            if self.tuned_steps:
                tuned = load_config(judged.recipe, [*settings, f"finetune.steps={self.tuned_steps}"])
                shutil.rmtree(folder, ignore_errors=True)
                finetune(encoder, videos, tuned, out=folder, source=judged.source, show_progress=False)
                answers = evaluate_classifier(load_classifier(folder)[0], videos, tuned, judged.source)
                found[name][self.fine_tuning] = answers.probability.argmax(1) == answers.label
                shutil.rmtree(folder)
        return found
