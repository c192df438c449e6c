"""Small encoded videos, and the result of a plain decode of a whole file."""

from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.bitstream import BitStreamFilterContext

from mgm.data.synthetic.known_motion import translating_frames
from mgm.video.clip.rgb import FrameConverter
from mgm.video.container.orientation import Orientation
from mgm.video.transcode.write import write_video

VELOCITY = (3.0, -2.0)


@cache
def moving_frames(count: int, size: tuple[int, int]) -> list[npt.NDArray[np.uint8]]:
    return list(translating_frames(velocity=VELOCITY, frames=count, size=size))


def encode_moving(
    path: Path,
    *,
    frames: int = 24,
    size: tuple[int, int] = (64, 96),
    codec: str = "libx264",
    options: Mapping[str, str | int] | None = None,
) -> Path:
    """A texture that moves by `VELOCITY` pixels per frame."""
    write_video(path, moving_frames(frames, size), fps=25, codec=codec, options=options)
    return path


ORIENTATIONS = [Orientation(*steps) for steps in product((False, True), repeat=3)]
"""The four quarter turns, mirrored and not."""


def display_matrix(orientation: Orientation) -> list[int]:
    """x' = a x + c y, y' = b x + d y in rows (a, b, 0), (c, d, 0), (0, 0, 1), as FFmpeg stores it."""
    across, down = (-1 if mirrored else 1 for mirrored in (orientation.mirrored, orientation.flipped))
    a, b, c, d = (0, down, across, 0) if orientation.transposed else (across, 0, 0, down)
    return [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]


def displayed_vector(vector: tuple[float, float], matrix: list[int]) -> tuple[float, float]:
    """A displacement as a player shows it, by the definition of the matrix."""
    a, b, c, d = (matrix[i] / 65536 for i in (0, 1, 3, 4))
    dx, dy = vector
    return a * dx + c * dy, b * dx + d * dy


def displayed(coded: npt.NDArray[np.uint8], matrix: list[int]) -> npt.NDArray[np.uint8]:
    """A picture (H, W, 3) as a player shows it, pixel by pixel by the definition of the matrix."""
    y, x = np.indices(coded.shape[:2])
    across, down = (np.asarray(v, int) for v in displayed_vector((x, y), matrix))
    across, down = across - across.min(), down - down.min()
    shown = np.empty((down.max() + 1, across.max() + 1, 3), np.uint8)
    shown[down, across] = coded
    return shown


def remux(
    source: Path,
    target: Path,
    *,
    rotation: int = 0,
    matrix: list[int] | None = None,
    options: dict[str, str] | None = None,
    comment: str = "",
) -> Path:
    """The same pictures in another file: with a display rotation or matrix, a comment, or with other options of the container."""
    with av.open(str(source)) as given, av.open(str(target), "w", options=options or {}) as out:
        if comment:
            out.metadata["comment"] = comment
        stream = out.add_stream_from_template(given.streams.video[0])
        if rotation:
            stream.set_display_rotation(rotation)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return target


def tag_h264(source: Path, target: Path, **fields: int | str) -> Path:
    """The same pictures with other tags in the stream: fields of FFmpeg's filter `h264_metadata`."""
    described = "h264_metadata=" + ":".join(f"{name}={value}" for name, value in fields.items())
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        tagger = BitStreamFilterContext(described, given.streams.video[0], stream)
        for packet in given.demux(video=0):
            for tagged in tagger.filter(packet if packet.size else None):
                tagged.stream = stream
                out.mux(tagged)
    return target


def decode_whole(path: Path, *, size: int | None = None) -> npt.NDArray[np.uint8]:
    """Every frame, decoded at once from the first packet to the last: a clip must equal it bit for bit."""
    convert = FrameConverter(size=size, crop="centre", name=str(path))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return np.stack([convert(frame) for frame in container.decode(stream)])


def decode_by_pyav(path: Path) -> npt.NDArray[np.uint8]:
    """Every frame as PyAV converts it, uint8 (T, H, W, 3): none of the package's code takes part."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
