"""Small intact videos of every codec and container that can be made here, and which of them is damaged how."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from mgm.data.synthetic.known_motion import translating_frames
from tests.fuzz.mutate import FORMATS, mutate, names

FRAMES, SIZE = 24, (96, 128)

SOURCES: dict[str, tuple[str, dict[str, str]]] = {
    "h264_baseline.mp4": ("libx264", {"profile": "baseline"}),
    "h264_b.mp4": ("libx264", {"bf": "3"}),
    "h264_refs.mp4": ("libx264", {"bf": "3", "refs": "4", "x264-params": "b-pyramid=normal"}),
    "h264_open.mp4": ("libx264", {"bf": "2", "x264-params": "open-gop=1"}),
    "h264_interlaced.mp4": ("libx264", {"flags": "+ildct+ilme", "x264-params": "tff=1"}),
    "h264_fragments.mp4": ("libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "h264_front.mov": ("libx264", {"movflags": "faststart"}),
    "h264.h264": ("libx264", {}),
    "h264.mkv": ("libx264", {}),
    "h264.ts": ("libx264", {}),
    "h264.avi": ("libx264", {}),
    "mpeg4.mp4": ("mpeg4", {}),
    "mpeg4_b.avi": ("mpeg4", {"bf": "2"}),
    "mpeg4_qpel.mkv": ("mpeg4", {"bf": "2", "flags": "+qpel+mv4"}),
    "mpeg2.mpg": ("mpeg2video", {"bf": "2"}),
    "mpeg2.ts": ("mpeg2video", {"bf": "2"}),
    "mpeg2.m2v": ("mpeg2video", {"bf": "2"}),
    "mpeg1.mpg": ("mpeg1video", {"bf": "2"}),
    "h263.3gp": ("h263", {}),
    "flv1.flv": ("flv", {}),
    "wmv1.wmv": ("wmv1", {}),
    "wmv2.wmv": ("wmv2", {}),
    "msmpeg4v2.avi": ("msmpeg4v2", {}),
    "msmpeg4v3.avi": ("msmpeg4", {}),
    "rv10.rm": ("rv10", {}),
    "rv20.rm": ("rv20", {}),
    "mjpeg.avi": ("mjpeg", {}),
    "vp8.webm": ("libvpx", {}),
    "vp9.webm": ("libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}),
    "av1.mkv": ("libsvtav1", {"preset": "11"}),
    "av1.mp4": ("libsvtav1", {"preset": "11"}),
    "hevc.mp4": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"}),
    "hevc.hevc": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"}),
}
"""Name of the file: encoder, and options of encoder and muxer."""


def make_sources(folder: Path, *, real: Path | None = None) -> list[str]:
    """Encode every source into `folder`, copy the videos of the folder `real` beside them; the names of all."""
    os.environ["SVT_LOG"] = "1"  # SVT-AV1 talks past FFmpeg's log
    folder.mkdir(parents=True, exist_ok=True)
    frames = list(translating_frames(velocity=(3.0, -2.0), frames=FRAMES, size=SIZE))
    for name, (codec, options) in SOURCES.items():
        muxer = {"fflags": "+bitexact"} | {k: v for k, v in options.items() if k == "movflags"}
        encoder = {"g": "8"} | {k: v for k, v in options.items() if k != "movflags"}
        with av.open(str(folder / name), "w", FORMATS[Path(name).suffix], muxer) as out:
            stream = out.add_stream(codec, rate=25, options=encoder)
            stream.height, stream.width = SIZE
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.thread_count = 1
            for number, image in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(image, format="rgb24")
                picture.pts, picture.time_base = number, Fraction(1, 25)
                out.mux(stream.encode(picture))
            out.mux(stream.encode(None))
    found = sorted(p for p in real.iterdir() if p.suffix in FORMATS) if real else []
    for path in found:
        shutil.copyfile(path, folder / f"real_{path.name}")
    return [*SOURCES, *(f"real_{path.name}" for path in found)]


@dataclass(frozen=True)
class Case:
    """One damaged file, and how to make it again."""

    source: str
    mutation: str
    seed: int

    def __str__(self) -> str:
        return f"{self.source}:{self.mutation}:{self.seed}"


def draw_cases(sources: Sequence[str], count: int, *, seed: int) -> list[Case]:
    """`count` cases that go round all pairs of source and mutation in random order."""
    pairs = [(source, mutation) for source in sources for mutation in names(Path(source).suffix)]
    rng = np.random.default_rng(seed)
    order: list[int] = []
    while len(order) < count:
        order += rng.permutation(len(pairs)).tolist()
    return [Case(*pairs[i], seed=seed * 1_000_000 + number) for number, i in enumerate(order[:count])]


def damaged(case: Case, sources: Path) -> bytes:
    """The bytes of a case's file."""
    others = sorted(p for p in sources.iterdir() if p.name != case.source)
    other = others[case.seed % len(others)].read_bytes()
    path = sources / case.source
    return mutate(path.read_bytes(), path.suffix, case.mutation, case.seed, other=other)
