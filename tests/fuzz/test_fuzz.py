"""The fuzzer writes the files that it names and detects planted failures; and a short run of it over the reader."""

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mgm.errors import VideoError
from tests.fuzz import headers, mutate
from tests.fuzz.examine import Outcome, Stage, examine
from tests.fuzz.run import Report, describe, fuzz
from tests.fuzz.sources import SOURCES, Case, draw_cases, make_sources

KEPT: list[Any] = []  # held by the planted leaks


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    make_sources(folder)
    return folder


@pytest.mark.parametrize(
    "name", ["h264_b.mp4", "h264.ts", "h264.mkv", "mpeg4_b.avi", "mpeg2.mpg", "av1.mp4", "rv10.rm"]
)
def test_a_mutation_is_told_by_its_seed(sources: Path, name: str):
    data, suffix = (sources / name).read_bytes(), Path(name).suffix
    other = (sources / "vp8.webm").read_bytes()
    for mutation in mutate.names(suffix):
        made = [mutate.mutate(data, suffix, mutation, seed, other=other) for seed in range(4)]
        assert made[2] == mutate.mutate(data, suffix, mutation, 2, other=other)
        # A programme or transport stream has no room for key flags, nor for times as its packets had them.
        assert any(d != data for d in made) or (
            suffix in (".mpg", ".ts") and mutation.startswith(("packets_keys", "times"))
        )


@pytest.mark.parametrize("name", [n for n in SOURCES if not n.endswith(".rm")])
def test_packets_that_nobody_edits_give_the_same_pictures(sources: Path, tmp_path: Path, name: str):
    path = tmp_path / name
    data = (sources / name).read_bytes()
    path.write_bytes(mutate.remuxed(data, path.suffix, lambda packets, rng: packets, np.random.default_rng(0)))
    assert _pictures(path) == _pictures(sources / name)


def _pictures(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


def test_the_parts_of_containers_are_found(sources: Path):
    mp4, mkv, avi = ((sources / n).read_bytes() for n in ("h264_b.mp4", "h264.mkv", "mpeg4_b.avi"))
    boxes = Counter(kind for kind, *_ in headers.mp4_boxes(mp4))
    assert all(boxes[kind] == 1 for kind in (b"moov", b"tkhd", b"mdhd", b"elst", b"stsz", b"ctts", b"entry", b"avcC"))
    size = next(mp4[payload:stop] for kind, _, payload, stop in headers.mp4_boxes(mp4) if kind == b"stsz")
    assert int.from_bytes(size[8:12], "big") == 24
    elements = Counter(kind for kind, *_ in headers.ebml_elements(mkv))
    assert elements[b"\xa3"] + elements[b"\xa1"] == 24
    assert elements[b"\xe0"] == 1
    chunks = Counter(kind for kind, *_ in headers.riff_chunks(avi))
    assert chunks[b"00dc"] == 24
    assert all(chunks[kind] == 1 for kind in (b"avih", b"strh", b"strf", b"idx1"))


def test_intact_files_read_like_a_decode_of_the_whole(sources: Path):
    for seed, name in enumerate(SOURCES):
        outcomes = examine(sources / name, seed, lambda call: None)
        expected = ("no_vectors", "invalid_value")
        surprises = [o for o in outcomes if o.kind != "read" and not (o.kind == "raised" and o.reason in expected)]
        assert not surprises, name
        assert Counter(o.kind for o in outcomes)["read"] >= 4


def _planted(path: Path, seed: int, stage: Stage) -> list[Outcome]:
    stage("planted")
    if seed == 3:
        os.abort()
    if seed == 5:
        time.sleep(60)
    return [Outcome("planted", {7: "wrong", 9: "undocumented"}.get(seed, "read"), "as planted")]


def test_crashes_hangs_and_wrong_results_are_named(sources: Path, tmp_path: Path):
    cases = [Case("h264.mkv", "flip_few", seed) for seed in range(12)]
    report = fuzz(cases, sources=sources, keep=tmp_path / "keep", processes=1, limit=1.0, function=_planted)
    found = {(f.kind, f.call, str(f.case)) for f in report.findings}
    name = "h264.mkv:flip_few"
    assert found == {(kind, "planted", f"{name}:{seed}") for kind, seed in
                     (("crash", 3), ("hang", 5), ("wrong", 7), ("undocumented", 9))}  # fmt: skip
    assert "_planted" in next(f.trace for f in report.findings if f.kind == "crash")
    assert report.counts["h264.mkv", "flip_few"]["read"] == 8
    assert {p.name for p in (tmp_path / "keep").iterdir()} == {f"flip_few_{seed}_h264.mkv" for seed in (3, 5, 7, 9)}
    assert all(str(f.case) in describe(report) for f in report.findings)


def _leaking(path: Path, seed: int, stage: Stage) -> list[Outcome]:
    KEPT.append((np.ones(1 << 17), path.open("rb")))
    return []


def _clean(path: Path, seed: int, stage: Stage) -> list[Outcome]:
    with path.open("rb"):
        np.ones(1 << 17)
    return []


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not report the memory of a process")
def test_leaks_are_named(sources: Path, tmp_path: Path):
    def leaks(function: Any) -> list[str]:
        cases = [Case("h264.mkv", "flip_few", seed) for seed in range(100)]
        return [
            f.detail
            for f in fuzz(cases, sources=sources, keep=tmp_path, function=function).findings
            if f.kind == "leak"
        ]

    files, memory = leaks(_leaking)
    assert "more open files" in files
    assert "more resident memory" in memory
    assert leaks(_clean) == []


def test_undocumented_exceptions_and_errors_without_a_subject_count(sources: Path, monkeypatch: pytest.MonkeyPatch):
    def kinds() -> set[str]:
        return {o.kind for o in examine(sources / "h264.mkv", 0, lambda call: None) if o.call == "read_video_info"}

    def raising(error: Exception) -> Any:
        def call(path: Path) -> None:
            raise error

        return call

    package = examine.__module__
    monkeypatch.setattr(f"{package}.read_video_info", raising(ZeroDivisionError()))
    assert kinds() == {"undocumented"}
    monkeypatch.setattr(f"{package}.read_video_info", raising(VideoError("another file", "damaged", reason="damaged")))
    assert kinds() == {"wrong"}


def _serious(report: Report) -> list[str]:
    return [f"{f.kind} {f.call} {f.case}" for f in report.findings if f.kind != "differs"]


def test_a_short_run(sources: Path, tmp_path: Path):
    report = fuzz(draw_cases(list(SOURCES), 80, seed=11), sources=sources, keep=tmp_path)
    counts = sum(report.counts.values(), Counter())
    assert not _serious(report), describe(report)
    assert counts["files"] == 80
    assert counts["refused"] < 5
    assert min(counts["read"], counts["raised"]) > 100


@pytest.mark.slow
def test_a_longer_run(sources: Path, tmp_path: Path):
    report = fuzz(draw_cases(list(SOURCES), 600, seed=12), sources=sources, keep=tmp_path, processes=2)
    assert not _serious(report), describe(report)
