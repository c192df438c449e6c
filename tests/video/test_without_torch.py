"""Someone who only wants motion vectors or a mask installs no torch."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys

sys.modules["torch"] = None  # importing it now fails
import numpy as np

import mgm.masks
import mgm.video

clip = mgm.video.read_clip(sys.argv[1], frames=4, stride=2, size=64)
mask = mgm.masks.build_mask("mgm").draw((2, 4, 4), 0.75, clip.motion, np.random.default_rng(0))
print(clip.frames.shape, int(mask.masked.sum()))
"""


def test_reading_a_clip_and_drawing_a_mask(ordinary: Path):
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(ordinary)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "(4, 64, 64, 3) 24"
