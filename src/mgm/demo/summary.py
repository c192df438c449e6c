"""The first screen of the demo's report: a verdict in words, and the numbers beside it."""

from __future__ import annotations

from mgm.demo.findings import Findings
from mgm.demo.plan import PIXELS
from mgm.show.report.elements import Tone
from mgm.show.report.facts import VERDICT_TONES, Headline


def verdict_of(found: Findings) -> tuple[str, Tone]:
    """What was measured with certainty first; then the comparison, unless it is within noise on a user's own videos."""
    certain = f"{_hidden(found)}{_reading(found)}{_explained(found)}"
    first = next(iter(found.comparisons), None)
    if first is None or (first.verdict in ("within noise", "not above chance") and not found.synthetic):
        return certain.strip(), "neutral"
    words = (
        f"The {first.name} reads the {'motion' if found.synthetic else 'class'} from frozen features with "
        f"{first.pretrained.top1:.0%} accuracy after pretraining on {len(found.videos.train):,} unlabelled videos, with "
        f"{first.untrained.top1:.0%} before: {first.gain.value * 100:+.0f} points, "
    )
    words += {"gain": "a clear gain. ", "loss": "a clear loss. "}.get(first.verdict, f"{first.verdict}. ")
    return (words + _credit(found) + certain).strip(), VERDICT_TONES[first.verdict]


def _credit(found: Findings) -> str:
    """Which part of the method the gain on synthetic videos comes from."""
    first = found.comparisons[0]
    pixels = found.accuracies()[first.name].get(PIXELS.name)
    if pixels is None or first.verdict != "gain":
        return ""
    return (
        "The gain comes from the target, the motion in the stream, not from the mask: with the same mask, pixels alone "
        f"reach {pixels.top1:.0%} in as many steps. "
    )


def _hidden(found: Findings) -> str:
    shares = {m.name: m.motion if m.objects is None else m.objects for m in found.masks}
    what = "moving object" if any(m.objects is not None for m in found.masks) else "motion"
    mgm, tube = shares.get("mgm"), shares.get("tube")
    return "" if mgm is None or tube is None else f"The mask hid {mgm:.0%} of the {what}, tube masking {tube:.0%}. "


def _reading(found: Findings) -> str:
    reading = found.reading
    return (
        "" if reading is None else f"Reading a clip with its motion took {reading.ratio:.2f} times as long as without. "
    )


def _explained(found: Findings) -> str:
    if found.config.model.target != "normalised-pixels" or found.synthetic:
        return ""
    share = max(1 - found.history.final_loss, 0.0)
    return f"The model learned to predict {share:.0%} of the structure inside the hidden patches."


def headlines_of(found: Findings) -> tuple[Headline, ...]:
    """The numbers of the first screen; a probe is among them unless its result on a user's videos is within noise."""
    numbers = []
    for c in found.comparisons[:1]:
        if found.synthetic or c.verdict in ("gain", "loss"):
            note = f"untrained {c.untrained.top1:.0%}, chance {found.chance:.0%}"
            numbers.append(Headline(f"{c.pretrained.top1:.0%}", c.name, note))
    by_name = {m.name: m for m in found.masks}
    if "mgm" in by_name and "tube" in by_name:
        mgm, tube = by_name["mgm"], by_name["tube"]
        if mgm.objects is not None and tube.objects is not None:
            numbers.append(
                Headline(f"{mgm.objects:.0%}", "of the moving object hidden by mgm", f"tube {tube.objects:.0%}")
            )
        elif mgm.motion is not None and tube.motion is not None:
            numbers.append(Headline(f"{mgm.motion:.0%}", "of the motion hidden by mgm", f"tube {tube.motion:.0%}"))
    if found.reading is not None:
        ratio, note = found.reading.ratio, f"{found.reading.seconds * 1000:.0f} ms per clip"
        numbers.append(Headline(f"{ratio:.2f} x", "time of reading with motion / without", note))
    numbers.append(Headline(f"{sum(found.seconds.values()):.0f} s", "for everything", f"{len(found.scan)} files"))
    return tuple(numbers)
