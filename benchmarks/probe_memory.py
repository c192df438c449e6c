"""Peak memory of `mgm probe` by number of videos, with and without the probe that needs every token.

    python benchmarks/probe_memory.py --videos 100 400
    python benchmarks/probe_memory.py --videos 2000 20000 --side 64

A clip of 224 px takes some 30 ms although its encoder computes nothing: 4.8 MB of tokens are written, normalised and averaged. Its
attentive probe takes 4 GFLOP. 20,000 videos of that size need hours and 24 GB of disk; at 64 px they have the same features from a
twelfth of the tokens, and what grows with the set is the same.

The tokens have the shape of a ViT-B's, 1,568 x 768 per clip of 224 px, and come from a stand-in. The set is one video
under many labels, half for training and half for testing from two views each. Every row is a process of its own. Memory is what
belongs to the process (RssAnon): pages of the file of tokens, which the system drops at need, are in the next column.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from mgm.data.clips.source import MemorySource
from mgm.data.items import VideoItem, VideoSet
from mgm.data.synthetic.known_motion import make_translation
from mgm.evaluation.probing import probe_encoder
from mgm.models import ModelSpec
from mgm.training import load_config
from timing import print_header

SEED, CLASSES, SAMPLE_SECONDS = 0, 100, 0.02
HEADS = ("linear,knn", "attentive,linear,knn")
SETTINGS = (
    "model.patch_init=conv",
    "probe.steps=5",
    "probe.lr=0.001",
    "probe.weight_decay=0.01",
    "probe.shots=[]",
    "probe.temporal_views=2",
    "data.stride=1",
)
"""One setting of the attentive probe and no curve of few labels: they take time, and no memory that grows with the set."""


class StandIn(nn.Module):
    """An encoder whose tokens are one pattern, scaled by the brightness of the clip."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.spec = ModelSpec("B", resolution=side)
        self.pattern = nn.Parameter(torch.randn(self.spec.tokens, self.spec.encoder.dim))

    def forward(self, video: Tensor) -> Tensor:
        """uint8 (B, 3, T, H, W) -> float32 (B, N, dim)."""
        return self.pattern * (1 + video[:, :, 0].float().mean((1, 2, 3)) / 255)[:, None, None]

    tokens = forward  # of a network that is no `Encoder`


@contextmanager
def peaks() -> Iterator[dict[str, float]]:
    """The largest sizes of this process during the block in MB, by their names in /proc/self/status."""
    highest = {"RssAnon": 0.0, "RssFile": 0.0}
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
                name, _, value = line.partition(":")
                if name in highest:
                    highest[name] = max(highest[name], int(value.split()[0]) / 1024)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield highest
    finally:
        done.set()
        sampler.join()


def measure(count: int, heads: str, side: int, folder: Path) -> None:
    """Probe a set of `count` videos and print the peaks."""
    torch.manual_seed(SEED)
    path = str(make_translation(folder / "clip.mp4", velocity=(2, 1), frames=24, size=(side, side)))
    source = MemorySource(side, None)
    source.load([path])
    items = tuple(VideoItem(path, number % CLASSES) for number in range(count // 2))
    videos = VideoSet("videos", items, items, tuple(str(label) for label in range(CLASSES)), "both")
    config = load_config("mgm-vitb-k400", (*SETTINGS, f"data.size={side}", f"probe.heads=[{heads}]"))
    began = time.monotonic()
    with peaks() as highest:
        probe_encoder(StandIn(side), videos, config, source, scratch=folder)  # type: ignore[arg-type]
    seconds = time.monotonic() - began
    print(
        f"{count:7d} videos, {heads:22s} {highest['RssAnon']:8.0f} MB   {highest['RssFile']:8.0f} MB   {seconds:6.0f} s",
        flush=True,
    )


def main() -> None:
    """Print one row per number of videos and choice of probes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", nargs="+", type=int, default=[100, 400])
    parser.add_argument("--side", type=int, default=224, help="pixels of a clip")
    parser.add_argument("--heads", choices=HEADS, help="one row, in this process")
    arguments = parser.parse_args()
    if arguments.heads is not None:
        with tempfile.TemporaryDirectory() as folder:
            measure(arguments.videos[0], arguments.heads, arguments.side, Path(folder))
        return
    print_header("peak memory of a process and of its mapped files, tokens of a ViT-B", SEED)
    for heads in HEADS:
        for count in arguments.videos:
            options = ["--videos", str(count), "--side", str(arguments.side), "--heads", heads]
            subprocess.run([sys.executable, __file__, *options], check=True)


if __name__ == "__main__":
    main()
