"""One decode pass over a window of packets: pixels of the sampled frames, and the vectors that their motion is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import av.video.frame
import numpy as np
import numpy.typing as npt

from mgm.spans import span
from mgm.video.clip.rgb import FrameConverter, MultiCropConverter, PictureConverter
from mgm.video.container.packets import PacketWindow
from mgm.video.container.stream import OpenVideo, decode_packet
from mgm.video.motion.estimators import PairwiseMotion
from mgm.video.motion.field import grid_shape
from mgm.video.motion.vectors import PICTURE_TYPES, frame_vectors

Wanted = Callable[[int], bool]
"""Whether a frame, by its number, is needed for something."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Which frames are wanted for what.

    Attributes:
        image: converted to pixels of the clip.
        vectors: their motion vectors are kept.
        picture: given to a source of motion that compares pictures.
        anchors: from this frame on the vectors of I- and P-pictures are kept as well, and decoding goes on to the one behind the
            last frame that is wanted: for codecs whose packets do not tell which pictures enclose a frame.
    """

    image: Wanted
    vectors: Wanted
    picture: Wanted
    anchors: int | None = None

    def any(self, number: int) -> bool:
        """Whether the frame is wanted for anything."""
        return self.image(number) or self.vectors(number) or self.picture(number)


def never(number: int) -> bool:
    """Wants no frame."""
    return False


@dataclass(slots=True)
class Decoded:
    """What is kept of a decoded frame."""

    time: float  # in the stream's time base; the frame's number where there are no presentation times
    seconds: float
    kind: str
    image: npt.NDArray[np.uint8] | tuple[npt.NDArray[np.uint8], ...] | None
    vectors: npt.NDArray[np.void] | None
    packet: int | None  # the presentation time by which its packet is known


def decode(
    video: OpenVideo,
    window: PacketWindow,
    needs: Needs,
    image_of: FrameConverter | MultiCropConverter,
    pairs: PairwiseMotion | None,
    *,
    last: int | None,
) -> dict[int, Decoded]:
    """Decode a window up to frame `last`: by number, every frame that came out. `pairs` is given the pictures it needs."""
    picture_of = None if pairs is None else PictureConverter(pairs.estimator.pixel_format, pairs.estimator.shrink)
    timed = bool(window.order)
    number = {pts: window.base + i for i, pts in enumerate(window.order)}
    decoded: dict[int, Decoded] = {}
    rate = float(video.stream.average_rate or 0)
    pending = {pts for pts, i in number.items() if needs.any(i)}
    newest = ""

    def take(frames: Iterable[av.video.frame.VideoFrame]) -> None:
        nonlocal newest
        for frame in frames:
            image_of.observe(frame)
            if pairs is not None and pairs.grid is None:
                pairs.grid = grid_shape(frame.height, frame.width)
            if timed:
                if frame.pts is None or frame.pts not in number:
                    continue
                index, time, seconds = number[frame.pts], frame.pts, frame.pts * video.time_base
                pending.discard(time)
            else:
                index = time = len(decoded)
                seconds = index / rate if rate else float("nan")
            if pairs is not None and picture_of is not None and needs.picture(index):
                with span("field"):
                    pairs.add(index, picture_of(frame))
            newest = PICTURE_TYPES[int(frame.pict_type)]
            moves = needs.vectors(index) or (needs.anchors is not None and index >= needs.anchors and newest != "B")
            decoded[index] = Decoded(
                time=time,
                seconds=seconds,
                kind=newest,
                image=image_of(frame) if needs.image(index) else None,
                vectors=_vectors(frame) if moves else None,
                packet=frame.pts,
            )

    # The MPEG decoders lose the vectors of the picture that a flush brings out: there, go on until the last one came by itself.
    tells_references = video.codec == "h264"
    skipped = False
    unneeded = _unneeded(window, pending) if timed and tells_references else set()
    for position, coded in enumerate(window.coded):
        complete = not pending if timed else last is not None and len(decoded) > last
        if complete and (needs.anchors is None or newest != "B"):
            break
        if coded.pts is not None:  # without one it is the second field of the picture before it
            # Nobody wants it and no other picture refers to it: the decoder never sees it.
            skipped = position in unneeded or (timed and coded.reference is False and coded.pts not in pending)
        if skipped:
            continue
        if tells_references and coded.pts is not None:
            pending.discard(coded.pts)  # a flush brings it out
        with span("decode"):
            frames = decode_packet(video, coded.packet)
        take(frames)
    with span("decode"):
        frames = decode_packet(video, None)
    take(frames)
    return decoded


def _vectors(frame: av.video.frame.VideoFrame) -> npt.NDArray[np.void]:
    with span("field"):
        return frame_vectors(frame)


def _unneeded(window: PacketWindow, pending: set[int]) -> set[int]:
    """The positions of the H.264 pictures of a timed window behind the last wanted one of their group: nothing that is wanted
    refers to them, since decoding starts anew at the next IDR picture. Frames far apart are read without most of those between."""
    unneeded = set()
    wanted = False
    for position in reversed(range(len(window.coded))):
        coded = window.coded[position]
        wanted = wanted or coded.pts in pending
        if not wanted:
            unneeded.add(position)
        if coded.idr:
            wanted = False
    return unneeded
