"""Resident memory and open files of a process over many reads, by every entry point.

    python benchmarks/memory.py --reads 10000

Small clips in several codecs and containers, upright and rotated, whole and truncated; files that fail are included, since an
exception may hold references. Exits with status 1 if memory grew by 50 MB or an open file was left.
"""

from __future__ import annotations

import argparse
import gc
import io
import itertools
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np

import mgm
from mgm.data.synthetic.known_motion import translating_frames
from mgm.video import VideoReader, read_motion
from mgm.video.container.metadata import read_video_info
from mgm.video.container.stream import open_video
from mgm.video.motion.streaming import iter_frame_motion
from mgm.video.transcode.write import write_video
from timing import print_header

SEED, FRAMES, SIZE = 0, 40, (96, 128)
WARM, MOST_MB = 0.1, 50
CODECS: tuple[tuple[str, str, dict[str, str | int]], ...] = (
    ("h264.mp4", "libx264", {}),
    ("h264.mkv", "libx264", {"bf": 0, "refs": 1, "g": 8}),
    ("mpeg4.avi", "mpeg4", {"bf": 2}),
    ("mpeg2.mpg", "mpeg2video", {}),
    ("vp9.webm", "libvpx-vp9", {"cpu-used": 8, "deadline": "realtime"}),
)


def make_clips(folder: Path) -> list[Path]:
    """One clip per codec."""
    frames = list(translating_frames(velocity=(3, -2), frames=FRAMES, size=SIZE, seed=SEED))
    paths = [folder / name for name, _, _ in CODECS]
    for path, (_, codec, options) in zip(paths, CODECS, strict=True):
        write_video(path, frames, fps=25, codec=codec, options=options)
    return paths


def make_rotated(source: Path) -> Path:
    """The same pictures with a display rotation."""
    target = source.with_name("rotated.mp4")
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        stream.set_display_rotation(90)
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return target


def make_broken(source: Path) -> list[Path]:
    """A file cut short, and one with noise in its middle."""
    content = source.read_bytes()
    cut, noisy = source.with_name(f"cut{source.suffix}"), source.with_name(f"noisy{source.suffix}")
    cut.write_bytes(content[: len(content) * 2 // 3])
    middle, noise = len(content) // 3, np.random.default_rng(SEED).bytes(400)
    noisy.write_bytes(content[:middle] + noise + content[middle + len(noise) :])
    return [cut, noisy]


def fails(function: Callable[[], object]) -> None:
    """Call a function that must raise."""
    try:
        function()
    except mgm.errors.VideoError:
        return
    raise SystemExit("expected an error of a broken file, found none")


def several(path: Path) -> None:
    """Clips of one opened file, backwards."""
    with VideoReader(path) as reader:
        for start in (20, 10, 0):
            reader.read_clip(start=start, frames=4, size=64, motion="auto")


def streamed(path: Path) -> None:
    """Stream some fields of a video, then stop."""
    with open_video(path, vectors=True, skip_loop_filter=True) as video:
        for _ in itertools.islice(iter_frame_motion(video), 10):
            pass


def entry_points(folder: Path) -> list[Callable[[], object]]:
    """The calls, made in turn."""
    clips = make_clips(folder)
    with_vectors = [path for path in clips if read_video_info(path).motion]
    clip = partial(partial, mgm.read_clip, frames=4, size=64)
    calls: list[Callable[[], object]] = []
    for path in [*with_vectors, make_rotated(clips[0])]:
        for policy in ("window_sum", "sampled", "window_max"):
            calls.append(clip(path, start=12, policy=policy))
        calls += [
            clip(path, start=30, reading="raw", short="wrap"),
            clip(path, camera="affine"),
            partial(read_motion, path, stride=4),
            partial(mgm.iter_motion_vectors, path),
            partial(streamed, path),
        ]
    for path in clips:
        calls += [clip(path, start=8, motion=name) for name in (None, "auto", "flow", "difference")]
        calls += [
            clip(path.read_bytes(), motion=None),
            clip(io.BytesIO(path.read_bytes()), motion=None),
            partial(several, path),
            partial(read_video_info, path),
        ]
    calls += [partial(fails, clip(path, motion="codec")) for path in clips if path not in with_vectors]
    calls += [partial(fails, partial(mgm.read_clip, path, frames=None, stride=1)) for path in make_broken(clips[0])]
    calls.append(partial(fails, clip(clips[0], start=1000)))
    scanned = folder / "scanned"
    scanned.mkdir()
    (scanned / "clip.mp4").write_bytes(clips[0].read_bytes())
    calls.append(partial(mgm.scan_videos, scanned))
    return calls


def resident() -> float:
    """Resident size of this process in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("no VmRSS in /proc/self/status: this benchmark needs Linux")


def open_files() -> int:
    """Open file descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def main() -> int:
    """Print size and open files while reading; status 1 where they grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reads", type=int, default=10_000)
    reads = parser.parse_args().reads
    with tempfile.TemporaryDirectory() as name:
        calls = entry_points(Path(name))
        warm = max(int(reads * WARM), 2 * len(calls))
        print_header(
            f"{reads} reads by {len(calls)} calls in turn after {warm} to warm up, {FRAMES} frames of {SIZE}", SEED
        )
        order = np.random.default_rng(SEED).permutation(len(calls)).tolist()
        start: tuple[float, int] = (0, 0)
        for number, place in enumerate(itertools.islice(itertools.cycle(order), warm + reads + 1)):
            if number == warm:
                gc.collect()
                start = resident(), open_files()
            if number >= warm and (number - warm) % max(reads // 10, 1) == 0:
                gc.collect()
                size, files = resident() - start[0], open_files() - start[1]
                print(
                    f"{number - warm:8d} reads   {resident():8.1f} MB   {size:+7.1f} MB   {files:+d} open files",
                    flush=True,
                )
            calls[place]()
    grown = size >= MOST_MB or files > 0
    print(f"{'grew' if grown else 'steady'}: {size:+.1f} MB (limit {MOST_MB}), {files:+d} open files (limit 0)")
    return int(grown)


if __name__ == "__main__":
    sys.exit(main())
