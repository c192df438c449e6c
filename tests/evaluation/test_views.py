from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mgm.data.annotations import VideoItem, load_set
from mgm.data.clips.source import ClipSettings, FileSource
from mgm.data.loading.views import ViewSet
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import DataError, ModelError
from mgm.evaluation import column_blocks
from mgm.evaluation import views as module
from mgm.evaluation.attentive import AttentiveProbe
from mgm.evaluation.prediction_journal import PredictionJournal
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.token_file import token_file
from mgm.evaluation.views import average_views, encode_views, predict_views
from mgm.models import Encoder, ModelSpec
from tests.errors import raises

SETTINGS = ClipSettings(frames=4, stride=1, size=32, motion=None)


class Recorder(nn.Module):
    """Returns the mean colour of each clip as logits, and records the batch sizes."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, video):
        assert not self.training
        self.sizes.append(len(video))
        return video.float().mean((2, 3, 4)) / 10


def view_set(items, *, temporal=2, spatial=3):
    return ViewSet(items, FileSource(), SETTINGS, temporal=temporal, spatial=spatial)


@pytest.fixture(scope="module")
def items(tiny_set):
    return load_set(tiny_set).test[:5]


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    path = tmp_path_factory.mktemp("wide") / "clip.mp4"
    return VideoItem(str(make_translation(path, velocity=(2, 0), frames=20, size=(48, 80))), 7)


def test_the_average_is_over_the_views_of_each_video():
    probability = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.2, 0.8]])
    result = average_views(probability, torch.tensor([0, 0, 1, 0]), 2)
    np.testing.assert_allclose(result, [[1.7 / 3, 1.3 / 3], [0, 1]], rtol=1e-6)
    assert result.dtype == np.float64


def test_probabilities_are_averaged_after_the_softmax(items, wide):
    videos = view_set((items[0], wide, items[1]), temporal=5)
    result = predict_views(Recorder(), videos)
    assert result.label.tolist() == [items[0].label, 7, items[1].label]
    for row, index in zip(result.probability, range(3), strict=True):
        clips = videos[index].video
        assert len(clips) == (15 if index == 1 else 5)  # five times three crops, or one where the video is square
        expected = Recorder().eval()(clips).softmax(-1).double().mean(0)
        np.testing.assert_allclose(row, expected, rtol=1e-6)


def test_many_views_go_through_the_model_in_parts(wide, monkeypatch):
    monkeypatch.setattr(module, "_CLIPS_AT_ONCE", 4)
    recorder = Recorder()
    result = predict_views(recorder, view_set((wide, wide), temporal=3))
    assert recorder.sizes == [4, 4, 4, 4, 2]
    whole = predict_views(Recorder(), view_set((wide,), temporal=3))
    np.testing.assert_allclose(result.probability, np.repeat(whole.probability, 2, axis=0), rtol=1e-6)


def test_tokens_of_every_view(items, wide, tmp_path):
    torch.manual_seed(0)
    encoder = Encoder(ModelSpec("debug", patch=8, frames=4, resolution=32))
    videos = view_set((items[0], wide))
    with token_file(tmp_path, (2 * videos.most, 32, 32), Ranks()) as tokens:
        features = encode_views(encoder, videos, tokens=tokens)
        stored = tokens[features.row]
    assert stored.shape == (8, 32, 32)
    assert features.owner.tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    assert features.label.tolist() == [items[0].label, 7]
    assert not features.pooled.requires_grad
    with torch.no_grad():
        expected = encoder(videos[1].video)
    torch.testing.assert_close(features.pooled[2:], expected.mean(1))
    torch.testing.assert_close(stored[2:], F.layer_norm(expected, (32,)))
    pooler = AttentiveProbe(32, heads=2, classes=3)
    logits = encode_views(encoder, videos, probe=pooler).logits
    with torch.no_grad():
        torch.testing.assert_close(logits, pooler(stored))


def test_an_unreadable_video_is_reported_and_left_out(items, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    whole = predict_views(Recorder(), view_set(items))
    damaged = (items[0], VideoItem(str(broken), 3), *items[1:])
    result = predict_views(Recorder(), view_set(damaged))
    assert list(result.unreadable) == [str(broken)]
    assert str(broken) in result.unreadable[str(broken)]
    np.testing.assert_array_equal(result.label, whole.label)
    np.testing.assert_array_equal(result.probability, whole.probability)
    with raises(DataError, "too_many_failures"):
        predict_views(Recorder(), view_set(damaged[1:2]))
    with raises(DataError, "too_many_failures", message="views-empty-set"):
        predict_views(Recorder(), view_set(()))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than the machine has cores
def test_results_do_not_depend_on_workers(items):
    alone = predict_views(Recorder(), view_set(items))
    shared = predict_views(Recorder(), view_set(items), workers=2)
    np.testing.assert_array_equal(alone.probability, shared.probability)
    unlabelled = tuple(replace(item, label=None) for item in items)
    assert predict_views(Recorder(), view_set(unlabelled)).label.tolist() == [-1] * 5


def test_a_model_that_returns_nan_is_an_error(items):
    class Diverged(nn.Module):
        def forward(self, video):
            return torch.full((len(video), 3), torch.nan)

    with raises(ModelError, "diverged", subject=items[0].path):
        predict_views(Diverged(), view_set(items))


def test_features_are_the_same_in_blocks_of_any_size(items, wide, monkeypatch):
    """A block ends between groups, and a group that is larger than a block has its own."""
    encoder = Encoder(ModelSpec("debug", patch=8, frames=4, resolution=32))
    videos = view_set((items[0], wide, items[1], items[2]))
    monkeypatch.setattr(module, "_VIDEOS_AT_ONCE", 1)
    whole = encode_views(encoder, videos)
    row_bytes = whole.pooled[0].nbytes + 2 * whole.places.frame_indices[0].nbytes + 16
    for rows in (0, 2, 3):
        monkeypatch.setattr(column_blocks, "_BLOCK_BYTES", rows * row_bytes)
        found = encode_views(encoder, videos)
        for name in ("pooled", "owner", "label", "row"):
            assert torch.equal(getattr(found, name), getattr(whole, name))
        assert found.index == whole.index == (0, 1, 2, 3)
        for name in ("frame_indices", "pts_seconds", "crop"):
            np.testing.assert_array_equal(getattr(found.places, name), getattr(whole.places, name))
    encoded = encoder(torch.cat([videos[number].video for number in range(4)])).mean(1)
    torch.testing.assert_close(whole.pooled, encoded.detach())


def test_predictions_are_the_same_in_blocks_of_any_size(items, tmp_path, monkeypatch):
    """Also with an unreadable video between them, and after groups that a journal has kept."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    videos = view_set((items[0], VideoItem(str(broken), 3), *items[1:]))
    monkeypatch.setattr(module, "_VIDEOS_AT_ONCE", 1)
    whole = predict_views(Recorder(), videos)
    assert whole.index == (0, *range(2, len(items) + 1))
    stopped, journal = PredictionJournal(tmp_path / "stopped"), PredictionJournal(tmp_path / "journal")
    predict_views(Recorder(), videos, journal=stopped)
    with journal.opened(0) as append:
        for number, group in islice(stopped.read(), 1, 4):
            append(number, group)
    for size, kept in ((0, None), (200, None), (0, journal)):
        monkeypatch.setattr(column_blocks, "_BLOCK_BYTES", size)
        found = predict_views(Recorder(), videos, journal=kept)
        assert (found.index, found.views, found.unreadable) == (whole.index, whole.views, whole.unreadable)
        for name in ("probability", "label", "seconds"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
