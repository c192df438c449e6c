"""The demo's report: pictures and text from its findings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from mgm.data.annotations import VideoItem
from mgm.data.clips.source import ClipSource
from mgm.data.items import evenly_spaced
from mgm.demo.findings import RAW_MOTION, Findings
from mgm.demo.plan import EQUAL_COMPUTE_STEPS
from mgm.demo.summary import headlines_of, verdict_of
from mgm.errors import VideoError
from mgm.evaluation.metrics import Accuracy
from mgm.evaluation.probing import Comparison
from mgm.machine import machine, versions
from mgm.models import MaskedAutoencoder
from mgm.show.figures import paint_mask, reconstruction
from mgm.show.filmstrip import animate, motion_legend, strip
from mgm.show.masked_clip import read_masked_clip
from mgm.show.preview import motion_picture
from mgm.show.report.elements import Animation, Code, Curve, Estimate, PageSection, Strip, Text
from mgm.show.report.facts import (
    DataFacts,
    MaskFacts,
    MaskRow,
    ProbeFacts,
    ProbeResult,
    RunFacts,
)
from mgm.show.report.report import Report, write_report
from mgm.training import Config, load_config

RECONSTRUCTIONS = 3
SMALL_GAIN = 0.05
"""A gain worth finding: for the number of test videos that it takes."""


def write_page(found: Findings, source: ClipSource) -> Path:
    """Write `report.html` into the demo's folder and return its path."""
    path = found.out / "report.html"
    summary, tone = verdict_of(found)
    report = Report(
        title="Motion-guided masking, from video to representation",
        summary=summary,
        tone=tone,
        made=f"mgm demo, {datetime.now(UTC):%d %B %Y}",
        headlines=headlines_of(found),
        preview=_first_picture(found, source),
        sections=(_previews(found), *_reconstructions(found, source)),
        masks=_masks(found),
        losses=_losses(found),
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
        "motion of each step and filled "
        f"up with random tokens where it extends beyond the border, and tube, the same random tokens at every step.{boxes} {where}"
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
    clip = read_masked_clip(item, source, config, number=number)
    original, sees, made = reconstruction(clip.frames, clip.reconstruct(model), clip.mask.masked)
    rows = [original]
    if clip.motion is not None:
        rows.append(("motion", motion_picture(clip.motion, clip.frames.shape[1:3])))
    rows += [("mask", paint_mask(clip.frames, clip.mask.masked)), sees, made]
    return strip(rows, caption=f"{Path(item.path).parent.name}/{Path(item.path).name}", cell_height=96)


def _masks(found: Findings) -> MaskFacts | None:
    if not found.masks:
        return None
    rows = tuple(MaskRow(m.name, m.objects, m.motion, m.overlap, m.fallbacks) for m in found.masks)
    return MaskFacts(rows, found.config.mask.ratio, clips=found.masks[0].clips, steps=found.masks[0].steps)


def _losses(found: Findings) -> tuple[Curve, ...]:
    curves = []
    for name, result in found.results.items():
        if result.history is not None:
            losses = result.history.losses
            curves.append(Curve(name, tuple(range(1, len(losses) + 1)), tuple(losses)))
    return tuple(curves)


def _loss_note(found: Findings) -> str:
    note = (
        "Mean squared error of the hidden patches, each normalised to mean 0 and variance 1: a constant prediction "
        "costs 1. The plateau just below 1 at the start is usual; the model learns structure when the curve leaves it."
    )
    if found.synthetic:
        return f"{note} With motion as a second target, the loss has its error, too, with a weight of 20."
    return note


def _probes(found: Findings) -> ProbeFacts:
    if found.unprobed is not None:
        return ProbeFacts(absent=f"{found.unprobed}.")
    table = found.accuracies()
    systems = [*found.results] + ([] if found.rival is None else [RAW_MOTION])
    compared = {c.name: c for c in found.comparisons}
    return ProbeFacts(
        tuple(systems),
        tuple(
            _evaluated(way, [values.get(name) for name in systems], compared.get(way)) for way, values in table.items()
        ),
        chance=found.chance,
        clips=len(found.videos.test),
        classes=len(found.videos.classes),
        lead=_lead(found),
        note=_note(found),
    )


def _evaluated(way: str, values: list[Accuracy | None], compared: Comparison | None) -> ProbeResult:
    estimates = tuple(None if v is None else Estimate(v.top1, v.low, v.high) for v in values)
    if compared is None:
        return ProbeResult(way, estimates)
    gain = compared.gain
    return ProbeResult(way, estimates, Estimate(gain.value, gain.low, gain.high), compared.verdict)


def _lead(found: Findings) -> str:
    if not found.synthetic:
        return "The encoder before and after pretraining, and the motion vectors themselves without a model:"
    return (
        f"All train on {len(found.labelled.train)} labelled videos; pretraining, with the mask mgm, sees "
        f"{len(found.videos.train):,} without labels:"
    )


def _note(found: Findings) -> str:
    probe = found.config.probe
    note = (
        f"Every test video is classified from up to {probe.temporal_views} temporal x {probe.spatial_views} spatial views "
        f"(a square video has one crop). Split: {found.videos.split_rule}. Intervals are 95% over the test videos; they do "
        "not include the choice of the seed."
    )
    if found.synthetic:
        return note + (
            f" The untrained model at {EQUAL_COMPUTE_STEPS} steps of fine-tuning has had as much compute as the pretrained ones. "
            "A classifier of the raw motion needs no model here, because the classes differ only in their motion."
        )
    return note + f" {_videos_for_a_gain(found)}"


def _videos_for_a_gain(found: Findings) -> str:
    """The number of test videos at which a small gain leaves the noise: the width of an interval falls with its square root."""
    gain = found.comparisons[0].gain
    half = (gain.high - gain.low) / 2
    videos = len(found.videos.test)
    needed = round(videos * (half / SMALL_GAIN) ** 2, -1)
    clips = len(found.history.losses) * found.config.pretrain.batch
    longer = load_config("laptop").pretrain
    return (
        f"With {videos:,} test videos a gain must exceed about {half * 100:.0f} points to differ from noise; one of "
        f"{SMALL_GAIN * 100:.0f} points takes about {needed:,.0f}. Pretraining saw {clips:,} clips here; the recipe laptop, which "
        f"showed a gain on real clips (docs/results.md), sees {(longer.steps or 0) * longer.batch:,}, and the paper's models see "
        "millions."
    )


def _data(found: Findings) -> DataFacts:
    messages, report = found.problems, found.scan
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
    run, data = found.results[found.main].run, found.config.data
    shape = f" --frames {data.frames} --stride {data.stride} --size 144 --patch 24" if found.synthetic else ""
    longer = (
        "pretrain.steps=4000 'model.target={normalised-pixels: 1, motion: 20}'"
        if found.synthetic
        else "--recipe laptop"
    )
    lines = [
        f"mgm preview {found.place} --masks all{shape}",
        f"mgm pretrain {found.place} --out runs/longer {longer}",
        f"mgm probe {run if found.synthetic else 'runs/longer'} {found.place}",
        f"mgm finetune {run} {found.place} --out runs/finetuned",
    ]
    return PageSection("Next steps", (Code("\n".join(lines)),), lead="Each stage of this page is a command of its own.")


def _notes(found: Findings) -> tuple[str, ...]:
    spec = found.config.model_spec()
    notes = [
        f"This is a demonstration at the smallest size that learns in minutes: {spec.frames} frames of "
        f"{found.config.data.size} pixels, one seed. It shows that "
        "each part works, not which mask is best: comparing masks needs each one's own ratio and at least three seeds.",
        "The tiny model uses a separable position embedding and initialises its patch embedding as MAE does: with VideoMAE's "
        "initialisation a run this short learns less (docs/results.md). The sizes S, B, L and H follow VideoMAE in both.",
    ]
    if found.synthetic:
        notes.append(
            "The videos are synthetic: the class is the motion of one object, independent of its appearance. They are real "
            "H.264 files, and the motion is that found by their encoder, not the drawn one."
        )
    return tuple(notes)


def _model_words(config: Config) -> str:
    spec = config.model_spec()
    return (
        f"{config.model.size}, {spec.frames} frames x stride {config.data.stride} at {config.data.size} px, patch "
        f"{spec.patch}, tubelet {spec.tubelet}, "
        f"{spec.tokens} tokens; mask {config.mask.name} at {config.mask.ratio:g}"
    )
