"""The frames of samples: within the annotated part of the video, as chosen by the sampler."""

import numpy as np
import torch

from mgm.data.annotations import VideoItem, load_set
from mgm.data.clips.sampling import Sampler
from mgm.data.clips.source import ClipSettings, FileSource, MemorySource
from mgm.data.loading.dataset import ClipSet, ClipTransform
from mgm.data.loading.loader import collate
from mgm.data.loading.views import ViewSet
from mgm.video.transcode.write import write_video

SETTINGS = ClipSettings(4, 2, 32, None)


def make(items, *, sampler=None, **changes):
    transform = ClipTransform("multiscale", flip=True, sampler=sampler)
    return ClipSet(items, FileSource(), SETTINGS, transform, seed=7, **changes)


def marked(tmp_path, frames=40):
    """A video whose frames encode their number as a grey value."""
    path = tmp_path / "marked.mp4"
    pictures = (np.full((48, 64, 3), 4 + 6 * number, np.uint8) for number in range(frames))
    write_video(path, pictures, fps=25, options={"crf": 4})
    return str(path)


def shown(video):
    """The numbers of the frames of a clip (3, T, H, W)."""
    return ((video.float().mean((0, 2, 3)) - 4) / 6).round().int().tolist()


def test_a_part_of_a_video_is_a_video(tmp_path):
    path = marked(tmp_path)
    part = (VideoItem(path, 0, start=10, end=20),)
    starts = set()
    for epoch in range(40):
        clip = shown(make(part)[epoch, 0].video)
        assert np.diff(clip).tolist() == [2, 2, 2]
        starts.add(clip[0])
    assert starts == {10, 11, 12, 13}
    views = ViewSet(part, FileSource(), SETTINGS, temporal=3, spatial=1)[0]
    assert [shown(view)[0] for view in views.video] == [10, 12, 13]
    short = make((VideoItem(path, 0, start=37),))[0, 0]
    assert shown(short.video) == [37, 39, 39, 39]
    outside = ViewSet((VideoItem(path, 0, start=40, end=50),), FileSource(), SETTINGS, temporal=1, spatial=1)[0]
    assert outside.problem.startswith(f"{path}: ")


def test_clips_have_the_frames_of_their_sampler(tmp_path):
    path = marked(tmp_path)
    items = (VideoItem(path, 0),)
    sparse = Sampler(4, 2, "sparse")
    clip = shown(make(items, sampler=sparse)[0, 0].video)
    assert [frame // 10 for frame in clip] == [0, 1, 2, 3]
    views = ViewSet(items, FileSource(), SETTINGS, temporal=2, spatial=1, sampler=sparse)[0].video
    assert [shown(view) for view in views] == [[0, 10, 20, 30], [5, 15, 25, 35]]
    segments = ViewSet(items, FileSource(), SETTINGS, temporal=2, spatial=1, sampler=Sampler(4, 2, "segments"))[0].video
    assert [shown(view) for view in segments] == [[6, 8, 10, 12], [26, 28, 30, 32]]
    kept = ViewSet(items, MemorySource(48, None), SETTINGS, temporal=2, spatial=1, sampler=sparse)[0].video
    assert torch.equal(torch.tensor([shown(v) for v in kept]), torch.tensor([shown(v) for v in views]))


def test_the_key_of_a_sample(tiny_set):
    clips = make(load_set(tiny_set).train, repeats=2)
    assert [sample.key for sample in clips.read((3, 5))] == [(3, 5, 0), (3, 5, 1)]
    batch = collate([*clips.read((3, 5)), *clips.read((0, 1))])
    assert batch.keys.tolist() == [[3, 5, 0], [3, 5, 1], [0, 1, 0], [0, 1, 1]]
