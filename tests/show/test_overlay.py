"""An overlay shows every frame, upright, with what moves marked and what does not left alone."""

from pathlib import Path

import av
import numpy as np
import pytest

from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import FileError, MgmError, VideoError
from mgm.show import overlay
from mgm.show.figures import colour_motion
from mgm.show.overlay import overlay_video, wheel
from mgm.video.clip.whole_video import motion_chunks
from mgm.video.transcode.write import write_video
from tests.errors import raises
from tests.video.clips import decode_by_pyav, remux

SIZE = (120, 160)


@pytest.fixture(scope="module")
def moving(tmp_path_factory) -> Path:
    """Everything moves to the right by 3 px a frame; two groups of pictures."""
    path = tmp_path_factory.mktemp("overlay") / "moving.mp4"
    return make_translation(path, velocity=(3, 0), frames=16, size=SIZE, gop=8)


@pytest.fixture(scope="module", params=["arrows", "wheel"])
def drawn(request, moving, tmp_path_factory):
    out = tmp_path_factory.mktemp("drawn") / f"{request.param}.mp4"
    totals = overlay_video(moving, out, request.param)
    return request.param, out, totals


def test_every_frame_is_there_enlarged_with_a_bar(drawn, moving):
    style, out, totals = drawn
    frames = decode_by_pyav(out)
    assert len(frames) == totals.frames == 16
    height, width = frames.shape[1:3]
    assert width == 160 * 4
    assert height == 120 * 4 + {"arrows": 40, "wheel": 66}[style]
    with av.open(str(out)) as container, av.open(str(moving)) as source:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].average_rate == source.streams.video[0].average_rate
    assert totals.mean == pytest.approx(np.concatenate([c.motion.magnitude for c in motion_chunks(moving)]).mean())
    assert list(out.parent.iterdir()) == [out]


def test_the_bar_has_a_legend_and_the_time(drawn):
    _, out, _ = drawn
    bars = decode_by_pyav(out)[:, 482:]
    left, right = bars[:, :, :300], bars[:, :, -80:]
    assert left.max() > 180  # words
    assert np.abs(left[0].astype(int) - left[5]).mean() < 1
    assert np.abs(right[0].astype(int) - right[5]).max() > 100  # another time


def test_a_still_video_is_left_alone(tmp_path):
    """Only the codec's own traces remain."""
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 256, (15, 20, 1)), np.ones((8, 8, 3))).astype(np.uint8)
    write_video(tmp_path / "still.mp4", [picture] * 6, fps=25, options={"crf": 10})
    overlay_video(tmp_path / "still.mp4", tmp_path / "out.mp4")
    shown = decode_by_pyav(tmp_path / "out.mp4")[3, :480].astype(int)
    expected = np.kron(picture, np.ones((4, 4, 1), np.uint8)).astype(int)
    assert np.abs(shown - expected)[8:-8, 8:-8].mean() < 12
    other = (np.abs(shown - expected).min(axis=-1) > 100)[8:-8, 8:-8]
    wide = other[1:-1, 1:-1] & other[2:, 1:-1] & other[:-2, 1:-1] & other[1:-1, 2:] & other[1:-1, :-2]
    assert wide.mean() < 1e-5  # edges are coarser, but there is no arrow


def field(vector: tuple[float, float]) -> np.ndarray:
    return np.broadcast_to(np.float32(vector), (15, 20, 2))


def painted(style, vector, *, valid=True, full_scale=4.0, ground=128, cells=None):
    picture = np.full((480, 640, 3), ground, np.uint8)
    make = overlay._Arrows if style == "arrows" else overlay._Wheel
    vectors, seen = field(vector).copy(), np.full((15, 20), valid)
    if cells is not None:
        vectors[~cells] = 0
    return make((480, 640), (120, 160), full_scale).draw(picture, vectors, seen).astype(int)


@pytest.mark.parametrize("vector", [(3, 0), (-3, 0), (0, 3), (0, -3)])
def test_arrows_point_where_the_content_goes(vector):
    """The head is the wide end."""
    one = np.zeros((15, 20), np.bool_)
    one[8, 10] = True
    shown = painted("arrows", vector, cells=one, ground=0)
    y, x = np.nonzero(shown[..., 0] > 100)
    along, across = (x, y) if vector[0] else (y, x)
    assert np.ptp(along) > 2 * np.ptp(across)
    middle = (along.min() + along.max()) / 2
    before, behind = np.ptp(across[along > middle]), np.ptp(across[along < middle])
    assert (before > 2 * behind) == (sum(vector) > 0)
    # Its middle is the middle of the cell.
    assert np.array([x.min() + x.max(), y.min() + y.max()]) / 2 == pytest.approx([10.5 * 32, 8.5 * 32], abs=2)


def test_arrows_are_as_long_as_the_motion_and_legible_on_any_ground():
    one = np.zeros((15, 20), np.bool_)
    one[8, 10] = True
    lengths = []
    for speed in (1, 2, 4):
        shown = painted("arrows", (speed, 0), cells=one, ground=0)
        lengths.append(np.ptp(np.nonzero(shown[..., 0] > 100)[1]))
    assert lengths[1] / lengths[0] == pytest.approx(2, rel=0.15)
    assert lengths[2] / lengths[1] == pytest.approx(2, rel=0.15)
    for ground in (0, 128, 255):
        shown = painted("arrows", (4, 0), ground=ground)
        assert np.ptp(shown[200:300, 200:300].sum(axis=-1)) > 250


@pytest.mark.parametrize("style", ["arrows", "wheel"])
def test_filled_vectors_are_faint(style):
    measured = np.abs(painted(style, (4, 0)) - 128).sum()
    held = np.abs(painted(style, (4, 0), valid=False) - 128).sum()
    assert 0.2 * measured < held < 0.75 * measured


@pytest.mark.parametrize("vector", [(1, 0), (0, 1), (-1, 0), (0, -1), (0.6, -0.8)])
def test_the_wheel_has_the_colours_of_all_figures(vector):
    full, opacity = overlay.wheel_colour(np.float32(vector))
    field = np.float32(vector)[None, None, None]
    assert full == pytest.approx(colour_motion(field, extent=(8, 8), full_scale=1)[0, 0, 0], abs=1)
    assert opacity == pytest.approx(0.8)
    assert overlay.wheel_colour(np.float32(vector) / 2)[0] == pytest.approx(full, abs=1)
    side = wheel(101)
    x, y = (50 + round(48 * v) for v in vector)
    assert side[y, x] == pytest.approx(0.8 * full + 0.2 * 128, abs=12)
    assert side[50, 50] == pytest.approx([128] * 3, abs=3)


def test_faster_is_denser_and_still_is_grey():
    shown = [painted("wheel", (speed, 0))[240, 320] for speed in (0, 1, 2, 4, 40)]
    tint = [c[0] - c[1] for c in shown]
    assert tint[0] == 0
    assert tint[0] < tint[1] < tint[2] < tint[3] == tint[4]


def test_a_turned_video_is_upright(moving, tmp_path):
    """Its content moves up."""
    turned = remux(moving, tmp_path / "turned.mp4", rotation=90)
    overlay_video(turned, tmp_path / "wheel.mp4", "wheel", full_scale=3)
    shown = decode_by_pyav(tmp_path / "wheel.mp4")[4]
    assert shown.shape[:2] == (640 + 66, 480)
    red, green, blue = shown[200:400, 150:350].reshape(-1, 3).mean(axis=0)
    assert blue > red > green  # up is violet
    overlay_video(moving, tmp_path / "straight.mp4", "wheel", full_scale=3)
    red, green, blue = decode_by_pyav(tmp_path / "straight.mp4")[4, 150:350, 200:400].reshape(-1, 3).mean(axis=0)
    assert red > max(green, blue) + 30  # right is coral


@pytest.mark.parametrize("size", [(16, 16), (34, 50), (40, 200)])
def test_any_size_is_drawn(tmp_path, size):
    make_translation(tmp_path / "a.mp4", velocity=(2, 0), frames=4, size=size)
    for style in ("arrows", "wheel"):
        overlay_video(tmp_path / "a.mp4", tmp_path / "out.mp4", style)
        frames = decode_by_pyav(tmp_path / "out.mp4")
        assert len(frames) == 4
        assert min(frames.shape[1:3]) >= 480


def test_without_vectors_flow_is_drawn(tmp_path):
    pytest.importorskip("cv2")
    make_translation(tmp_path / "a.webm", velocity=(3, 0), frames=6, size=SIZE, codec="libvpx-vp9")
    assert overlay_video(tmp_path / "a.webm", tmp_path / "out.mp4").source == "flow"
    assert len(decode_by_pyav(tmp_path / "out.mp4")) == 6


@pytest.mark.parametrize(
    ("out", "style", "reason"),
    [
        ("a.webm", "arrows", "unsupported"),
        ("a.mp4", "rainbow", "unknown_name"),
    ],
)
def test_refuses_invalid_outputs_and_styles(moving, tmp_path, out, style, reason):
    (tmp_path / "file").touch()
    with raises(MgmError, reason, subject=tmp_path / out):
        overlay_video(moving, tmp_path / out, style)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written(moving, tmp_path):
    (tmp_path / "file").touch()
    with raises(FileError, "cannot_write", subject=tmp_path / "file" / "a.mp4"):
        overlay_video(moving, tmp_path / "file" / "a.mp4")


def test_a_damaged_video_leaves_nothing(moving, tmp_path):
    data = moving.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError):
        overlay_video(tmp_path / "cut.mp4", tmp_path / "out.mp4", full_scale=3)
    assert [p.name for p in tmp_path.iterdir()] == ["cut.mp4"]


def test_the_video_itself_is_not_drawn_over(tmp_path):
    path = make_translation(tmp_path / "clip.mp4", velocity=(2, 1), frames=3, size=(64, 96))
    before = path.read_bytes()
    with raises(FileError, "exists", subject=path):
        overlay_video(path, path)
    assert path.read_bytes() == before
