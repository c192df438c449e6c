"""Facts of a run: machine, files, masks, probes. `sections` turns them into parts of a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mgm.evaluation.metrics import Verdict
from mgm.show.report.elements import Estimate, Tone

VERDICT_TONES: Final[Mapping[Verdict, Tone]] = {
    "gain": "good",
    "loss": "bad",
    "within noise": "neutral",
    "not above chance": "neutral",
}


@dataclass(frozen=True)
class Headline:
    """One of the few numbers of the first screen, such as ("82.4%", "attentive probe", "chance 12.5%")."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class RunFacts:
    """Command, machine and settings of the run. Empty fields are omitted."""

    machine: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    seed: int | None = None
    stages: tuple[tuple[str, float], ...] = ()
    """Names of the stages and the seconds each took."""
    command: str = ""
    more: tuple[tuple[str, str], ...] = ()
    """Further names and values."""


@dataclass(frozen=True)
class DataFacts:
    """The files of the run: found = read + failed."""

    found: int
    read: int
    failed: int
    place: str = ""
    failures: tuple[str, ...] = ()
    """One line for each file that could not be used."""
    more: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class MaskRow:
    """One mask measured over the clips; shares are 0 to 1, None = not measured (no boxes, no motion)."""

    name: str
    object_covered: float | None
    """Share of the moving object (its true boxes) that is hidden from the encoder."""
    motion_masked: float | None
    """Share of the motion energy that is hidden from the encoder."""
    step_iou: float | None
    """Mean intersection over union of the masks of consecutive steps: 1 for a static mask."""
    fallbacks: int | None
    """Steps without motion to follow."""


@dataclass(frozen=True)
class MaskFacts:
    """Masks side by side on the same clips."""

    rows: tuple[MaskRow, ...]
    ratio: float
    """Share of masked tokens; a mask independent of the content hides this share of anything."""
    clips: int
    steps: int | None = None
    """Steps of all clips together, the total of `fallbacks`."""
    subject: str = "mgm"
    """The name of the row that the run is about."""


@dataclass(frozen=True)
class ProbeResult:
    """One way to evaluate: top-1 of each system, and the paired difference of the first one to the baseline."""

    name: str
    estimates: tuple[Estimate | None, ...]
    """In the order of `ProbeFacts.systems`; None if not measured."""
    difference: Estimate | None = None
    """On the same clips, with its own (paired) interval."""
    verdict: Verdict | None = None
    """The word of `mgm.evaluation.metrics.verdict` on the difference."""


@dataclass(frozen=True)
class ProbeFacts:
    """What systems reach with labels. Without labels `results` is empty and `absent` contains the reason."""

    systems: tuple[str, ...] = ()
    """Their names; the first is the one that the page is about."""
    results: tuple[ProbeResult, ...] = ()
    baseline: str = "untrained"
    """The system that the first one is compared with."""
    chance: float | None = None
    clips: int | None = None
    """Test clips."""
    classes: int | None = None
    lead: str = ""
    """What is compared, in a sentence."""
    absent: str = ""
    note: str = ""
