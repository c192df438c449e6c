"""Codec vectors and flow against scenes of known motion: a zoom, and an object over a panning ground."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from mgm.data.synthetic.known_motion import object_over_pan_frames, zooming_frames
from mgm.video import MotionField, read_clip
from mgm.video.motion.camera import remove_camera
from mgm.video.motion.estimators import DisFlow, needed_pictures, pairwise_field
from mgm.video.motion.field import grid_shape
from mgm.video.transcode.write import write_video

ZOOMS = [1.02, 1 / 1.02]
SIZE = (144, 192)
FRAMES = 25
Box = tuple[float, float, float, float]

# Options of the encoder besides its defaults, size of the frames, pixel format.
STREAMS: dict[str, tuple[dict[str, str | int], tuple[int, int], str]] = {
    "baseline": ({"profile": "baseline"}, SIZE, "yuv420p"),
    "b-frames": ({"bf": 3, "refs": 1, "b_strategy": 0}, SIZE, "yuv420p"),
    "multi-reference": ({"bf": 0, "refs": 5}, SIZE, "yuv420p"),
    "multi-reference b-frames": ({"bf": 3, "refs": 4}, SIZE, "yuv420p"),
    "open gop": ({"g": 10, "x264-params": "open-gop=1"}, SIZE, "yuv420p"),
    "no multiples of 16": ({}, (150, 202), "yuv420p"),
    "odd sides": ({}, (141, 187), "yuv444p"),
}


def centres(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x and y, from the upper left corner, of the centre of each cell's pixels: (gh, gw) each."""
    y, x = (
        (np.arange(cells) * 8 + np.minimum(np.arange(1, cells + 1) * 8, length)) / 2
        for cells, length in zip(grid_shape(*size), size, strict=True)
    )
    across, down = np.meshgrid(x, y)
    return across, down


def true_zoom(zoom: float, size: tuple[int, int], spans: Sequence[float]) -> np.ndarray:
    """(T, gh, gw, 2): the displacement of each cell's content over the last `spans` frames."""
    x, y = centres(size)
    from_centre = np.stack([x - size[1] / 2, y - size[0] / 2], axis=-1)
    return (1 - zoom ** -np.asarray(spans, float))[:, None, None, None] * from_centre


def check(motion: MotionField, truth: np.ndarray, *, stride: int, error: float) -> None:
    """`error` bounds the median over the cells, in pixels per frame of the stride."""
    measured, true = motion.vectors[motion.valid], truth[motion.valid]
    assert motion.valid.mean() > 0.85
    assert np.corrcoef(measured.ravel(), true.ravel())[0, 1] > 0.95
    assert np.median(np.abs(measured - true).max(axis=-1)) < error * stride
    clear = np.abs(true) > 0.5 * stride
    assert clear.sum() > 200
    assert np.mean(np.sign(measured[clear]) == np.sign(true[clear])) > 0.97
    # The median vector is neither too short nor too long.
    assert np.median(measured[clear] / true[clear]) == pytest.approx(1, abs=0.08)


@cache
def zoomed(zoom: float, size: tuple[int, int]) -> list[np.ndarray]:
    return list(zooming_frames(zoom=zoom, times=range(FRAMES), size=size))


@pytest.mark.parametrize("zoom", ZOOMS)
@pytest.mark.parametrize("stream", STREAMS)
def test_codec_vectors_follow_a_zoom(tmp_path: Path, stream: str, zoom: float):
    options, size, pixel_format = STREAMS[stream]
    path = tmp_path / "zoom.mp4"
    write_video(path, zoomed(zoom, size), fps=25, options=options, pixel_format=pixel_format)
    for stride in (1, 4):
        motion = read_clip(path, start=stride, frames=None, stride=stride, size=None, motion="codec").motion
        assert motion is not None
        # Blocks of 16 px have one vector each, and x264 copies that of a neighbouring block if it is cheaper.
        check(motion, true_zoom(zoom, size, [stride] * len(motion.vectors)), stride=stride, error=0.22)


def encode_at(path: Path, frames: Iterable[np.ndarray], times: Sequence[int], base: Fraction) -> None:
    """H.264 with each frame at its own time, in units of `base`."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"x264-params": "cpu-independent=1"})
        stream.pix_fmt, stream.height, stream.width = "yuv420p", *SIZE
        stream.codec_context.time_base, stream.codec_context.thread_count = base, 1
        for frame, time in zip(frames, times, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = int(time), base
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


@pytest.mark.parametrize("zoom", ZOOMS)
def test_codec_vectors_follow_a_zoom_at_a_variable_rate(tmp_path: Path, zoom: float):
    """Frames come after 20 to 80 ms; the camera zooms evenly in time."""
    gaps = np.random.default_rng(0).choice([2, 4, 4, 6, 8], FRAMES - 1)
    times = np.concatenate([[0], np.cumsum(gaps)])
    path = tmp_path / "variable.mp4"
    encode_at(path, zooming_frames(zoom=zoom, times=(times / 4).tolist(), size=SIZE), times.tolist(), Fraction(1, 100))
    for stride in (1, 4):
        clip = read_clip(path, start=stride, frames=None, stride=stride, size=None, motion="codec")
        np.testing.assert_allclose(clip.pts_seconds * 100, times[clip.frame_indices], atol=1e-6)
        assert clip.motion is not None
        spans = (times[clip.frame_indices] - times[clip.frame_indices - stride]) / 4
        check(clip.motion, true_zoom(zoom, SIZE, spans), stride=stride, error=0.22)


def flow_of(path: Path, size: tuple[int, int], stride: int) -> MotionField:
    """The estimate of `DisFlow` on the decoded luma of every `stride`-th frame from frame `stride` on."""
    source = DisFlow()
    height, width = (-(-side // source.shrink) for side in size)
    wanted = np.arange(stride, FRAMES, stride)
    needed = needed_pictures(wanted, stride)
    with av.open(str(path)) as container:
        pictures = {
            number: frame.reformat(width, height, "gray", interpolation="AREA").to_ndarray()
            for number, frame in enumerate(container.decode(video=0))
            if number in needed
        }
    return MotionField.of(pairwise_field(source, pictures, wanted, stride, grid_shape(*size)), source.name, size)


@pytest.mark.parametrize("zoom", ZOOMS)
@pytest.mark.parametrize("stream", ["b-frames", "no multiples of 16", "odd sides"])
def test_flow_follows_a_zoom(tmp_path: Path, stream: str, zoom: float):
    pytest.importorskip("cv2")
    options, size, pixel_format = STREAMS[stream]
    path = tmp_path / "zoom.mp4"
    write_video(path, zoomed(zoom, size), fps=25, options=options, pixel_format=pixel_format)
    for stride in (1, 4):
        motion = flow_of(path, size, stride)
        check(motion, true_zoom(zoom, size, [stride] * len(motion.vectors)), stride=stride, error=0.15)


SCENE = (192, 256)
SCENES = {"against": ((5, 1), (-3, -1), 56), "across": ((-4, 2), (1, 3), 64)}
"""Velocity of the pan, velocity of the object on the screen, side of the object."""


def in_view_before(scene: str, box: Box, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """(cells of the object, those and the cells whose ground was visible `stride` frames ago): bool (gh, gw) each.

    Ground that enters the frame or reappears behind the object has no earlier position: every vector is wrong there. The margin is
    one macroblock.
    """
    pan, velocity, _ = SCENES[scene]
    x, y = centres(SCENE)
    own = (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])
    was_x, was_y = x - pan[0] * stride, y - pan[1] * stride
    seen = (was_x > 16) & (was_x < SCENE[1] - 16) & (was_y > 16) & (was_y < SCENE[0] - 16)
    for ago in np.linspace(0, stride, 9):
        then = [(box[k] - velocity[k % 2] * ago) + (16 if k > 1 else -16) for k in range(4)]
        at_x, at_y = x - pan[0] * ago, y - pan[1] * ago
        seen &= ~((at_x > then[0]) & (at_x < then[2]) & (at_y > then[1]) & (at_y < then[3]))
    return own, seen | own


@cache
def scene_frames(scene: str, seed: int) -> list[tuple[np.ndarray, Box]]:
    pan, velocity, side = SCENES[scene]
    return list(object_over_pan_frames(pan=pan, velocity=velocity, side=side, frames=FRAMES, size=SCENE, seed=seed))


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("source", ["defaults", "baseline", "one reference", "flow"])
def test_without_the_camera_the_peak_is_on_the_object(tmp_path: Path, source: str, scene: str):
    """In the cells where a vector can be right; see `in_view_before`."""
    options = {"baseline": {"profile": "baseline"}, "one reference": {"bf": 0, "refs": 1}}.get(source, {})
    if source == "flow":
        pytest.importorskip("cv2")
    stride = 2
    hits: dict[str, list[bool]] = {"none": [], "median": [], "affine": []}
    for seed in (0, 1):
        frames = scene_frames(scene, seed)
        path = tmp_path / f"{seed}.mp4"
        write_video(path, [frame for frame, _ in frames], fps=25, options=options)
        numbers = range(stride, FRAMES, stride)
        if source == "flow":
            motion = flow_of(path, SCENE, stride)
        else:
            clip = read_clip(path, start=stride, frames=None, stride=stride, size=None, motion="codec")
            assert clip.motion is not None
            motion = clip.motion
        for how, list_ in hits.items():
            magnitude = remove_camera(motion, how).magnitude
            for length, number in zip(magnitude, numbers, strict=True):
                own, fair = in_view_before(scene, frames[number][1], stride)
                list_.append(bool(own.flat[np.where(fair, length, -1).argmax()]))
    assert np.mean(hits["median"]) >= 0.95
    assert np.mean(hits["affine"]) >= 0.95
    if source in ("one reference", "flow"):  # with more references, wrong distances are the longest vectors of all
        assert np.mean(hits["none"]) <= 0.5
