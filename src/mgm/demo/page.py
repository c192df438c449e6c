"""The demo's report: pictures and text from its findings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from mgm.data.annotations import VideoItem
from mgm.data.clips.sampling import view_starts
from mgm.data.clips.source import ClipSource
from mgm.data.clips.transform import centre_crop
from mgm.data.items import evenly_spaced
from mgm.data.judging import unprobeable
from mgm.demo.findings import Findings
from mgm.errors import VideoError
from mgm.masks import mask_rng
from mgm.models import MaskedAutoencoder
from mgm.show.figures import RgbFrames, paint_mask, reconstruction
from mgm.show.filmstrip import animate, motion_legend, strip
from mgm.show.machine import machine, versions
from mgm.show.preview import motion_picture
from mgm.show.report.elements import Animation, Code, Curve, Estimate, PageSection, Strip, Text, Tone
from mgm.show.report.facts import (
    VERDICT_TONES,
    DataFacts,
    Headline,
    MaskFacts,
    MaskRow,
    ProbeFacts,
    ProbeResult,
    RunFacts,
)
from mgm.show.report.report import Report, write_report
from mgm.training import Config

RECONSTRUCTIONS = 3


def write_page(found: Findings, source: ClipSource) -> Path:
    """Write `report.html` into the demo's folder and return its path."""
    path = found.out / "report.html"
    summary, tone = _verdict(found)
    report = Report(
        title="Motion-guided masking, from video to representation",
        summary=summary,
        tone=tone,
        made=f"mgm demo, {datetime.now(UTC):%d %B %Y}",
        headlines=_headlines(found),
        preview=_first_picture(found, source),
        sections=(_previews(found), *_reconstructions(found, source)),
        masks=_masks(found),
        losses=(Curve("loss", tuple(range(1, len(found.history.losses) + 1)), tuple(found.history.losses)),),
        loss_note=_loss_note(found),
        probes=_probes(found),
        data=_data(found),
        run=RunFacts(
            machine=machine(),
            versions=versions(),
            seed=found.config.seed,
            stages=tuple(found.seconds.items()),
            command=found.command,
            more=(("model", _model_words(found.config)),),
        ),
        appendix=(_next_steps(found),),
        notes=_notes(found),
    )
    write_report(path, report)
    return path


def _verdict(found: Findings) -> tuple[str, Tone]:
    """The measured facts first, then the result of the first probe, good or bad."""
    certain = _certain(found)
    error = unprobeable(found.videos)
    if error is not None:
        return f"{certain} The representation cannot be evaluated: {error.statement}.", "neutral"
    first = found.comparisons[0]
    words = (
        f"{certain} The {first.name} reads the {'motion' if found.synthetic else 'class'} from its frozen features at "
        f"{first.pretrained.top1:.0%}, from those of the same model untrained at {first.untrained.top1:.0%}: "
    )
    reason = ": a run this short does not learn the features that the probe needs" if first.verdict == "loss" else ""
    points = f"{first.gain.value * 100:+.0f} points"
    return f"{words}{points}, {first.verdict}{reason}.", VERDICT_TONES[first.verdict]


def _certain(found: Findings) -> str:
    shares = {m.name: m.motion if m.objects is None else m.objects for m in found.masks}
    what = "moving object" if any(m.objects is not None for m in found.masks) else "motion"
    mgm, tube = shares.get("mgm"), shares.get("tube")
    hidden = "" if mgm is None or tube is None else f"The mask hid {mgm:.0%} of the {what}, tube masking {tube:.0%}. "
    explained = max(1 - float(np.mean(found.history.losses[-20:])), 0.0)
    return (
        f"{hidden}A tiny model learned from {len(found.videos.train):,} videos to predict {explained:.0%} of the structure "
        "inside the hidden patches."
    )


def _headlines(found: Findings) -> tuple[Headline, ...]:
    numbers = []
    by_name = {m.name: m for m in found.masks}
    if "mgm" in by_name and "tube" in by_name:
        mgm, tube = by_name["mgm"], by_name["tube"]
        if mgm.objects is not None and tube.objects is not None:
            numbers.append(
                Headline(f"{mgm.objects:.0%}", "of the moving object hidden by mgm", f"tube {tube.objects:.0%}")
            )
        elif mgm.motion is not None and tube.motion is not None:
            numbers.append(Headline(f"{mgm.motion:.0%}", "of the motion hidden by mgm", f"tube {tube.motion:.0%}"))
    for c in found.comparisons[:1]:
        numbers.append(
            Headline(f"{c.pretrained.top1:.0%}", c.name, f"untrained {c.untrained.top1:.0%}, chance {found.chance:.0%}")
        )
    losses = found.history.losses
    numbers.append(
        Headline(f"{np.mean(losses[-20:]):.3f}", "loss at the end", f"from {losses[0]:.3f}, {len(losses)} steps")
    )
    numbers.append(Headline(f"{sum(found.seconds.values()):.0f} s", "for everything", f"{len(found.scan)} files"))
    return tuple(numbers)


def _first_picture(found: Findings, source: ClipSource) -> Animation | None:
    if not found.previews:
        return None
    best = max(found.previews, key=lambda p: p.statistics["mgm"].motion_share or 0.0)
    rows = [(name, frames) for name, frames in best.rows() if name != "tube"]
    return animate(
        rows,
        fps=6,
        alt="A clip, its motion from the compressed stream, and the mask that follows the motion, side by side",
        caption=(
            f"{Path(best.clip.path).name}: the frames, the motion vectors that the video's encoder left in the file, "
            "and the mask."
        ),
        legend=motion_legend(best.full_scale),
    )


def _previews(found: Findings) -> PageSection:
    parts: list[Strip | Text] = []
    for shown in evenly_spaced(found.previews, 4):
        numbers = ", ".join(
            f"{name} hides {s.motion_share:.0%} of the motion"
            + (f" and {s.object_share:.0%} of the object" if s.object_share is not None else "")
            for name, s in shown.statistics.items()
            if s.motion_share is not None
        )
        parts.append(
            shown.strip(caption=f"{Path(shown.clip.path).name}: {numbers}.", legend=motion_legend(shown.full_scale))
        )
    where = f"All {len(found.previews)} previews are in {found.out / 'previews'}."
    boxes = (
        " The thin boxes are the true ones; the mask does not use them."
        if found.previews and found.previews[0].boxes
        else ""
    )
    lead = (
        "Frames, the motion in the stream, and two masks: mgm, a rectangle centred on the strongest "
        "motion of each step and topped "
        f"up at random where it hangs over the border, and tube, the same random tokens at every step.{boxes} {where}"
    )
    return PageSection("The mask on the clips", tuple(parts), lead=lead)


def _reconstructions(found: Findings, source: ClipSource) -> tuple[PageSection, ...]:
    assert found.model is not None
    if not found.model.objective.has_picture:  # a model that predicts motion or features has no picture
        return ()
    items = found.videos.test or found.videos.train
    parts = []
    for number, item in enumerate(evenly_spaced(items, RECONSTRUCTIONS)):
        try:
            parts.append(reconstruction_strip(found.model, item, source, found.config, number=number))
        except VideoError as error:
            found.unreadable[item.path] = str(error)
    lead = (
        "The tiny model's prediction of the hidden patches. The target leaves out brightness and contrast, so the picture "
        "takes them from the true patch: look at the structure inside the patches."
    )
    return (PageSection("Reconstruction", tuple(parts), lead=lead),)


def reconstruction_strip(
    model: MaskedAutoencoder, item: VideoItem, source: ClipSource, config: Config, *, number: int
) -> Strip:
    """Frames, motion, mask and reconstruction of the middle clip of a video at the model's size; `number` seeds the mask."""
    settings = config.clip_settings(motion=True)
    info = source.info(item.path)
    start = view_starts(info.frames, frames=settings.frames, stride=settings.stride, views=1)[0]
    frames, motion = source.clip(item.path, start, centre_crop(info.height, info.width, size=settings.size), settings)
    rule = config.mask_rule()
    mask = rule.mask.draw(rule.grid, rule.ratio, motion, mask_rng(config.seed, 0, number, 0))
    video = torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2)[None]
    predicted: RgbFrames = model.reconstruct(video, torch.from_numpy(mask.masked)[None])[0].permute(1, 2, 3, 0).numpy()
    original, sees, made = reconstruction(frames, predicted, mask.masked)
    rows = [original]
    if motion is not None:
        rows.append(("motion", motion_picture(motion, frames.shape[1:3])))
    rows += [("mask", paint_mask(frames, mask.masked)), sees, made]
    return strip(rows, caption=f"{Path(item.path).parent.name}/{Path(item.path).name}", cell_height=96)


def _masks(found: Findings) -> MaskFacts | None:
    if not found.masks:
        return None
    rows = tuple(MaskRow(m.name, m.objects, m.motion, m.overlap, m.fallbacks) for m in found.masks)
    return MaskFacts(rows, found.config.mask.ratio, clips=found.masks[0].clips, steps=found.masks[0].steps)


def _loss_note(found: Findings) -> str:
    return (
        "Mean squared error of the hidden patches, each normalised to mean 0 and variance 1: a constant prediction "
        "costs 1. The plateau just below 1 at the start is usual; the model learns structure when the curve leaves it."
    )


def _probes(found: Findings) -> ProbeFacts:
    error = unprobeable(found.videos)
    if error is not None:
        return ProbeFacts(absent=f"The representation cannot be evaluated. {error}.")
    results = tuple(
        ProbeResult(
            c.name,
            Estimate(c.pretrained.top1, c.pretrained.low, c.pretrained.high),
            Estimate(c.untrained.top1, c.untrained.low, c.untrained.high),
            Estimate(c.gain.value, c.gain.low, c.gain.high),
            c.verdict,
        )
        for c in found.comparisons
    )
    probe = found.config.probe
    note = (
        f"Frozen features; every test video is classified from up to {probe.temporal_views} temporal x "
        f"{probe.spatial_views} spatial views (a square video "
        f"has one crop). Split: {found.videos.split_rule}. Intervals are 95% over the test videos; they do not "
        f"include the choice of the seed."
    )
    return ProbeFacts(
        results, found.chance, clips=found.comparisons[0].pretrained.count, classes=len(found.videos.classes), note=note
    )


def _data(found: Findings) -> DataFacts:
    messages = {r.path: r.problem for r in found.scan.problems if r.problem} | found.history.bad | found.unreadable
    report = found.scan
    codecs = sorted({f"{r.codec} {r.width} x {r.height}" for r in report.readable})
    return DataFacts(
        found=len(report),
        read=len(report) - len(messages),
        failed=len(messages),
        place=found.place,
        failures=tuple(messages[path] for path in sorted(messages)),
        more=(
            ("formats", ", ".join(codecs[:6]) + (f" and {len(codecs) - 6} more" if len(codecs) > 6 else "")),
            ("frames", f"{sum(r.frames or 0 for r in report.readable):,}"),
            ("with B-frames", f"{sum(bool(r.b_frames) for r in report.readable)} files"),
            ("training, test", f"{len(found.videos.train)}, {len(found.videos.test)}"),
        ),
    )


def _next_steps(found: Findings) -> PageSection:
    run = found.out / "demo-run"
    data = found.config.data
    shape = f" --frames {data.frames} --stride {data.stride} --size 144 --patch 24" if found.synthetic else ""
    settings = (
        ""
        if found.synthetic
        else f" data.stride={data.stride} data.crop={data.crop} data.flip={str(data.flip).lower()}"
    )
    lines = [
        f"mgm preview {found.place} --masks all{shape}",
        f"mgm pretrain {found.place} --out runs/longer pretrain.steps=4000{settings}",
        f"mgm probe {run} {found.place}",
        f"mgm finetune {run} {found.place} --out runs/finetuned",
    ]
    return PageSection("Next steps", (Code("\n".join(lines)),), lead="Each stage of this page is a command of its own.")


def _notes(found: Findings) -> tuple[str, ...]:
    spec = found.config.model_spec()
    notes = [
        f"This is a demonstration at the smallest size that learns in minutes: {spec.frames} frames of "
        f"{found.config.data.size} pixels, one seed. It shows that "
        "each part works, not which mask is best: comparing masks needs each one's own ratio and at least three seeds.",
        "The tiny model uses a separable position embedding and starts its patch embedding as MAE does: from the reference's "
        "start a probe reads chance (docs/results.md). The sizes S, B, L and H follow the reference in both.",
    ]
    if found.synthetic:
        notes.append(
            "The videos are synthetic: the class is the motion of one object, independent of its appearance. They are real "
            "H.264 files, and the motion is that found by their encoder, not the drawn one."
        )
    if found.comparisons:
        notes.append(
            "Untrained is a strong baseline at this size: random weights keep all pixels, a token spans two "
            "frames, and a probe that selects tokens finds their motion. On the synthetic set it even wins under a longer "
            "probe (docs/results.md)."
        )
    return tuple(notes)


def _model_words(config: Config) -> str:
    spec = config.model_spec()
    return (
        f"{config.model.size}, {spec.frames} frames x stride {config.data.stride} at {config.data.size} px, patch "
        f"{spec.patch}, tubelet {spec.tubelet}, "
        f"{spec.tokens} tokens; mask {config.mask.name} at {config.mask.ratio:g}"
    )
