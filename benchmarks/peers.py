"""Other readers of video, each as a function that reads the frames of a clip on one thread and opens the file each time.

`requirements.txt` beside this file lists their versions. A peer that is missing or does not load is reported with the reason.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]
ReadClip = Callable[[str, npt.NDArray[np.int64], "int | None"], Frames]
"""(path, frame numbers in rising order, side of the square result or None for the source's size) to uint8 (T, H, W, 3) RGB."""


@dataclass(frozen=True)
class Peer:
    """A reader. `resize`: how it makes the small picture of the large one."""

    name: str
    package: str
    module: str
    resize: str
    read: ReadClip


def read_pyav(path: str, index: npt.NDArray[np.int64], size: int | None) -> Frames:
    """As a PyAV user writes it: decode from the start, convert what is wanted."""
    wanted = set(index.tolist())
    frames: list[Frames] = []
    with av.open(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                frames.append(frame.to_ndarray(format="rgb24", width=size, height=size).astype(np.uint8, copy=False))
            if len(frames) == len(wanted):
                break
    return np.stack(frames)


def read_decord(path: str, index: npt.NDArray[np.int64], size: int | None) -> Frames:
    """decord seeks by its own index of key frames, and scales in its decoder."""
    import decord

    reader = decord.VideoReader(path, num_threads=1, width=size or -1, height=size or -1)
    frames: Frames = reader.get_batch(index.tolist()).asnumpy()
    return frames


def read_torchcodec(path: str, index: npt.NDArray[np.int64], size: int | None, *, mode: str) -> Frames:
    """torchcodec, "exact" (scans the file first) or "approximate" (computes places of frames from the frame rate)."""
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    transforms = [Resize((size, size))] if size else []
    decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode=mode, transforms=transforms)
    frames: Frames = decoder.get_frames_at(index.tolist()).data.numpy()
    return frames


def read_opencv(path: str, index: npt.NDArray[np.int64], size: int | None) -> Frames:
    """OpenCV seeks to the first frame, then grabs every frame and retrieves those that are wanted."""
    import cv2

    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(index[0]))
        frames = []
        for number in range(int(index[0]), int(index[-1]) + 1):
            capture.grab()
            if number in index:
                frames.append(_rgb(capture.retrieve()[1], size))
        return np.stack(frames)
    finally:
        capture.release()


def read_mv_extractor(path: str, index: npt.NDArray[np.int64], size: int | None) -> Frames:
    """mv-extractor cannot seek: it decodes from the start, and gives the vectors of a frame with its pixels."""
    from mvextractor.videocap import VideoCap

    capture = VideoCap()
    if not capture.open(path):
        raise OSError(f"{path}: mv-extractor cannot open it")
    try:
        frames, wanted = [], set(index.tolist())
        for number in range(int(index[-1]) + 1):
            capture.grab()
            if number in wanted:
                frames.append(_rgb(capture.retrieve()[1], size))
        return np.stack(frames)
    finally:
        capture.release()


def mv_extractor_vectors(path: str, *, pixels: bool) -> Iterator[npt.NDArray[Any]]:
    """The vectors of every frame by mv-extractor, with the pixels converted or not."""
    from mvextractor.videocap import VideoCap

    capture = VideoCap()
    if not capture.open(path):
        raise OSError(f"{path}: mv-extractor cannot open it")
    try:
        capture.set_decode_frames(pixels)
        while (result := capture.read())[0]:
            yield result[2]
    finally:
        capture.release()


def _rgb(picture: Frames, size: int | None) -> Frames:
    import cv2

    if size is not None:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


PEERS = (
    Peer("decord", "decord", "decord", "FFmpeg's scaler, bilinear", read_decord),
    Peer(
        "torchcodec, exact",
        "torchcodec",
        "torchcodec.decoders",
        "FFmpeg's filters, to RGB first",
        lambda path, index, size: read_torchcodec(path, index, size, mode="exact"),
    ),
    Peer(
        "torchcodec, approximate",
        "torchcodec",
        "torchcodec.decoders",
        "FFmpeg's filters, to RGB first",
        lambda path, index, size: read_torchcodec(path, index, size, mode="approximate"),
    ),
    Peer("OpenCV", "opencv", "cv2", "two taps an axis", read_opencv),
    Peer("PyAV, as a user writes it", "av", "av", "FFmpeg's scaler, bilinear", read_pyav),
    Peer(
        "mv-extractor, frames + vectors",
        "motion-vector-extractor",
        "mvextractor.videocap",
        "two taps an axis (OpenCV)",
        read_mv_extractor,
    ),
)


def load_peers() -> tuple[list[Peer], dict[str, str]]:
    """The peers that load, and for every other its name and one line why not."""
    loaded: list[Peer] = []
    missing: dict[str, str] = {}
    for peer in PEERS:
        try:
            module = importlib.import_module(peer.module)
        # A missing package; a shared library that is missing; torchcodec without FFmpeg's libraries.
        except (ImportError, OSError, RuntimeError) as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            missing[peer.name] = f"{type(error).__name__}: {reason.strip()[:120]}"
            continue
        if peer.module == "cv2":
            module.setNumThreads(1)
        loaded.append(peer)
    return loaded, missing


def version_of(peer: Peer) -> str:
    """Version of a loaded peer."""
    if peer.module == "cv2":  # one module, four packages
        return str(importlib.import_module("cv2").__version__)
    return metadata.version(peer.package)
