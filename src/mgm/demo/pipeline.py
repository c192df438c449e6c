"""The stages of the demo, one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mgm.data.annotations import VideoSet, load_set
from mgm.data.clips.source import ClipSource, left_out
from mgm.data.items import evenly_spaced
from mgm.demo.findings import Findings, metrics_of
from mgm.demo.measure import measure_masks, measure_reading_cost
from mgm.demo.page import write_page
from mgm.demo.plan import (
    LABELS,
    OWN_SETTINGS,
    SYNTHETIC,
    SYNTHETIC_SETTINGS,
    TaskName,
    own_jobs,
    synthetic_jobs,
    too_few_to_probe,
)
from mgm.demo.systems import Experiment, Line, run_jobs
from mgm.errors import DataError, VideoError
from mgm.evaluation.raw_motion import probe_raw_motion
from mgm.files.atomic import make_folder
from mgm.files.json_text import json_document
from mgm.files.lock import locked
from mgm.show.preview import PreviewSettings
from mgm.show.preview_set import preview
from mgm.terminal import Activity, Terminal
from mgm.training import Config, load_autoencoder, load_config
from mgm.training.run import open_source
from mgm.video.scan.find import find_videos
from mgm.video.scan.folder import ScanReport, scan_videos
from mgm.video.scan.suffixes import VIDEO_SUFFIXES

PREVIEWS = 10
RUNS = "demo-runs"
"""Folder of the demo's own runs, which the next demo replaces: an unusual name, to spare others."""
MEMORY = 2 * 2**30
"""Largest size of decoded videos in memory, in bytes; a larger folder is decoded again for every clip."""


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
    task: TaskName = "headings",
    seed: int = 0,
    overrides: tuple[str, ...] = (),
    processes: int = 1,
) -> DemoResult:
    """Scan, preview, pretrain a tiny model with `mgm` masking, compare it, and write `report.html` and `metrics.json`.

    Args:
        data: a set of videos, see `mgm.load_set`; labels are used for evaluation. None: synthetic videos in `out/TASK-SEED`.
        out: a folder; results of an earlier demo are replaced, its synthetic videos reused.
        task: of the synthetic videos, see `mgm.data.synthetic.labelled`.
        overrides: settings of the recipe `debug`, `key=value`.
        processes: of the scan and of the comparison; above 1 only under `if __name__ == "__main__":`.

    Raises:
        DataError: no video in the folder can be used. Single bad ones are skipped and listed.
        FileError: another demo uses `out`.
    """
    folder = Path(out)
    make_folder(folder)
    with locked(folder, advice="wait for it to end, or choose another folder"):
        return _run_stages(data, folder, task, seed, overrides, processes)


def _run_stages(
    data: str | Path | None, folder: Path, task: TaskName, seed: int, overrides: tuple[str, ...], processes: int
) -> DemoResult:
    console = Terminal()
    clock = _Clock(console)
    synthetic = data is None
    place = str(folder / f"{task}-{seed}" if data is None else data)
    if synthetic:
        with clock.stage("make videos"), Activity("making videos") as activity:
            SYNTHETIC[task].make(place, seed=seed, progress=activity.reach)
    with clock.stage("scan"):
        videos, report = _scan(place, processes)
    console.print(
        f"{len(report)} files: {len(report.readable)} readable, {len(report.with_motion)} with motion vectors; "
        f"{len(videos.train)} for training, {len(videos.test)} for testing, {len(videos.classes)} classes"
    )
    settings = SYNTHETIC_SETTINGS if synthetic else OWN_SETTINGS
    config = load_config("debug", (f"data.memory={str(_fits(report)).lower()}", f"seed={seed}", *settings, *overrides))
    command = "mgm demo" + (f" --data {data}" if data is not None else "" if task == "headings" else f" --task {task}")
    found = Findings(folder, config, synthetic, place, command, report, videos, videos, clock.seconds)
    with clock.stage("preview masks"):
        _preview(found)
    with clock.stage("read videos"):
        items, source = open_source(videos.items, config, motion=True, source=None, show_progress=True)
        found.videos = videos = videos.only(item.path for item in items)
        found.labelled = videos.with_few_labels(LABELS, seed=seed) if synthetic else videos
        found.unreadable.update(left_out(source))
    with clock.stage("measure masks and reading"), Activity("measuring masks and reading"):
        found.masks = measure_masks(videos.test or videos.train, source, config)
        found.reading = measure_reading_cost(evenly_spaced([item.path for item in videos.items], PREVIEWS), config)
    with clock.stage("pretrain and compare"):
        _compare(found, source, processes)
    with clock.stage("write report"), Activity("writing the report"):
        path = write_page(found, source)
        metrics = metrics_of(found)
        (folder / "metrics.json").write_bytes(json_document(metrics))
    _print_summary(found, console)
    console.print_line(f"report: {path.resolve()}")
    return DemoResult(path, metrics, place)


def _scan(place: str, processes: int) -> tuple[VideoSet, ScanReport]:
    """The usable videos, and the records of all."""
    with Activity("scanning videos") as activity:
        videos = load_set(place)
        files = _to_scan(place, videos)
        activity.reach(0, len(find_videos(files)))
        report = scan_videos(*files, processes=processes, progress=activity.advance)
    return _usable(videos, report), report


def _preview(found: Findings) -> None:
    folder, videos = found.out / "previews", found.videos
    _clear(folder)
    settings = preview_settings(found.config, synthetic=found.synthetic)
    chosen = evenly_spaced(videos.test or videos.train, PREVIEWS)
    with Activity("previewing masks", total=len(chosen)) as activity:
        for number, item in enumerate(chosen):
            numbered = replace(settings, seed=settings.seed + number)  # else clips of one length would share a mask
            try:
                made = preview([item.path], out=folder, settings=numbered, moving=False)
            except VideoError as error:
                found.unreadable[item.path] = str(error)
            else:
                found.previews += [result.preview for result in made]
            activity.advance()


def _compare(found: Findings, source: ClipSource, processes: int) -> None:
    """Train and evaluate the systems, and the rival on raw motion."""
    _clear(found.out / RUNS)
    found.unprobed = None if found.synthetic else too_few_to_probe(found.labelled)
    probed = found.unprobed is None
    jobs = synthetic_jobs() if found.synthetic else own_jobs(found.config, probed=probed)
    experiment = Experiment(found.videos, found.labelled, found.config, source, found.out / RUNS)
    with Activity("starting") as activity:
        doing: dict[str, str] = {}

        def report(line: Line) -> None:
            """Show the latest line of every system."""
            system, text = line
            doing[system] = text
            activity.rename("; ".join(f"{name}: {text}" for name, text in doing.items()))

        found.results = run_jobs(jobs, experiment, processes=processes, report=report)
        found.main = jobs[0].system.name
        run = found.results[found.main].run
        assert run is not None  # the first system is a pretrained one
        found.model = load_autoencoder(run)
        for result in found.results.values():
            found.unreadable.update(result.unreadable)
        if probed:
            activity.rename("probing raw motion")
            found.rival = probe_raw_motion(found.labelled, found.config, source)


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


def _print_summary(found: Findings, console: Terminal) -> None:
    for measure in found.masks:
        covered = "" if measure.objects is None else f"{measure.objects:.0%} of the moving object, "
        console.print(f"{measure.name} hides {covered}{_share(measure.motion)} of the motion")
    if found.unprobed is not None:
        console.print_line(f"not probed: {found.unprobed.statement}")
    for way, systems in found.accuracies().items():
        values = ", ".join(f"{name} {value.top1:.1%}" for name, value in systems.items())
        console.print(f"{way}: {values}", highlight=False)
    for c in found.comparisons:
        console.print(f"{c.name}, {found.main} against untrained: {c.gain.value * 100:+.1f} points, {c.verdict}")


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
