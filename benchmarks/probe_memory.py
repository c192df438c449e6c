"""Peak memory of `mgm probe` by number of videos, with and without the probe that needs every token.

    python benchmarks/probe_memory.py --videos 100 400

The tokens have the shape of a ViT-B's, 1,568 x 768 per clip, and come from a stand-in that costs nothing. The set is one video
under many labels, half for training and half for testing from two views each. Every row is a process of its own. Memory is what
belongs to the process (RssAnon): pages of the file of tokens, which the system drops at need, are in the next column.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
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

SEED, CLASSES, SIDE, SAMPLE_SECONDS = 0, 100, 224, 0.02
HEADS = ("linear,knn", "attentive,linear,knn")
SETTINGS = ("model.patch_init=conv", "probe.steps=5", "probe.temporal_views=2", "data.stride=1")


class StandIn(nn.Module):
    """An encoder whose tokens are one pattern, scaled by the brightness of the clip."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = ModelSpec("B")
        self.pattern = nn.Parameter(torch.randn(self.spec.tokens, self.spec.encoder.dim))

    def forward(self, video: Tensor) -> Tensor:
        """uint8 (B, 3, T, H, W) -> float32 (B, N, dim)."""
        return self.pattern * (1 + video[:, :, 0].float().mean((1, 2, 3)) / 255)[:, None, None]


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


def measure(count: int, heads: str, folder: Path) -> None:
    """Probe a set of `count` videos and print the peaks."""
    torch.manual_seed(SEED)
    path = str(make_translation(folder / "clip.mp4", velocity=(2, 1), frames=24, size=(SIDE, SIDE)))
    source = MemorySource(SIDE, None)
    source.load([path])
    items = tuple(VideoItem(path, number % CLASSES) for number in range(count // 2))
    videos = VideoSet("videos", items, items, tuple(str(label) for label in range(CLASSES)), "both")
    config = load_config("mgm-vitb-k400", (*SETTINGS, f"probe.heads=[{heads}]"))
    with peaks() as highest:
        probe_encoder(StandIn(), videos, config, source, scratch=folder)  # type: ignore[arg-type]
    print(f"{count:7d} videos, {heads:22s} {highest['RssAnon']:8.0f} MB   {highest['RssFile']:8.0f} MB", flush=True)


def main() -> None:
    """Print one row per number of videos and choice of probes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", nargs="+", type=int, default=[100, 400])
    parser.add_argument("--heads", choices=HEADS, help="one row, in this process")
    arguments = parser.parse_args()
    if arguments.heads is not None:
        with tempfile.TemporaryDirectory() as folder:
            measure(arguments.videos[0], arguments.heads, Path(folder))
        return
    print_header("peak memory of a process and of its mapped files, tokens of a ViT-B", SEED)
    for heads in HEADS:
        for count in arguments.videos:
            subprocess.run([sys.executable, __file__, "--videos", str(count), "--heads", heads], check=True)


if __name__ == "__main__":
    main()
