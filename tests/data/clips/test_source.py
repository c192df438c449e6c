import numpy as np
import pytest

from mgm.data.clips.sampling import random_start
from mgm.data.clips.source import ClipSettings, FileSource, MemorySource
from mgm.data.clips.transform import Geometry
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import DataError, VideoError
from mgm.video import read_clip
from tests.errors import raises


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """14 frames of 96 x 136 px with B-frames and two I-frames in the middle."""
    path = tmp_path_factory.mktemp("source") / "clip.mp4"
    return str(make_translation(path, velocity=(3, -1.5), frames=14, size=(96, 136), bframes=2, gop=6))


@pytest.fixture(scope="module")
def memories(video):
    """Sources in memory, by their reading of the vectors."""
    sources = {reading: MemorySource(96, "codec", reading) for reading in ("clean", "raw")}
    for source in sources.values():
        assert source.load([video]) == {}
    return sources


@pytest.fixture(scope="module")
def memory(memories):
    return memories["clean"]


def test_the_reading_of_vectors_is_a_setting(video):
    """Literal vectors of B-frames are neither divided by the distance of their references nor joined."""
    whole = Geometry((96, 136), (0, 0, 136, 96), (96, 136))
    found = {}
    for reading in ("clean", "references", "raw"):
        settings = ClipSettings(4, 2, 96, "codec", "sampled", reading=reading)
        found[reading] = FileSource().clip(video, 3, whole, settings).motion.vectors
        expected = read_clip(video, start=3, frames=4, stride=2, size=None, policy="sampled", reading=reading)
        np.testing.assert_array_equal(found[reading], expected.motion.vectors)
    assert not np.array_equal(found["clean"], found["raw"])


def test_both_sources_describe_the_video_alike(video, memory):
    info = FileSource().info(video)
    assert info == memory.info(video)
    assert (info.frames, info.height, info.width, info.motion) == (14, 96, 136, True)
    assert memory.nbytes == 14 * (96 * 136 * 3 + 12 * 17 * 2 * 4)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("start", "stride", "policy", "reading"),
    [
        (0, 1, "window_sum", "clean"),
        (2, 3, "window_sum", "clean"),
        (11, 2, "sampled", "clean"),
        (2, 3, "sampled", "raw"),
        (2, 3, "window_max", "raw"),
    ],
)
@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((0, 0, 136, 96), (96, 136)),
        ((20, 10, 64, 64), (64, 64)),
        ((20, 10, 64, 80), (48, 48)),
        ((0, 0, 60, 60), (96, 96)),
    ],
)
def test_file_and_memory_agree(video, memories, box, size, start, stride, policy, reading, flip):
    geometry = Geometry((96, 136), box, size, flip)
    settings = ClipSettings(4, stride, size[0], "codec", policy, reading=reading)
    memory = memories[reading]
    frames, motion, times = FileSource().clip(video, start, geometry, settings)
    kept, kept_motion, kept_times = memory.clip(video, start, geometry, settings)
    assert frames.shape == kept.shape == (4, *size, 3)
    np.testing.assert_array_equal(times, kept_times)
    difference = np.abs(frames.astype(int) - kept)
    if size == (box[3], box[2]):
        # At the edge of a crop the file's colour, stored at half resolution, has no neighbour to be blended with.
        assert difference[:, 1:-1, 1:-1].max() == 0
    assert difference.mean() < 1.5
    assert difference.max() <= 12
    assert motion.extent == kept_motion.extent == (box[3], box[2])
    np.testing.assert_array_equal(motion.valid, kept_motion.valid)
    assert motion.valid.any()
    np.testing.assert_allclose(motion.vectors[motion.valid], kept_motion.vectors[motion.valid], rtol=1e-6)


def test_a_small_copy_keeps_the_motion_in_pixels_of_the_result(video, memory):
    small = MemorySource(48, "codec")
    info = small.info(video)  # decoded on first use
    assert (info.height, info.width) == (48, 68)
    settings = ClipSettings(4, 1, 32, "codec")
    frames, motion, _ = small.clip(video, 3, Geometry((48, 68), (10, 0, 48, 48), (32, 32)), settings)
    large, expected, _ = memory.clip(video, 3, Geometry((96, 136), (20, 0, 96, 96), (32, 32)), settings)
    np.testing.assert_array_equal(motion.vectors, expected.vectors)
    assert np.abs(frames.astype(int) - large).mean() < 3


def test_frames_alone(video, memory):
    geometry = Geometry((96, 136), (0, 0, 96, 96), (32, 32))
    settings = ClipSettings(4, 1, 32, None)
    assert FileSource().clip(video, 0, geometry, settings)[1] is None
    assert memory.clip(video, 0, geometry, settings)[1] is None
    bare = MemorySource(48, None)
    bare.load([video])
    assert not bare.info(video).motion
    with raises(DataError, "missing_value", subject=video):
        bare.clip(video, 0, Geometry((48, 68), (0, 0, 48, 48), (32, 32)), ClipSettings(4, 1, 32, "codec"))


def test_another_motion_than_is_kept_is_refused(video, memory):
    """A setting of the run would do nothing, unnoticed."""
    geometry = Geometry((96, 136), (0, 0, 96, 96), (32, 32))
    for motion in ("auto", "codec"):
        assert memory.clip(video, 0, geometry, ClipSettings(4, 1, 32, motion)).motion is not None
    with raises(DataError, "mismatch", subject=video, message="memory-other-motion"):
        memory.clip(video, 0, geometry, ClipSettings(4, 1, 32, "flow"))
    with raises(DataError, "mismatch", subject=video, message="memory-other-reading"):
        memory.clip(video, 0, geometry, ClipSettings(4, 1, 32, "codec", reading="raw"))


def test_unreadable_videos_are_left_out_and_reported(video, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    source = MemorySource(48, "codec")
    seen = []
    unreadable = source.load([video, str(broken)], progress=seen.append)
    assert list(unreadable) == [str(broken)]
    assert source.unreadable == unreadable
    assert sorted(seen) == sorted([video, str(broken)])
    with raises(VideoError, "not_video", subject=broken):
        source.info(str(broken))


def test_a_codec_without_vectors_trains_on_flow(tmp_path):
    """VP9, as Something-Something v2 is distributed: both sources measure a motion of (3, -1.5) per frame."""
    making = {"codec": "libvpx-vp9", "options": {"cpu-used": 8, "b": "2M"}}
    path = str(make_translation(tmp_path / "a.webm", velocity=(3, -1.5), frames=14, size=(96, 136), **making))
    memory = MemorySource(96, "auto")
    whole = Geometry((96, 136), (0, 0, 136, 96), (96, 136))
    for source in (FileSource(), memory):
        for camera, expected in (("none", (6, -3)), ("median", (0, 0))):
            settings = ClipSettings(4, 2, 96, "auto", camera=camera)
            _, motion, _ = source.clip(path, 4, whole, settings)
            assert motion is not None
            assert motion.source == "flow"
            np.testing.assert_allclose(np.median(motion.vectors, axis=(0, 1, 2)), expected, atol=0.3)


def test_files_prepared_for_strides_start_on_their_grid():
    rng = np.random.default_rng(0)
    starts = {random_start(40, frames=4, stride=4, rng=rng, step=4) for _ in range(200)}
    assert starts == {0, 4, 8, 12, 16, 20, 24}


def test_measured_motion_does_not_support_every_policy(video, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(10):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / f"{number:03}.png")
    geometry = Geometry((64, 64), (0, 0, 64, 64), (64, 64))
    folder, still = str(tmp_path), str(tmp_path / "000.png")
    for policy in ("sampled", "window_max"):
        settings = ClipSettings(4, 2, 64, "auto", policy)
        with raises(DataError, "unsupported", subject=folder, message="source-policy" if policy == "sampled" else None):
            FileSource().clip(folder, 0, geometry, settings)
        FileSource().clip(still, 0, geometry, settings)  # zero under every policy
        FileSource().clip(video, 0, Geometry((96, 136), (0, 0, 64, 64), (64, 64)), settings)
        kept = MemorySource(64, "auto")
        assert kept.clip(folder, 0, geometry, settings)[1].valid.any()
    FileSource().clip(folder, 0, geometry, ClipSettings(4, 2, 64, "auto"))
