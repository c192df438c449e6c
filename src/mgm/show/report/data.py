"""What a run has to tell, as data: its machine, its files, its masks, its probes. `sections` puts it into words."""

from dataclasses import dataclass

from mgm.show.report.elements import Estimate, Tone


@dataclass(frozen=True)
class Headline:
    """One of the few numbers of the first screen, such as ("82.4%", "attentive probe", "chance 12.5%")."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class RunFacts:
    """How the run was made. What is empty is left out."""

    machine: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    seed: int | None = None
    stages: tuple[tuple[str, float], ...] = ()
    """Names of the stages and the seconds each took."""
    command: str = ""
    more: tuple[tuple[str, str], ...] = ()
    """Further names and values."""


@dataclass(frozen=True)
class Failure:
    """A file that could not be used: what was found in it, and what to do."""

    file: str
    found: str
    advice: str


@dataclass(frozen=True)
class DataFacts:
    """The files of the run. found = read + failed, counted by whoever read them."""

    found: int
    read: int
    failed: int
    place: str = ""
    failures: tuple[Failure, ...] = ()
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
    """Steps that had no motion to follow."""


@dataclass(frozen=True)
class MaskFacts:
    """Masks side by side on the same clips."""

    rows: tuple[MaskRow, ...]
    ratio: float
    """Share of the tokens that is masked; a mask that knows nothing hides that share of anything."""
    clips: int
    steps: int | None = None
    """Steps of all clips together: what the fallbacks are counted out of."""
    subject: str = "mgm"
    """The name of the row that the run is about."""


@dataclass(frozen=True)
class ProbeResult:
    """One way of asking what an encoder knows: top-1 before and after pretraining, and the paired difference."""

    name: str
    pretrained: Estimate
    untrained: Estimate | None = None
    difference: Estimate | None = None
    """pretrained - untrained on the same clips, with its own (paired) interval."""

    @property
    def verdict(self) -> tuple[str, Tone] | None:
        """Words and tone: a clear gain or loss when the difference's interval excludes zero; None without one."""
        if self.difference is None:
            return None
        if self.difference.low > 0:
            return "clear gain", "good"
        return ("clear loss", "bad") if self.difference.high < 0 else ("within noise", "neutral")


@dataclass(frozen=True)
class ProbeFacts:
    """The probes of a run, or why there are none: without labels `results` is empty and `absent` says so."""

    results: tuple[ProbeResult, ...] = ()
    chance: float | None = None
    clips: int | None = None
    """Test clips."""
    classes: int | None = None
    absent: str = ""
    note: str = ""
