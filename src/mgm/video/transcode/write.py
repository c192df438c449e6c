"""Encode frames that are in memory."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt

from mgm.errors import DataError
from mgm.files.atomic import atomic_path
from mgm.video.container.formats import file_url
from mgm.video.transcode.frame_rate import encodable_rate

CONTAINERS = {
    ".avi": "avi",
    ".flv": "flv",
    ".mkv": "matroska",
    ".mov": "mov",
    ".mp4": "mp4",
    ".mpg": "mpeg",
    ".ts": "mpegts",
    ".webm": "webm",
}


def write_video(
    path: str | Path,
    frames: Iterable[npt.NDArray[np.uint8]],
    *,
    fps: float | Fraction,
    codec: str = "libx264",
    options: Mapping[str, str | int] | None = None,
    pixel_format: str = "yuv420p",
    threads: int = 1,
) -> int:
    """Encode ``frames`` into ``path``, whose suffix names the container, and return how many frames were written.

    The file appears when it is complete. Frame ``i`` gets the time ``i / fps`` and every frame is kept.

    Args:
        path: ends in .mp4, .mov, .mkv, .webm, .avi, .flv, .mpg or .ts; its folder is made, an old file is replaced.
        frames: uint8 (H, W, 3) RGB each, all of one size. Taken one by one, so a generator costs no memory.
        fps: frames per second, positive; the nearest rate that can be encoded is taken.
        codec: FFmpeg's name of an encoder: ``libx264``, ``mpeg4``, ``libvpx-vp9``, ``libx265``, ...
        options: passed to the encoder as they are: ``{"crf": 23, "bf": 2, "refs": 1, "g": 12, "profile": "main"}``.
        pixel_format: of the coded picture. ``yuv420p`` needs even sides in most encoders.
        threads: of the encoder. With 1, libx264 makes the same bytes from the same frames every time.

    Raises:
        DataError: unknown container or encoder, no frames, frames of another shape or dtype, or options, sizes and
            pixel formats that the encoder refuses. FileError: the file cannot be written. ``path`` is then as it was.
    """
    path = Path(path)
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise DataError.wrong_suffix(path, tuple(CONTAINERS))
    try:
        with atomic_path(path) as part:
            encoding = _Encoding(
                container, encodable_rate(fps), codec, _with_defaults(codec, options), pixel_format, threads
            )
            return _encode(part, path, frames, encoding)
    except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
        raise DataError(
            path,
            f"{codec} refused {dict(options or {})} as {pixel_format} in {container}: {error}",
            advice="check the options, the codec's name, and that both sides are even",
            reason="unsupported",
        ) from error


def _with_defaults(codec: str, options: Mapping[str, str | int] | None) -> dict[str, str]:
    chosen = {name: str(value) for name, value in (options or {}).items()}
    if codec == "libx264":
        # Without it the vector code of x264's macroblock tree gives the same frames other bytes from run to run (seen at
        # widths of 32 to 112 and 160, not of 128). It costs a few percent of the time.
        chosen["x264-params"] = ":".join(filter(None, ["cpu-independent=1", chosen.get("x264-params")]))
    if codec == "libx265":
        chosen.setdefault("x265-params", "log-level=none:pools=1")  # x265 writes to stderr past FFmpeg's log
    return chosen


class _Encoding(NamedTuple):
    """How frames are encoded; see `write_video`. container: FFmpeg's name of it."""

    container: str
    fps: Fraction
    codec: str
    options: dict[str, str]
    pixel_format: str
    threads: int


def _encode(part: Path, path: Path, frames: Iterable[npt.NDArray[np.uint8]], encoding: _Encoding) -> int:
    """Encode frames into the file `part`, which becomes `path`; returns their number."""
    count = 0
    shape: tuple[int, ...] = ()
    with av.open(file_url(part), "w", format=encoding.container) as out:
        if av.Codec(encoding.codec, "w").type != "video":
            found = f"{encoding.codec} is not a video encoder"
            raise DataError(path, found, advice="use, for example, libx264", reason="unknown_name")
        stream = out.add_stream(encoding.codec, rate=encoding.fps, options=encoding.options)
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = encoding.pixel_format
        stream.codec_context.thread_count = encoding.threads
        for frame in frames:
            if count == 0:
                shape = (*frame.shape[:2], 3)
                stream.height, stream.width = shape[:2]
            if frame.shape != shape or frame.dtype != np.uint8:
                raise DataError(
                    path,
                    f"frame {count} is {frame.dtype} {frame.shape}",
                    f"uint8 {shape or '(H, W, 3)'}",
                    reason="invalid_shape",
                )
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = count, 1 / encoding.fps
            out.mux(stream.encode(picture))
            count += 1
        if count == 0:
            raise DataError(path, "no frames to encode", "at least one", reason="missing_value")
        # After opening, the context holds the options that the encoder does not have; it does not report them.
        if stream.codec_context.options:
            found = f"{encoding.codec} has no option {', '.join(stream.codec_context.options)}"
            raise DataError(path, found, reason="unknown_name")
        out.mux(stream.encode(None))
    return count
