"""Reading a clip: frames and motion in one decode pass, against PyAV used plainly for the frames alone.

    python benchmarks/video.py [VIDEO]

Without a video it makes one: 300 frames of 340 x 256, x264's defaults.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import av
import numpy as np

import mgm
from mgm.data.synthetic import make_translation
from mgm.video.probe import probe
from timing import compare, print_header, print_table

SEED, CLIPS, FRAMES, STRIDE, SIZE, ROUNDS = 0, 8, 16, 4, 224, 7


def plain(path: str, start: int) -> np.ndarray:
    """Frames alone, as a PyAV user writes it: decode from the start, keep every fourth frame."""
    wanted = set(range(start, start + FRAMES * STRIDE, STRIDE))
    with av.open(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = []
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                frames.append(frame.to_ndarray(format="rgb24", width=SIZE, height=SIZE))
            if len(frames) == FRAMES:
                break
    return np.stack(frames)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            path = sys.argv[1]
        else:
            path = str(Path(folder) / "clip.mp4")
            make_translation(path, velocity=(2, -1), frames=300, size=(256, 340), seed=SEED)
        info = probe(path)
        rng = np.random.default_rng(SEED)
        starts = rng.integers(info.frames - FRAMES * STRIDE, size=CLIPS).tolist()
        print_header(f"{CLIPS} clips of {FRAMES} frames x stride {STRIDE} at {SIZE} px, {info}, one thread", SEED)

        def ours(**options: object) -> None:
            for start in starts:
                mgm.read_clip(path, start=start, frames=FRAMES, stride=STRIDE, size=SIZE, **options)  # type: ignore[arg-type]

        timings = compare(
            {
                "PyAV, frames alone": lambda: [plain(path, start) for start in starts],
                "mgm, frames alone": lambda: ours(motion=None),
                "mgm, frames + sampled motion": lambda: ours(policy="sampled"),
                "mgm, frames + motion summed over the stride": ours,
            },
            peer="PyAV, frames alone",
            rounds=ROUNDS,
        )
        print_table(timings, peer="PyAV, frames alone", per=CLIPS, unit="ms a clip")


if __name__ == "__main__":
    main()
