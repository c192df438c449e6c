"""A stream that changes its picture size: as in a player's window, all pictures of a clip are scaled to the first."""

from pathlib import Path

import av
import numpy as np
import pytest

from mgm.errors import VideoError
from mgm.video import VideoReader, read_clip, read_motion
from mgm.video.clip.rgb import FrameConverter
from mgm.video.clip.whole_video import motion_chunks
from mgm.video.motion.cache import build_sidecar
from mgm.video.transcode.write import write_video
from tests.errors import raises
from tests.video.clips import VELOCITY, encode_moving, moving_frames

SMALL, LARGE = (64, 96), (128, 192)
FRAMES = 24  # of each part


@pytest.fixture(scope="module", params=["restarted.ts", "continued.ts", "continued.flv"])
def changing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parts, the second of twice the size; their clock starts again, or goes on."""
    name = request.param
    folder = tmp_path_factory.mktemp("sizes")
    path = folder / name
    options = {"g": 8, "bf": 2, "keyint_min": 8, "x264-params": "repeat-headers=1"}
    parts = [
        encode_moving(folder / f"{size[0]}{path.suffix}", frames=FRAMES, size=size, options=options)
        for size in (SMALL, LARGE)
    ]
    if name.startswith("restarted"):
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        return path
    with av.open(str(path), "w") as out:
        stream = None
        for number, part in enumerate(parts):
            with av.open(str(part)) as given:
                stream = stream or out.add_stream_from_template(given.streams.video[0])
                for packet in (p for p in given.demux(video=0) if p.size):
                    later = round(number * FRAMES / 25 / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, stream
                    out.mux(packet)
    return path


def decoded(path: Path, size: int | None) -> list[np.ndarray]:
    """Every picture of a plain decode, each part as a video of its own."""
    converters: dict[int, FrameConverter] = {}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return [
            converters.setdefault(frame.height, FrameConverter(size=size, crop="centre", name=str(path)))(frame)
            for frame in container.decode(stream)
        ]


def test_clips_of_one_part_and_across_the_change(changing: Path):
    plain = decoded(changing, 48)
    assert len(plain) == 2 * FRAMES
    with VideoReader(changing) as reader:
        for start in (0, 12, 16, 20, 23, 24, 32, 40):
            for motion in (None, "codec", "difference"):
                clip = reader.read_clip(start=start, frames=8, stride=1, size=48, motion=motion)
                for number, frame in zip(clip.frame_indices.tolist(), clip.frames, strict=True):
                    error = np.abs(frame - plain[number].astype(int)).mean()
                    # A picture is scaled twice if it is of another size than the first that the clip or its motion needs.
                    assert error < 6 if start <= FRAMES <= number else error == 0, (start, motion, number)


def test_motion_is_in_pixels_of_the_first_picture(changing: Path):
    motion = read_clip(changing, start=FRAMES - 4, frames=12, stride=1, size=48).motion
    assert motion is not None
    assert motion.extent == (64, 64)
    before, after = (np.median(part, axis=(0, 1, 2)) for part in (motion.vectors[:3], motion.vectors[6:]))
    np.testing.assert_allclose(before, VELOCITY, atol=0.3)
    np.testing.assert_allclose(after, np.divide(VELOCITY, 2), atol=0.3)


def test_without_a_size_a_change_is_an_error(changing: Path):
    plain = decoded(changing, None)
    for start in (0, FRAMES - 8, FRAMES + 8):
        clip = read_clip(changing, start=start, frames=8, stride=1, size=None)
        np.testing.assert_array_equal(clip.frames, plain[start : start + 8])
    for read in (
        lambda: read_clip(changing, start=FRAMES - 4, frames=8, stride=1, size=None),
        lambda: read_motion(changing),
        lambda: list(motion_chunks(changing)),
        lambda: build_sidecar(changing),
    ):
        with raises(VideoError, "unsupported", subject=changing):
            read()


def test_a_pixel_format_that_changes(tmp_path: Path):
    path = tmp_path / "both.ts"
    with path.open("wb") as both:
        for pixel_format in ("yuv420p", "yuv444p"):
            part = tmp_path / f"{pixel_format}.ts"
            write_video(part, moving_frames(8, SMALL), fps=25, pixel_format=pixel_format, options={"crf": 4})
            both.write(part.read_bytes())
    clip = read_clip(path, frames=16, stride=1, size=None, crop=(6, 6, 30, 20))
    expected = np.stack(moving_frames(8, SMALL))[:, 6:26, 6:36].astype(int)
    assert np.abs(clip.frames - np.concatenate([expected, expected])).mean() < 6
