"""Each encoder of hardware that opens on this machine, against the software encoder on a scene of known motion."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mgm.data.synthetic.known_motion import make_translation
from mgm.video.clip.reader import read_motion
from mgm.video.transcode.choice import try_encoder
from mgm.video.transcode.encode import transcode_video
from mgm.video.transcode.encoders import ENCODERS
from mgm.video.transcode.profiles import PROFILES

VELOCITY = (3.0, -2.0)
SIZE = 256
STEPS = {"motion": 1, "strided": 4}
"""Frames that a vector spans, by profile."""


@pytest.mark.gpu
@pytest.mark.parametrize("profile", STEPS)
@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "software"])
def test_its_motion_is_that_of_the_software_encoder(tmp_path: Path, name: str, profile: str):
    if (error := try_encoder(name, PROFILES[profile])) is not None:
        pytest.skip(error.line)
    source = tmp_path / "in.mp4"
    make_translation(source, velocity=VELOCITY, frames=80, size=(SIZE, SIZE))
    fields = {}
    for encoder in ("software", name):
        made = tmp_path / f"{encoder}.mp4"
        transcode_video(source, made, replace(PROFILES[profile], encoder=encoder))
        fields[encoder] = inner_vectors(made, STEPS[profile])
    expected = np.multiply(VELOCITY, STEPS[profile])
    for found in fields.values():
        np.testing.assert_allclose(np.median(found, axis=(0, 1, 2)), expected, atol=0.25)
    software, hardware = fields["software"], fields[name]
    lengths = np.linalg.norm(software, axis=-1) * np.linalg.norm(hardware, axis=-1)
    cosine = (software * hardware).sum(axis=-1) / np.maximum(lengths, 1e-6)
    assert cosine.mean() > 0.95


def inner_vectors(path: Path, stride: int) -> npt.NDArray[np.float32]:
    """The motion per step (t, h, w, 2) without the first frame, and without the borders, at which the texture comes in."""
    vectors: npt.NDArray[np.float32] = read_motion(path, stride=stride).motion.vectors
    return vectors[1:, 4:-4, 4:-4]
