"""Frames move by exactly the stated velocity, before and after encoding."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from mgm.data.synthetic.known_motion import make_translation, translating_frames


def decode(path: Path) -> npt.NDArray[np.uint8]:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_translating_frames_are_exact() -> None:
    whole = list(translating_frames(velocity=(5, -3), frames=3, size=(97, 131)))
    assert whole[0].shape == (97, 131, 3)
    np.testing.assert_array_equal(whole[2][:-6, 10:], whole[0][6:, :-10])
    half = list(translating_frames(velocity=(2.5, -1.5), frames=5, size=(97, 131)))
    np.testing.assert_array_equal(half[4], whole[2])
    assert whole[0].std() > 25


@pytest.mark.parametrize(
    ("codec", "suffix", "named", "options"),
    [
        ("libx264", ".mp4", {"bframes": 2, "refs": 3, "gop": 5}, {}),
        ("libx264", ".mkv", {}, {"profile": "baseline"}),
        ("mpeg4", ".avi", {"gop": 4}, {"b": "2M"}),
        ("libvpx-vp9", ".webm", {}, {"deadline": "realtime", "cpu-used": 8, "b": "2M"}),
        ("libx265", ".mp4", {}, {"preset": "ultrafast"}),
    ],
)
def test_translation_clip_decodes_to_shifted_content(
    tmp_path: Path, codec: str, suffix: str, named: dict[str, int], options: dict[str, str | int]
) -> None:
    path = make_translation(tmp_path / f"clip{suffix}", velocity=(4.5, -3), frames=9, size=(130, 178), codec=codec,
                            **named, options=options)  # fmt: skip
    frames = decode(path).astype(int)
    assert frames.shape == (9, 130, 178, 3)
    shifted = np.abs(frames[6, :-12, 18:] - frames[2, 12:, :-18]).mean()
    assert shifted < 6 < 20 < np.abs(frames[6] - frames[2]).mean()


def test_the_encoder_finds_the_motion(tmp_path: Path) -> None:
    path = make_translation(tmp_path / "clip.mp4", velocity=(6.5, -3), frames=6, size=(128, 176), bframes=0, refs=1)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        stream.codec_context.options = {"flags2": "+export_mvs"}
        exported = [frame.side_data.get("MOTION_VECTORS") for frame in container.decode(stream)]
    vectors = np.concatenate([side.to_ndarray() for side in exported if side is not None])
    found = -np.stack([vectors["motion_x"], vectors["motion_y"]], 1) / vectors["motion_scale"][:, None]
    assert (np.abs(found - (6.5, -3)).max(1) <= 0.25).mean() > 0.8
