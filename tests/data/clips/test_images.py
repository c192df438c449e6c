"""Still pictures and folders of frames, read like videos."""

import os
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mgm.data.annotations import VideoItem
from mgm.data.clips.images import are_frames, picture_folders, probe_any, read_any, read_any_clips
from mgm.data.clips.source import ClipSettings, FileSource, MemorySource
from mgm.data.loading.dataset import ClipSet, ClipTransform, MaskRule
from mgm.data.loading.views import ViewSet
from mgm.data.synthetic.known_motion import make_translation, translating_frames
from mgm.errors import VideoError
from mgm.masks import build_mask
from mgm.video import read_clip
from mgm.video.container.picture_size import MOST_PICTURE_PIXELS
from mgm.video.motion.estimators import DisFlow
from tests.errors import raises

VELOCITY = (3.0, -2.0)
SIZE = (96, 128)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "still.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def frames():
    return list(translating_frames(velocity=VELOCITY, frames=24, size=SIZE, seed=0))


@pytest.fixture(scope="module")
def folder(frames, tmp_path_factory):
    """The frames of a translating video as mmaction2 stores them, with flow beside them."""
    root = tmp_path_factory.mktemp("frames") / "video"
    root.mkdir()
    for number, frame in enumerate(frames, 1):
        Image.fromarray(frame).save(root / f"img_{number:05d}.png")
        Image.fromarray(frame[..., 0]).save(root / f"flow_x_{number:05d}.png")
    return str(root)


def test_a_picture_is_a_video_of_one_frame(picture):
    info = probe_any(picture)
    assert (info.frames, info.height, info.width, info.motion) == (1, 60, 80, False)
    clip = read_any(picture, frames=8, stride=4, size=None, crop=None, motion="auto")
    whole = np.asarray(Image.open(picture))
    assert clip.frames.shape == (8, 60, 80, 3)
    assert all(np.array_equal(frame, whole) for frame in clip.frames)
    assert clip.motion.vectors.shape == (8, 8, 10, 2)
    assert not clip.motion.vectors.any()
    assert not clip.motion.valid.any()
    assert read_any(picture, motion=None).motion is None


@pytest.mark.parametrize("camera", ["none", "median", "affine"])
@pytest.mark.parametrize("motion", ["auto", "codec", "flow"])
def test_a_picture_has_no_motion_for_any_option(picture, motion, camera):
    field = read_any(picture, frames=4, motion=motion, camera=camera, size=32).motion
    assert not field.vectors.any()
    assert not field.valid.any()


@pytest.mark.parametrize("name", ["mgm", "motion-topk", "mgmae", "tube"])
def test_masks_fall_back_on_pictures(picture, name):
    field = read_any(picture, frames=8, stride=1, size=64).motion
    rule = build_mask(name)
    mask = rule.draw((4, 4, 4), 0.75, field if rule.uses_motion else None, np.random.default_rng(0))
    assert (mask.masked.sum((1, 2)) == 12).all()
    assert mask.fallback.all() == rule.uses_motion


def test_crop_and_size_match_those_of_videos(frames, folder, tmp_path):
    """A lossless video of the same frames is the peer: the same crop, the same size, nearly the same pixels."""
    video = make_translation(tmp_path / "v.mp4", velocity=VELOCITY, frames=24, size=SIZE, options={"crf": 0})
    for options in (
        {"crop": (16, 8, 64, 48), "size": (48, 64)},
        {"crop": "centre", "size": 32},
        {"crop": None, "size": 64},
    ):
        ours = read_any(folder, start=2, frames=4, stride=3, motion="flow", **options)
        theirs = read_clip(video, start=2, frames=4, stride=3, motion="flow", **options)
        assert ours.frames.shape == theirs.frames.shape
        assert np.abs(ours.frames.astype(int) - theirs.frames).mean() < 6  # chroma at half resolution, another filter
        assert ours.motion.extent == theirs.motion.extent
        assert ours.motion.vectors.shape == theirs.motion.vectors.shape
        assert ours.frame_indices.tolist() == theirs.frame_indices.tolist() == [2, 5, 8, 11]


def test_motion_of_frames_is_measured_on_them(folder):
    clip = read_any(folder, start=0, frames=5, stride=2, size=None, crop=None, motion="auto")
    assert clip.motion.source == "flow"
    assert not clip.motion.valid[0].any()
    assert clip.motion.valid[1:].all()
    np.testing.assert_allclose(np.median(clip.motion.vectors[1:], axis=(0, 1, 2)), [6, -4], atol=0.4)
    assert read_any(folder, frames=2, motion="difference").motion.source == "difference"
    own = read_any(folder, frames=3, stride=2, size=None, crop=None, motion=DisFlow(shrink=1))
    np.testing.assert_allclose(np.median(own.motion.vectors[1:], axis=(0, 1, 2)), [6, -4], atol=0.4)
    with raises(VideoError, "no_vectors", message="images-codec-motion"):
        read_any(folder, motion="codec")


def test_a_clip_that_ends_behind_the_frames(folder):
    assert read_any(folder, start=20, frames=4, stride=2, motion=None).frame_indices.tolist() == [20, 22, 22, 22]
    assert read_any(folder, start=20, frames=4, stride=2, motion=None, short="wrap").frame_indices.tolist() == [
        20,
        22,
        20,
        22,
    ]
    with raises(VideoError, "invalid_value", message="images-short-clip"):
        read_any(folder, start=20, frames=4, stride=2, motion=None, short="error")
    with raises(VideoError, "invalid_value", message="images-beyond-end"):
        read_any(folder, start=24, motion=None)
    assert len(read_any(folder, frames=None, stride=5, motion=None).frames) == 5


def test_a_video_is_read_by_the_video_reader(tmp_path):
    video = make_translation(tmp_path / "v.mp4", velocity=(2, 0), frames=8, size=(64, 64))
    ours, theirs = read_any(str(video), frames=4, stride=1), read_clip(video, frames=4, stride=1)
    assert np.array_equal(ours.frames, theirs.frames)
    assert np.array_equal(ours.motion.vectors, theirs.motion.vectors)


def test_rotated_pictures_are_turned_upright(tmp_path):
    """EXIF orientation 6: the camera was rotated by 90 degrees."""
    image = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    info = probe_any(str(tmp_path / "a.jpg"))
    assert (info.height, info.width) == (60, 40)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixel_becomes_rgb(tmp_path, mode):
    image = Image.new("RGB", (16, 16), (200, 100, 50))
    suffix = "jpg" if mode == "CMYK" else "png"
    path = tmp_path / f"a.{suffix}"
    (Image.fromarray(np.full((16, 16), 40000, np.uint16)) if mode == "I;16" else image.convert(mode)).save(path)
    assert read_any(str(path), frames=1, size=None, motion=None).frames.shape == (1, 16, 16, 3)


def test_bad_pictures_and_folders(tmp_path, frames):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    (tmp_path / "cut.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "two").mkdir()
    for name in ("left_1.png", "right_1.png"):
        Image.fromarray(frames[0]).save(tmp_path / "two" / name)
    (tmp_path / "sizes").mkdir()
    for number, frame in enumerate((frames[0], frames[1][:32])):
        Image.fromarray(frame).save(tmp_path / "sizes" / f"{number}.png")
    for name, subject, reason, message in (
        ("a.jpg", "a.jpg", "unreadable", None),
        ("cut.png", "cut.png", "empty", "images-empty"),
        ("gone.jpg", "gone.jpg", "not_found", "images-not-found"),
        ("empty", "empty", "not_video", "images-empty-folder"),
        ("two", "two", "malformed", "images-two-series"),
        ("sizes", "sizes/1.png", "mismatch", "images-sizes"),
    ):
        with raises(VideoError, reason, message=message, subject=tmp_path / subject):
            read_any(str(tmp_path / name), frames=2, stride=1, motion=None)


def test_frames_are_distinguished_from_pictures(folder, tmp_path):
    assert [are_frames(names) for names in picture_folders(tmp_path.parent / "none").values()] == []
    ((_, names),) = picture_folders(type(tmp_path)(folder)).items()
    assert are_frames(names)
    assert not are_frames([name for name in names if "00007" not in name])  # a gap
    assert not are_frames(names[:3])
    assert not are_frames(["rex.jpg", "max.jpg"] * 5)


@pytest.mark.parametrize("memory", [False, True])
def test_a_set_of_videos_pictures_and_frames(picture, folder, tmp_path, memory):
    """One loader for all of them; the picture has no valid motion, so that its mask falls back."""
    video = make_translation(tmp_path / "v.mp4", velocity=(2, 1), frames=24, size=SIZE)
    items = (VideoItem(str(video), 0), VideoItem(picture), VideoItem(folder, 1))
    settings = ClipSettings(frames=4, stride=2, size=32, motion="auto")
    source = MemorySource(48, "auto") if memory else FileSource()
    if isinstance(source, MemorySource):
        assert source.load([i.path for i in items]) == {}
    rule = MaskRule(build_mask("mgm"), (2, 4, 4), 0.75)
    clips = ClipSet(items, source, settings, ClipTransform("multiscale", flip=True, rule=rule), seed=3)
    samples = [clips[(0, index)] for index in range(3)]
    assert [s.label for s in samples] == [0, -1, 1]
    assert [s.fallback for s in samples] == [0.0, 1.0, 0.0]
    still = samples[1].video
    assert all(bool((still[:, t] == still[:, 0]).all()) for t in range(4))
    views = ViewSet(items, source, settings, temporal=2, spatial=3)
    assert [len(views[i].video) for i in range(3)] == [6, 3, 6]  # a picture has one temporal view


def test_several_regions_and_any_frames_from_one_decoding(folder, picture):
    boxes = [(0, 0, 64, 64), (32, 16, 80, 80)]
    index = np.array([1, 4, 5, 5, 8])
    options = {"frames": 5, "stride": 2, "size": 32, "motion": "flow"}
    for path, frames in ((folder, index), (picture, np.zeros(5, np.int64))):
        regions = boxes if path == folder else [(0, 0, 40, 40), (2, 2, 20, 30)]
        clips = read_any_clips(path, regions, frame_indices=frames, **options)
        for clip, box in zip(clips, regions, strict=True):
            alone = read_any(path, crop=box, frame_indices=frames, **options)
            assert np.array_equal(clip.frames, alone.frames)
            assert np.array_equal(clip.motion.vectors, alone.motion.vectors)
            assert clip.frame_indices.tolist() == frames.tolist()
    motion = read_any(folder, frame_indices=index, frames=5, size=None, crop=None, motion="flow").motion
    spans = np.array([3, 1, 1, 3])  # frames since the previous one; a repeated number keeps its own
    medians = np.median(motion.vectors[1:], axis=(1, 2))
    np.testing.assert_allclose(medians, spans[:, None] * np.array(VELOCITY), atol=0.6)
    with raises(VideoError, "invalid_value", subject=folder):
        read_any(folder, frame_indices=[3, 24], motion=None)


def test_a_pipe_among_the_pictures_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with raises(VideoError, "not_video", message="images-pipe"):
        read_any(str(tmp_path / "a.jpg"), frames=1)


def test_a_picture_starts_no_program(tmp_path, monkeypatch):
    """Pillow would give PostScript, whatever its suffix, to the first `gs` on the PATH."""
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch '{tmp_path}/started'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    path = (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    with raises(VideoError, "unreadable", subject=path):
        read_any(str(path), frames=1)
    assert not (tmp_path / "started").exists()


def test_the_size_of_a_picture_is_known_before_it_is_decoded(tmp_path, monkeypatch):
    side = int(MOST_PICTURE_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    with raises(VideoError, "unsupported", message="images-too-large"):
        read_any(str(tmp_path / "a.png"), frames=1)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF"])
def test_damaged_pictures_are_unreadable(form, tmp_path):
    """Any other error fails, as do warnings, which tests raise as errors; what is read has the size that was asked for."""
    rng = np.random.default_rng(0)
    notes = Image.Exif()
    notes[0x0112], notes[0x010E] = 6, "a comment"
    whole = BytesIO()
    comments = {"exif": notes} if form in ("JPEG", "PNG", "WEBP", "TIFF") else {}
    Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).save(whole, form, **comments)
    path = tmp_path / "a.png"
    unreadable = 0
    for _ in range(300):
        damaged = bytearray(whole.getvalue())
        for place in rng.integers(2, min(len(damaged), 300), 4):
            damaged[place] = rng.choice([0, 1, 127, 128, 255])
        path.write_bytes(damaged)
        try:
            clip = read_any(str(path), frames=1, size=8, motion=None)
        except VideoError:
            unreadable += 1
        else:
            assert clip.frames.shape == (1, 8, 8, 3)
    assert unreadable
