"""Pictures become upright, progressive, 8 bit and of one even size."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from mgm.video.transcode.encode import transcode_video
from mgm.video.transcode.profiles import make_profile
from mgm.video.transcode.write import write_video
from tests.video.clips import decode_whole, moving_frames, remux
from tests.video.transcode.pictures import KEEP, difference, smooth_frames, times


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_applied_and_no_longer_declared(tmp_path: Path, rotation: int):
    write_video(tmp_path / "flat.mp4", smooth_frames(4, (64, 96)), fps=25, options={"crf": 4})
    source = remux(tmp_path / "flat.mp4", tmp_path / "turned.mp4", rotation=rotation)
    made = transcode_video(source, tmp_path / "out.mp4", KEEP)
    assert (made.height, made.width) == ((64, 96) if rotation == 180 else (96, 64))
    with av.open(made.target) as container:
        assert next(container.decode(video=0)).rotation == 0
    # decode_whole turns by the angle that FFmpeg reports, not by the matrix
    assert difference(decode_whole(Path(made.target)), decode_whole(source)) < 2


def test_mirroring_is_applied(tmp_path: Path):
    write_video(tmp_path / "flat.mp4", smooth_frames(4, (64, 96)), fps=25, options={"crf": 4})
    source = tmp_path / "mirrored.mp4"
    with av.open(str(tmp_path / "flat.mp4")) as given, av.open(str(source), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        stream.set_display_matrix([-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    transcode_video(source, tmp_path / "out.mp4", KEEP)
    expected = decode_whole(tmp_path / "flat.mp4")[:, :, ::-1]
    assert difference(decode_whole(tmp_path / "out.mp4"), expected) < 2


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((8, 8), 256, (8, 8)),
        ((1, 1), 256, (2, 2)),
        ((3, 41), 0, (2, 40)),
        ((65, 47), 256, (64, 46)),
        ((64, 97), 32, (32, 48)),
        ((300, 64), 32, (150, 32)),
        ((16, 2000), 8, (8, 1000)),
    ],
)
def test_sides_are_even_and_none_grows(
    tmp_path: Path, size: tuple[int, int], short_side: int, expected: tuple[int, int]
):
    source = tmp_path / "in.mkv"
    write_video(source, smooth_frames(3, size), fps=10, codec="ffv1", pixel_format="yuv444p")
    made = transcode_video(source, tmp_path / "out.mp4", make_profile("motion", short_side=short_side))
    assert (made.height, made.width) == expected
    assert decode_whole(tmp_path / "out.mp4").shape == (3, *expected, 3)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [
        ("libx264", "yuv420p10le", "mp4"),
        ("libx264", "yuv444p", "mp4"),
        ("libx264", "yuv422p10le", "mkv"),
        ("mjpeg", "yuvj420p", "avi"),
        ("ffv1", "gray", "mkv"),
        ("libx264rgb", "rgb24", "mkv"),
        ("ffv1", "bgra", "mkv"),
        ("libvpx-vp9", "yuv420p", "webm"),
    ],
)
def test_every_pixel_format_becomes_eight_bit_and_keeps_its_colours(
    tmp_path: Path, codec: str, pixel_format: str, suffix: str
):
    source = tmp_path / f"in.{suffix}"
    options = {"cpu-used": 8, "b": "2M"} if "vp9" in codec else {"b": "8M"} if codec == "mjpeg" else {}
    write_video(source, smooth_frames(5, (48, 64)), fps=10, codec=codec, pixel_format=pixel_format, options=options)
    transcode_video(source, tmp_path / "out.mp4", KEEP)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt in ("yuv420p", "yuvj420p")
    assert difference(decode_whole(tmp_path / "out.mp4"), decode_whole(source)) < 3


def test_interlaced_frames_become_progressive_one_for_one(tmp_path: Path):
    fields = moving_frames(24, (64, 96))
    woven = []
    for top, bottom in zip(fields[::2], fields[1::2], strict=True):
        frame = top.copy()
        frame[1::2] = bottom[1::2]
        woven.append(frame)
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(source, woven, fps=25, options={"x264-params": "tff=1", "crf": 10})
    made = transcode_video(source, target, KEEP)
    assert made.interlaced
    assert (made.frames, times(target)) == (12, pytest.approx([n / 25 for n in range(12)], abs=1e-6))
    with av.open(str(target)) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))

    def combs(frames: npt.NDArray[np.uint8]) -> float:
        grey = frames.mean(axis=-1)
        return float(np.abs(grey[:, 1:-1] - (grey[:, :-2] + grey[:, 2:]) / 2).mean())

    assert combs(decode_whole(target)) < 0.7 * combs(decode_whole(source))


def test_a_stream_that_changes_its_size_keeps_the_first(tmp_path: Path):
    source = tmp_path / "both.h264"
    data = b""
    for size in ((48, 64), (96, 96)):
        write_video(tmp_path / "part.mp4", smooth_frames(5, size), fps=25)
        data += remux(tmp_path / "part.mp4", tmp_path / "part.h264").read_bytes()
    source.write_bytes(data)
    transcode_video(source, tmp_path / "out.mp4", KEEP)
    assert decode_whole(tmp_path / "out.mp4").shape == (10, 48, 64, 3)
