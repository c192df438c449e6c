from dataclasses import replace

import numpy as np
import pytest
import torch

from mgm.data.annotations import VideoItem, load_set
from mgm.data.clips.source import ClipSettings, FileSource, MemorySource
from mgm.data.items import part_length
from mgm.data.loading.dataset import ClipSet, ClipTransform, MaskRule
from mgm.data.loading.loader import collate
from mgm.data.loading.views import ViewSet
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import DataError, VideoError
from mgm.masks import build_mask
from mgm.video.container.metadata import VideoInfo
from mgm.video.transcode.write import write_video
from tests.errors import raises

SETTINGS = ClipSettings(frames=4, stride=1, size=32, motion="codec")
GRID = (2, 4, 4)


def make(items, **changes):
    transform = ClipTransform("multiscale", flip=True, rule=MaskRule(build_mask("mgm"), GRID, 0.75))
    chosen = {name: changes.pop(name) for name in ("rule", "crop", "flip") if name in changes}
    source = changes.pop("source", None) or FileSource()
    return ClipSet(items, source, SETTINGS, replace(transform, **chosen), **{"seed": 7, **changes})


@pytest.fixture(scope="module")
def items(tiny_set):
    return load_set(tiny_set).train


@pytest.fixture(scope="module")
def broken(items, tmp_path_factory):
    """The items, with files 3 and 5 replaced by text."""
    folder = tmp_path_factory.mktemp("broken")
    bad = list(items)
    for index in (3, 5):
        path = folder / f"{index}.mp4"
        path.write_bytes(b"not a video")
        bad[index] = VideoItem(str(path), items[index].label)
    return tuple(bad)


def same(first, second):
    return (
        torch.equal(first.video, second.video)
        and np.array_equal(first.mask, second.mask)
        and (first.label, first.index, first.fallback) == (second.label, second.index, second.fallback)
        and first.unreadable == second.unreadable
    )


def test_a_sample_is_a_function_of_seed_epoch_and_index(items):
    keys = [(0, 2), (1, 2), (0, 9), (3, 15)]
    first, second = make(items), make(items)
    samples = [first[key] for key in keys]
    assert all(same(sample, second[key]) for sample, key in zip(samples[::-1], keys[::-1], strict=True))
    again, other = first[0, 2], make(items, seed=8)[0, 2]
    assert same(samples[0], again)
    assert not torch.equal(samples[0].video, samples[1].video)
    assert not torch.equal(samples[0].video, other.video)
    assert samples[0].video.shape == (3, 4, 32, 32)
    assert samples[0].mask.shape == GRID
    assert samples[0].mask.reshape(2, -1).sum(1).tolist() == [12, 12]
    assert (samples[0].index, samples[0].label) == (2, items[2].label)
    assert len(first) == 16


def test_the_mask_has_its_own_generator(items):
    # Another crop takes other numbers; the mask of a rule that ignores motion stays.
    rule = MaskRule(build_mask("tube"), GRID, 0.75)
    first, second = (make(items, rule=rule, crop=crop)[0, 1] for crop in ("centre", "multiscale"))
    np.testing.assert_array_equal(first.mask, second.mask)
    assert make(items, rule=None)[0, 1].mask is None


def test_global_generators_are_left_alone(items):
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    make(items)[0, 0]
    assert np.array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())


def test_an_unreadable_video_is_replaced_and_reported(items, broken):
    whole, damaged = make(items), make(broken)
    for index in range(16):
        sample = damaged[2, index]
        if index in (3, 5):
            assert same(sample, make(broken)[2, index])
            assert sample.index not in (3, 5)
            path, message = sample.unreadable[0]
            assert path == broken[index].path
            assert path in message
            assert sample.label == items[sample.index].label
        else:
            assert same(sample, whole[2, index])
            assert sample.unreadable == ()
    # The substitutes differ.
    assert len({damaged[epoch, 3].index for epoch in range(8)}) > 2


def test_a_set_without_readable_videos(broken):
    with raises(DataError, "too_many_failures"):
        make((broken[3], broken[5]))[0, 0]
    with raises(DataError, "not_found", message="loading-empty-set"):
        make(())


@pytest.mark.parametrize("memory", [False, True])
def test_repeats_are_views_of_one_clip_each_with_its_own_crop_and_mask(items, memory):
    def source():
        return MemorySource(64, "codec") if memory else FileSource()

    one, three = make(items, source=source()), make(items, source=source(), repeats=3)
    for key in ((0, 2), (1, 7)):
        samples = three.read(key)
        assert same(samples[0], one[key])  # the first does not depend on how many follow
        assert same(samples[0], three[key])
        assert len({sample.video.numpy().tobytes() for sample in samples}) == 3
        assert len({sample.mask.tobytes() for sample in samples}) == 3
        assert {(sample.index, sample.label) for sample in samples} == {(key[1], items[key[1]].label)}


def test_a_clip_is_decoded_once_for_all_repeats(items):
    class Counting(FileSource):
        calls = 0

        def clips(self, *args):
            self.calls += 1
            return super().clips(*args)

    source = Counting()
    assert len(make(items, source=source, repeats=4).read((0, 0))) == 4
    assert source.calls == 1


def test_only_the_first_repeat_reports_the_unreadable_video(broken):
    samples = make(broken, repeats=3).read((0, 3))
    assert [len(sample.unreadable) for sample in samples] == [1, 0, 0]


def test_the_substitute_does_not_depend_on_when_reading_failed(items, broken):
    """A missing file, one that is damaged behind its header and one that is known to hang are replaced by the same clip."""

    class Late(FileSource):
        def clips(self, path, *args):
            if path == items[3].path:
                raise OSError("stale file handle")
            return super().clips(path, *args)

    def begin_item(index):
        if index == 3:
            raise VideoError(items[3].path, "hangs", reason="timed_out")

    early, late, guarded = make(broken)[4, 3], make(items, source=Late())[4, 3], make(items).read((4, 3), begin_item)[0]
    for sample in (late, guarded):
        assert torch.equal(sample.video, early.video)
        assert np.array_equal(sample.mask, early.mask)
        assert sample.index == early.index
    assert late.unreadable == ((items[3].path, f"{items[3].path}: stale file handle"),)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """32 frames whose brightness encodes their number."""
    path = tmp_path_factory.mktemp("numbered") / "clip.mp4"
    write_video(path, (np.full((48, 64, 3), 20 + 6 * i, np.uint8) for i in range(32)), fps=25)
    return str(path)


def numbers(video):
    return (video.float().mean((0, 2, 3)).sub(20) / 6).round().int().tolist()


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize(("start", "end", "stride"), [(8, 20, 2), (10, 16, 1), (5, 8, 2), (28, None, 1), (30, 99, 1)])
def test_clips_stay_within_the_annotated_part(numbered, start, end, stride, memory):
    item = VideoItem(numbered, 1, start, end)
    settings = ClipSettings(4, stride, 32, None)
    source = MemorySource(48, None) if memory else FileSource()
    clips = ClipSet((item,), source, settings, ClipTransform("centre", flip=False), seed=0)
    stop = min(end or 32, 32)
    seen = [numbers(clips[epoch, 0].video) for epoch in range(30)]
    assert {n for clip in seen for n in clip} <= set(range(start, stop))
    if stop - start > 3 * stride:
        assert {clip[0] for clip in seen} == set(range(start, stop - 3 * stride))
    else:  # a part that is too short repeats the last frame that the stride reaches
        last = start + (stop - 1 - start) // stride * stride
        assert all(clip == [min(start + i * stride, last) for i in range(4)] for clip in seen)
    views = ViewSet((item,), source, settings, temporal=3, spatial=1)[0]
    assert {n for view in views.video for n in numbers(view)} <= set(range(start, stop))


def test_a_part_behind_the_end_is_an_unreadable_video(numbered, items):
    (sample,) = make((VideoItem(numbered, 0, 40, 60), *items[:4])).read((0, 0))
    assert sample.unreadable[0].path == numbered
    with raises(VideoError, "mismatch", message="loading-part-behind-the-end"):
        part_length(VideoItem("clip.mp4", 0, 40, 60), VideoInfo(32, 48, 64, motion=True))


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    path = tmp_path_factory.mktemp("wide") / "clip.mp4"
    return str(make_translation(path, velocity=(2, 0), frames=12, size=(48, 80)))


@pytest.mark.parametrize(("temporal", "spatial", "count"), [(1, 1, 1), (1, 3, 3), (5, 3, 15), (5, 1, 5), (20, 1, 9)])
def test_views_of_a_wide_video(wide, temporal, spatial, count):
    views = ViewSet((VideoItem(wide, 4),), FileSource(), SETTINGS, temporal=temporal, spatial=spatial)[0]
    assert views.video.shape == (count, 3, 4, 32, 32)
    assert (views.label, views.index, views.problem) == (4, 0, None)
    flat = views.video.flatten(1)
    assert len({tuple(row.tolist()) for row in flat}) == count


def test_a_square_video_has_one_crop(items):
    views = ViewSet(items, FileSource(), SETTINGS, temporal=2, spatial=3)
    assert len(views) == 16
    assert views[0].video.shape == (2, 3, 4, 32, 32)


def test_views_of_files_and_of_memory_agree(items):
    memory = MemorySource(64, None)
    first = ViewSet(items[:2], FileSource(), SETTINGS, temporal=2, spatial=1)
    second = ViewSet(items[:2], memory, ClipSettings(4, 1, 32, None), temporal=2, spatial=1)
    for index in range(2):
        difference = (first[index].video.int() - second[index].video.int()).abs()
        assert difference.float().mean() < 2


def test_views_of_an_unreadable_video(broken):
    views = ViewSet(broken, FileSource(), SETTINGS, temporal=2, spatial=1)[3]
    assert views.video.numel() == 0
    assert broken[3].path in views.problem
    with raises(DataError, "invalid_value", message="loading-spatial-views"):
        ViewSet(broken, FileSource(), SETTINGS, temporal=2, spatial=2)


def test_a_second_mask_selects_the_reconstructed_tokens(items):
    decode = MaskRule(build_mask("running-cell"), GRID, 0.5)
    plain, sample = make(items)[0, 1], make(items, rule=MaskRule(build_mask("mgm"), GRID, 0.75, decode))[0, 1]
    assert plain.decode is None
    assert sample.decode.reshape(2, -1).sum(1).tolist() == [8, 8]  # the visible tokens of the second mask
    assert same(plain, sample)  # it takes nothing from the other draws
    again = make(items, rule=MaskRule(build_mask("mgm"), GRID, 0.75, decode))
    assert len({again[epoch, 1].decode.tobytes() for epoch in range(8)}) > 1
    batch = collate([sample, sample])
    assert batch.decode.shape == (2, *GRID)
    assert batch.decode.dtype == torch.bool
    assert collate([plain]).decode is None


def test_samples_include_the_motion_that_a_model_predicts(tmp_path):
    """A clip that moves by (3, -2) pixels a frame at 64 px, shown at 32: (1.5, -1), mirrored (-1.5, -1)."""
    path = make_translation(tmp_path / "moving.mp4", velocity=(3.0, -2.0), frames=12, size=(64, 64), gop=12)
    rule = MaskRule(build_mask("tube"), GRID, 0.75, keep_motion=True)
    assert rule.uses_motion
    clips = make((VideoItem(str(path), None),), rule=rule, crop="centre", flip=False)
    motion = clips[0, 0].motion
    assert motion.shape == (4, 4, 4, 2)
    np.testing.assert_allclose(np.median(motion, (0, 1, 2)), (1.5, -1), atol=0.1)
    parts = make((VideoItem(str(path), None),), rule=replace(rule, motion_parts=2), crop="centre", flip=False)[
        0, 0
    ].motion
    assert parts.shape == (4, 8, 8, 2)
    np.testing.assert_allclose(parts.reshape(4, 4, 2, 4, 2, 2).mean((2, 4)), motion, atol=1e-5)
    mirrored = make((VideoItem(str(path), None),), rule=rule, crop="multiscale")
    assert {float(np.sign(np.median(mirrored[epoch, 0].motion[..., 0]))) for epoch in range(8)} == {-1.0, 1.0}
    assert collate([clips[0, 0]]).to(torch.device("cpu")).motion.dtype == torch.float32


def test_motion_that_was_not_measured_is_nan_on_request(tmp_path):
    """An I-frame has no vectors: its motion is that of a neighbour, or NaN."""
    path = make_translation(tmp_path / "moving.mp4", velocity=(3.0, -2.0), frames=12, size=(64, 64), gop=4)
    filled = MaskRule(build_mask("tube"), GRID, 0.75, keep_motion=True)
    measured = replace(filled, measured_motion=True)
    clips = [make((VideoItem(str(path), None),), rule=rule, crop="centre")[0, 0].motion for rule in (filled, measured)]
    unknown = np.isnan(clips[1])
    assert not np.isnan(clips[0]).any()
    assert unknown.all((1, 2, 3)).sum() == 1
    np.testing.assert_array_equal(clips[0][~unknown], clips[1][~unknown])


def test_motion_that_was_not_read_is_an_error(items):
    rule = MaskRule(build_mask("tube"), GRID, 0.75, keep_motion=True)
    settings = ClipSettings(frames=4, stride=1, size=32, motion=None)
    clips = ClipSet(items, FileSource(), settings, ClipTransform("centre", flip=False, rule=rule), seed=0)
    with raises(DataError, "missing_value", subject=items[0].path):
        clips[0, 0]
