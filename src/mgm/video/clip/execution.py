"""A plan carried out: one decode pass, and the frames and motion that it gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.spans import span
from mgm.video.clip.clip_motion import aggregate, motion_from_vectors
from mgm.video.clip.decode import Decoded, decode
from mgm.video.clip.plan import Plan
from mgm.video.clip.rgb import FrameConverter, MultiCropConverter
from mgm.video.container.packets import PacketWindow, UncountableError
from mgm.video.container.stream import OpenVideo
from mgm.video.motion.cache import DamagedSidecarError, Sidecar
from mgm.video.motion.camera import remove_camera
from mgm.video.motion.estimators import PairwiseMotion
from mgm.video.motion.field import MotionField, VectorField, grid_shape


@dataclass(frozen=True, slots=True)
class Read:
    """What a decode pass gave.

    Attributes:
        decoded: by number, every frame that came out.
        wanted: int64 (T,), the numbers of the sampled frames.
        pts: float64 (T,), their presentation times in seconds.
        motions: of the sampled frames, one per region; None where it was not asked for.
    """

    decoded: dict[int, Decoded]
    wanted: npt.NDArray[np.int64]
    pts: npt.NDArray[np.float64]
    motions: tuple[MotionField | None, ...]

    def entered_at_no_key(self, window: PacketWindow) -> bool:
        """Whether decoding began behind the start of the video at a picture that the container called key, and is none."""
        if not window.base or not window.order or window.coded[0].pts not in window.order:
            return False
        first = self.decoded.get(window.base + window.order.index(window.coded[0].pts))
        return first is not None and first.kind in "PB"

    def images(self, region: int) -> npt.NDArray[np.uint8]:
        """uint8 (T, H, W, 3)."""
        found = [image for i in self.wanted.tolist() if (image := self.decoded[i].image) is not None]
        return np.stack([image[region] if isinstance(image, tuple) else image for image in found])


def carry_out(video: OpenVideo, window: PacketWindow, plan: Plan) -> Read:
    """Decode a window as a plan says, on a decoder that `configure` set for it.

    Raises:
        UncountableError: a frame that its packets promised did not come.
        DamagedSidecarError: the plan's sidecar is not of this video.
        VideoError: the stream is damaged, or ends before the clip.
    """
    request, source, sidecar = plan.request, plan.source, plan.sidecar
    regions = [FrameConverter(size=request.size, crop=c, name=video.name) for c in request.crops or (request.crop,)]
    converter = MultiCropConverter(tuple(regions)) if request.crops else regions[0]
    pairs = None if source is None or source == "codec" else PairwiseMotion(source, plan.stride_of)
    if window.order:
        wanted = plan.sampled(window.base + len(window.order), ended=window.ended)
        needs = plan.needs(wanted, window)
        decoded = decode(video, window, needs, converter, pairs, last=plan.last)
        # What was promised by the packets and did not come shifts the numbers of all that follows.
        numbers = range(window.base, window.base + len(window.order))
        if any(needs.any(i) and i not in decoded for i in numbers) or not set(wanted.tolist()) <= set(numbers):
            raise UncountableError
    else:  # no presentation times: count the frames as they leave the decoder
        decoded = decode(video, window, plan.needs_untimed(), converter, pairs, last=plan.last)
        wanted = plan.sampled(len(decoded), ended=window.ended or plan.last is None or len(decoded) <= plan.last)
    extent = converter.shape
    if sidecar is not None and not request.with_pixels:
        pts = _stored_pts(sidecar, wanted)
    elif window.order:
        pts = np.array(window.order)[wanted - window.base] * video.time_base
    else:
        pts = np.array([decoded[i].seconds for i in wanted.tolist()])
    if source is None:
        return Read(decoded, wanted, pts, (None,) * len(regions))
    if pairs is not None:
        try:
            with span("field"):
                motion = MotionField.of(pairs.field(wanted), pairs.estimator.name, extent)
        except VideoError as error:
            raise error.about(video.name) from None
    elif sidecar is not None:
        _check_numbers(sidecar, window, video, pts, wanted)
        with span("field"):
            motion = MotionField.of(_stored_field(sidecar, plan, wanted), "codec", extent)
    else:
        with span("field"):
            found = motion_from_vectors(
                video, window, decoded, wanted, plan.moving(wanted), plan.steps, grid_shape(*extent)
            )
        motion = MotionField.of(found, "codec", extent)
    if request.camera != "none":
        with span("field"):
            motion = remove_camera(motion, request.camera)
    return Read(decoded, wanted, pts, tuple(region.transform_motion(motion) for region in regions))


def _stored_pts(sidecar: Sidecar, wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    if wanted.max() >= sidecar.num_frames:
        raise DamagedSidecarError(
            f"{sidecar.path}: has {sidecar.num_frames} frames, expected {wanted.max() + 1}; delete it"
        )
    return sidecar.pts_seconds[wanted]


def _check_numbers(
    sidecar: Sidecar,
    window: PacketWindow,
    video: OpenVideo,
    pts: npt.NDArray[np.float64],
    wanted: npt.NDArray[np.int64],
) -> None:
    """Raise DamagedSidecarError where the sidecar does not number frames as this reading does."""
    if window.order:
        pts = np.array(window.order)[wanted - window.base] * video.time_base
    same = np.array_equal(pts, _stored_pts(sidecar, wanted), equal_nan=True)
    short = window.ended and window.order and window.base + len(window.order) != sidecar.num_frames
    if not same or short:
        raise DamagedSidecarError(f"{sidecar.path}: numbers frames otherwise than {video.name}; delete it")


def _stored_field(sidecar: Sidecar, plan: Plan, wanted: npt.NDArray[np.int64]) -> VectorField:
    numbers = plan.moving(wanted)
    field = sidecar.read(numbers[0], numbers[-1])
    if len(numbers) < len(field):
        field = field[np.array(numbers) - numbers[0]]
    return aggregate(numbers, field, wanted, plan.steps)
