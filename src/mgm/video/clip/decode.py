"""The decode loop: one pass over a window of packets, for the pixels of the sampled frames and the vectors of their motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import av.video.frame
import numpy as np
import numpy.typing as npt

from mgm.spans import span
from mgm.video.clip.options import Crop
from mgm.video.clip.plan import ClipPlan, FrameNeeds, frame_needs, sample_frames
from mgm.video.clip.rgb import FrameConverter, MultiCropConverter, PictureConverter
from mgm.video.container.clip_packets import PacketWindow
from mgm.video.container.frame_clock import FrameClock
from mgm.video.container.shortcuts import ShortcutFailedError, UncountableError
from mgm.video.container.stream import OpenVideo, Packet, decode_packet
from mgm.video.motion.estimators import PairwiseMotion
from mgm.video.motion.field import grid_shape
from mgm.video.motion.reference_distance import ReferenceGraph
from mgm.video.motion.vectors import PICTURE_TYPES, Place, VectorMemory, exported_vectors


@dataclass(slots=True)
class DecodedFrame:
    """The parts of a decoded frame that a clip uses.

    Attributes:
        time: presentation time in the stream's time base; the frame's number for streams without presentation times.
        seconds: the same in seconds.
        kind: "I", "P" or "B".
        images: uint8 (H, W, 3) of each region; None: not needed.
        vectors: place of its vectors in those of the clip; None: not needed, or none.
        shape: (height, width) of the coded picture.
        packet: the presentation time of its packet.
    """

    time: float
    seconds: float
    kind: str
    images: tuple[npt.NDArray[np.uint8], ...] | None
    vectors: Place | None
    shape: tuple[int, int]
    packet: int | None


@dataclass(frozen=True, slots=True, eq=False)
class DecodedClip:
    """The result of a decode pass.

    Attributes:
        frames: by number, every frame that left the decoder.
        sampled: int64 (T,), the numbers of the sampled frames.
        pts_seconds: float64 (T,), their presentation times.
        converter: for each region, that of its pixels.
        pairs: the measured motion; None: not by an estimator.
        vectors: of the frames that need them.
        graph: see `FrameNeeds`.
    """

    frames: dict[int, DecodedFrame]
    sampled: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]
    converter: MultiCropConverter
    pairs: PairwiseMotion | None
    vectors: VectorMemory
    graph: ReferenceGraph | None

    def images(self, region: int) -> npt.NDArray[np.uint8]:
        """The pixels of a region, uint8 (T, H, W, 3)."""
        found = [images for i in self.sampled.tolist() if (images := self.frames[i].images) is not None]
        return self.converter.regions[region].together([images[region] for images in found])


def decode_clip(video: OpenVideo, window: PacketWindow, plan: ClipPlan, crops: Sequence[Crop]) -> DecodedClip:
    """Decode the frames that a plan needs, on a decoder that `configure` set up for it.

    Args:
        crops: the regions whose pixels are converted; see `crop` of `ClipOptions`.

    Raises:
        ShortcutFailedError: a frame is missing that the packets announced, or the window begins at a false keyframe.
        VideoError: the stream is damaged, or ends before the clip.
    """
    size, count = plan.options.size, 0
    if window.order:
        sampled = sample_frames(
            plan.name, plan.options, window.base + len(window.order), start=plan.start, ended=window.ended
        )
        count = len(np.unique(sampled))
    converter = MultiCropConverter(
        tuple(FrameConverter(size, crop, plan.name, video.orientation, count) for crop in crops)
    )
    pairs = None if plan.source is None or plan.source == "codec" else PairwiseMotion(plan.source, plan.stride_of)
    vectors = VectorMemory()
    if window.order:
        decoder = ClipDecoder(video, window, frame_needs(plan, window, sampled), converter, pairs, vectors)
        frames = decoder.decode(plan.last)
        decoder.check_complete(sampled)
        pts_seconds = np.array(window.order)[sampled - window.base] * video.time_base
    else:
        decoder = ClipDecoder(video, window, frame_needs(plan, window, None), converter, pairs, vectors)
        frames = decoder.decode(plan.last)
        ended = window.ended or plan.last is None or len(frames) <= plan.last
        sampled = sample_frames(plan.name, plan.options, len(frames), start=plan.start, ended=ended)
        pts_seconds = np.array([frames[i].seconds for i in sampled.tolist()])
    converter.release()
    return DecodedClip(frames, sampled, pts_seconds, converter, pairs, vectors, decoder.needs.graph)


@dataclass(slots=True)
class ClipDecoder:
    """Decodes a window up to the last needed frame.

    Attributes:
        frames: by number, every frame that left the decoder so far.
        pending: presentation times of needed frames that have not left the decoder.
        newest: the kind of the frame that left the decoder last.
    """

    video: OpenVideo
    window: PacketWindow
    needs: FrameNeeds
    converter: MultiCropConverter
    pairs: PairwiseMotion | None
    vectors: VectorMemory
    frames: dict[int, DecodedFrame] = field(init=False, default_factory=dict)
    pending: set[int] = field(init=False)
    newest: str = field(init=False, default="")
    _last: int | None = field(init=False, default=None)
    _number: dict[int, int] = field(init=False)
    _picture: PictureConverter | None = field(init=False, default=None)
    _observing: bool = field(init=False, default=True)
    _clock: FrameClock = field(init=False)

    def __post_init__(self) -> None:
        self._clock = FrameClock(self.video)
        self._number = self.window.frame_numbers
        self.pending = {pts for pts, number in self._number.items() if self.needs.any(number)}
        if self.pairs is not None:
            self._picture = PictureConverter(self.pairs.estimator.pixel_format, self.pairs.estimator.shrink)

    def decode(self, last: int | None) -> dict[int, DecodedFrame]:
        """By number, every frame that left the decoder, up to frame `last`."""
        self._last = last
        if self._number and self.video.codec == "h264":
            for packet in self._needed():
                self._decode(packet)
        else:
            # The MPEG decoders, unlike that of H.264, lose the vectors of the picture that a flush returns: decode on until the
            # last needed one has left by itself.
            for coded in self.window.coded:
                if not self.pending and self._is_complete(last):
                    break
                self._decode(coded.packet)
        self._decode(None)
        return self.frames

    def check_complete(self, sampled: npt.NDArray[np.int64]) -> None:
        """Raise ShortcutFailedError if the frames do not agree with their packets.

        A frame that its packet announced and that did not leave the decoder shifts the numbers of all later ones.
        """
        window = self.window
        numbers = range(window.base, window.base + len(window.order))
        if any(self.needs.any(i) and i not in self.frames for i in numbers):
            raise UncountableError
        if not set(sampled.tolist()) <= set(numbers):
            raise UncountableError
        if window.base and window.coded[0].pts in self._number:
            entry = self.frames.get(self._number[window.coded[0].pts])
            if entry is not None and entry.kind in "PB":
                raise ShortcutFailedError("keyframe_flags", lasting=True)

    def _decode(self, packet: Packet | None) -> None:
        with span("decode"):
            frames = decode_packet(self.video, packet)
        for frame in frames:
            self._keep(frame)

    def _keep(self, frame: av.video.frame.VideoFrame) -> None:
        needs, pairs, packet = self.needs, self.pairs, frame.pts
        if self._number:
            if packet is None or (found := self._number.get(packet)) is None:
                return
            number, time, seconds = found, packet, packet * self.video.time_base
            self.pending.discard(time)
        else:
            number = time = len(self.frames)
            seconds = self._clock(None if packet is None else self.window.coded[packet].own_time)
        # Where frames are counted, later ones may leave the decoder, too.
        if self._observing and needs.any(number) and (self._number or self._last is None or number <= self._last):
            self.converter.observe(frame)
            self._observing = self.converter.observes_all
        if pairs is not None and self._picture is not None and number in needs.picture:
            with span("field"):
                pairs.grid = grid_shape(*self.converter.shape)
                pairs.add(number, self._picture(frame, self.converter.shape))
        self.newest = PICTURE_TYPES[int(frame.pict_type)]
        vectors = None
        if number in needs.vectors or (needs.anchors is not None and number >= needs.anchors and self.newest != "B"):
            exported = exported_vectors(frame)
            vectors = None if exported is None else self.vectors.copy(cast(bytes, exported))
        images = self.converter(frame) if number in needs.image else None
        shape = frame.height, frame.width
        self.frames[number] = DecodedFrame(time, seconds, self.newest, images, vectors, shape, packet)

    def _is_complete(self, last: int | None) -> bool:
        """Whether no further picture is needed, if none is pending."""
        complete = bool(self._number) or (last is not None and len(self.frames) > last)
        return complete and (self.needs.anchors is None or self.newest != "B")

    def _needed(self) -> list[Packet]:
        """The packets of the H.264 pictures that the clip or a picture of the clip needs, in decode order.

        Two kinds are left out: pictures to which no other refers, and pictures after the last needed one of their group, since
        decoding restarts at the next IDR picture. Frames far apart are read without most of the pictures between.
        """
        found = []
        needed = False
        for coded in reversed(self.window.coded):
            pending = coded.pts in self.pending
            needed = needed or pending
            if needed and (pending or coded.reference):
                found.append(coded.packet)
            if coded.idr:
                needed = False
        return found[::-1]
