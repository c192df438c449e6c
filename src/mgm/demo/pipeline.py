"""The stages of the demo, one after the other."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mgm.data.annotations import VideoSet, load_set
from mgm.data.clips.source import ClipSource, MemorySource
from mgm.data.items import evenly_spaced
from mgm.data.judging import unprobeable
from mgm.data.synthetic.labelled import make_dataset
from mgm.demo.findings import Findings, metrics_of
from mgm.demo.measure import measure_masks
from mgm.demo.page import write_page
from mgm.errors import DataError, VideoError
from mgm.evaluation.metrics import Accuracy
from mgm.evaluation.probing import compare, probe_encoder, untrained_encoder
from mgm.models import MaskedAutoencoder
from mgm.show.preview import PreviewSettings, preview
from mgm.terminal import Activity, Terminal
from mgm.training import Config, load_config
from mgm.training.pretrain import pretrain
from mgm.training.run import open_source
from mgm.video.scan.find import VIDEO_SUFFIXES, find_videos
from mgm.video.scan.folder import ScanReport, scan_videos

TRAIN_CLIPS, TEST_CLIPS, CLIP_FRAMES = 1280, 256, 16
PREVIEWS = 10
STEPS = "pretrain.steps=700"
RUN = "demo-run"
"""Folder of the demo's own run, which the next demo replaces: an unusual name, to spare other runs."""
MEMORY = 2 * 2**30
"""Largest size of decoded videos in memory, in bytes; a larger folder is decoded again for every clip."""

REAL_VIDEO = ("data.stride=4", "data.flip=true", "data.crop=multiscale", "data.memory_side=64")
"""Settings for real video; synthetic clips are short, and mirroring changes their class."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Path of the report, its figures, and the set."""

    report: Path
    metrics: dict[str, Any]
    data: str


def run_demo(
    data: str | Path | None = None,
    *,
    out: str | Path = "mgm-demo",
    seed: int = 0,
    overrides: tuple[str, ...] = (),
    processes: int = 1,
) -> DemoResult:
    """Scan, preview, pretrain a tiny model with `mgm` masking, evaluate it, and write `report.html` and `metrics.json`.

    Args:
        data: a set of videos, see `mgm.load_set`; labels are used for evaluation. None: labelled synthetic
            videos in `out/videos-SEED`.
        out: a folder; results of an earlier demo are replaced, its synthetic videos reused.
        overrides: settings of the recipe `debug`, `key=value`.
        processes: for the scan; above 1 only under `if __name__ == "__main__":`.

    Raises:
        DataError: no video in the folder can be used. Single bad ones are skipped and listed.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    console = Terminal()
    clock = _Clock(console)
    place = str(folder / f"videos-{seed}" if data is None else data)
    overrides = (f"seed={seed}", STEPS, *(REAL_VIDEO if data is not None else ()), *overrides)
    if data is None:
        with clock.stage("make videos"), Activity("making videos") as activity:
            make_dataset(
                place,
                train=TRAIN_CLIPS,
                test=TEST_CLIPS,
                frames=CLIP_FRAMES,
                pan=0.25,
                seed=seed,
                progress=activity.reach,
            )
    with clock.stage("scan"), Activity("scanning videos") as activity:
        videos = load_set(place)
        files = _to_scan(place, videos)
        activity.reach(0, len(find_videos(files)))
        report = scan_videos(*files, processes=processes, progress=activity.advance)
    videos = _usable(videos, report)
    config = load_config("debug", (f"data.memory={str(_fits(report)).lower()}", *overrides))
    command = "mgm demo" + (f" --data {data}" if data is not None else "")
    found = Findings(folder, config, data is None, place, command, report, videos, clock.seconds)
    console.print(
        f"{len(report)} files: {len(report.readable)} readable, {len(report.with_motion)} with motion vectors; "
        f"{len(videos.train)} for training, {len(videos.test)} for testing, {len(videos.classes)} classes"
    )
    with clock.stage("preview masks"), Activity("previewing masks") as activity:
        _clear(folder / "previews")
        chosen = evenly_spaced([item.path for item in (videos.test or videos.train)], PREVIEWS)
        settings = preview_settings(config, synthetic=data is None)
        for number, video in enumerate(chosen):
            activity.reach(number, len(chosen))
            try:
                numbered = replace(settings, seed=settings.seed + number)  # else clips of one length would share a mask
                found.previews += [
                    made.preview for made in preview([video], out=folder / "previews", settings=numbered, moving=False)
                ]
            except VideoError as error:
                found.unreadable[video] = str(error)
    with clock.stage("read videos"):
        items, source = open_source(videos.items, config, motion=True, source=None, show_progress=True)
        found.videos = videos = videos.only(item.path for item in items)
        found.unreadable.update(source.unreadable if isinstance(source, MemorySource) else {})
    with clock.stage("measure masks"), Activity("measuring masks"):
        found.masks = measure_masks(videos.test or videos.train, source, config)
    with clock.stage("pretrain"):
        _clear(folder / RUN)
        outcome = pretrain(videos, config, out=folder / RUN, source=source)
        assert isinstance(outcome.model, MaskedAutoencoder)
        found.history, found.model = outcome.history, outcome.model
    if unprobeable(videos) is None:
        with clock.stage("probe"):
            _evaluate(found, source)
    with clock.stage("write report"), Activity("writing the report"):
        path = write_page(found, source)
        metrics = metrics_of(found)
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    _print_summary(found, console)
    console.print_line(f"report: {path.resolve()}")
    return DemoResult(path, metrics, place)


def preview_settings(config: Config, *, synthetic: bool) -> PreviewSettings:
    """Synthetic clips are shown with the token grid that the tiny model sees, enlarged; real ones with the paper's 8 x 14 x 14."""
    options = {"mgm": config.mask.options} if config.mask.name == "mgm" else {}
    if not synthetic:
        return PreviewSettings(masks=("mgm", "tube"), options=options, ratio=config.mask.ratio, seed=config.seed)
    enlarged = 3
    return PreviewSettings(
        frames=config.data.frames,
        stride=config.data.stride,
        size=config.data.size * enlarged,
        patch=config.model.patch * enlarged,
        tubelet=config.model.tubelet,
        ratio=config.mask.ratio,
        masks=("mgm", "tube"),
        options=options,
        seed=config.seed,
    )


def _to_scan(place: str, videos: VideoSet) -> list[str]:
    """The folder of a set, or its video files: still pictures and folders of frames have no stream."""
    if Path(place).is_dir() and all(Path(item.path).is_relative_to(place) for item in videos.items):
        return [place]
    files = dict.fromkeys(item.path for item in videos.items if Path(item.path).suffix.lower() in VIDEO_SUFFIXES)
    if not files:
        raise DataError(
            place,
            "contains no video",
            "at least one",
            "the demo needs motion vectors, which pictures lack",
            reason="not_found",
        )
    return list(files)


def _usable(videos: VideoSet, report: ScanReport) -> VideoSet:
    usable = videos.only(record.path for record in report.with_motion)
    if not usable.train:
        reasons = [r.problem or f"{r.path}: no frame has motion vectors" for r in report][:3]
        raise DataError(
            videos.root,
            f"none of {len(report)} files can be used",
            "at least one with motion vectors (H.264, MPEG-4)",
            "the first: " + " | ".join(reasons),
            reason="not_found",
        )
    return usable


def _fits(report: ScanReport) -> bool:
    """Whether all videos, small, fit into `MEMORY`: 64 px on the shorter side, plus 9 bytes per 8-px cell of motion."""
    total = 0.0
    for record in report.with_motion:
        height, width = record.height or 0, record.width or 0
        pixels = 64 * 64 * max(height, width) / max(min(height, width), 1) * 3
        total += (record.frames or 0) * (pixels + 9 * height * width / 64)
    return total < MEMORY


def _evaluate(found: Findings, source: ClipSource) -> None:
    assert found.model is not None
    with Activity("evaluating the pretrained encoder") as activity:
        trained = probe_encoder(
            found.model.encoder,
            found.videos,
            found.config,
            source,
            progress=lambda t: activity.rename(f"pretrained: {t}"),
        )
        before = probe_encoder(
            untrained_encoder(found.config),
            found.videos,
            found.config,
            source,
            progress=lambda t: activity.rename(f"untrained: {t}"),
        )
    found.comparisons = compare(trained, before)
    found.chance = trained.chance
    found.unreadable.update(trained.unreadable)


def _print_summary(found: Findings, console: Terminal) -> None:
    for measure in found.masks:
        covered = "" if measure.objects is None else f"{measure.objects:.0%} of the moving object, "
        console.print(f"{measure.name} hides {covered}{_share(measure.motion)} of the motion")
    for c in found.comparisons:
        console.print(
            f"{c.name}: {_percent(c.untrained)} untrained -> {_percent(c.pretrained)} pretrained: {c.verdict}"
        )


def _percent(value: Accuracy) -> str:
    return f"{value.top1:.1%}"


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.0%}"


def _clear(folder: Path) -> None:
    """Delete the content of a folder of an earlier demo."""
    for file in sorted(folder.rglob("*"), reverse=True):
        if file.is_dir():
            file.rmdir()
        else:
            file.unlink()


class _Clock:
    """Prints the stages and records the seconds of each."""

    def __init__(self, console: Terminal) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.console.print(name, style="bold")
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began
