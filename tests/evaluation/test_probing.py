import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mgm.data.annotations import VideoItem, VideoSet, load_set
from mgm.data.clips.source import FileSource, MemorySource
from mgm.data.loading.loader import read_views
from mgm.errors import DataError
from mgm.evaluation import probing
from mgm.evaluation import views as views_module
from mgm.evaluation.probing import (
    Judgement,
    compare,
    evaluate_classifier,
    evaluation_dict,
    probe_encoder,
    untrained_encoder,
)
from mgm.models import Classifier
from mgm.training import load_config
from mgm.training.recipe import override


@pytest.fixture(scope="module")
def config():
    return load_config(
        "debug",
        [
            "model.size=debug",
            "data.frames=4",
            "data.size=32",
            "probe.steps=10",
            "probe.batch=8",
            "probe.neighbours=3",
            "probe.clips_per_video=1",
        ],
    )


@pytest.fixture(scope="module")
def videos(tiny_set):
    return load_set(tiny_set)


@pytest.fixture(scope="module")
def memory(videos):
    source = MemorySource(32, None)
    source.load([item.path for item in videos.items])
    return source


def test_an_encoder_is_judged_on_every_test_video(config, videos, memory):
    said = []
    result = probe_encoder(untrained_encoder(config), videos, config, memory, progress=said.append)
    assert set(result.hits) == {"attentive probe", "linear probe", "3-NN"}
    assert {hits.shape for hits in result.hits.values()} == {(16,)}
    assert (result.classes, result.chance, result.problems) == (videos.classes, 1 / 8, {})
    encoding = ["encoding", "encoding 16 of 32 videos", "encoding 32 of 32 videos"]
    assert said == [*encoding, "attentive probe", "linear probe", "k-NN"]
    again = probe_encoder(untrained_encoder(config), videos, config, memory)
    assert all(np.array_equal(result.hits[name], again.hits[name]) for name in result.hits)


def test_unreadable_videos_are_reported_and_do_not_count(config, videos, tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"not a video")
    damaged = replace(
        videos, test=(VideoItem(str(path), 0), *videos.test), train=(*videos.train, VideoItem(str(path), 0))
    )
    whole = probe_encoder(untrained_encoder(config), videos, config, FileSource())
    result = probe_encoder(untrained_encoder(config), damaged, config, FileSource())
    assert list(result.problems) == [str(path)]
    assert all(np.array_equal(result.hits[name], whole.hits[name]) for name in whole.hits)
    assert whole.tested == tuple(range(16))
    assert result.tested == tuple(range(1, 17))


def test_the_untrained_encoder_is_always_the_same_one(config):
    before = torch.get_rng_state()
    first, second = untrained_encoder(config), untrained_encoder(config)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    other = untrained_encoder(config.model_copy(update={"seed": 1}))
    assert not torch.equal(first.patch_embed.weight, other.patch_embed.weight)
    assert not first.training


def test_a_comparison_is_paired():
    before = np.arange(100) < 40
    after = np.arange(100) < 55
    all_of = tuple(range(100))
    (row,) = compare(Judgement({"probe": after}, ("a",), {}, all_of), Judgement({"probe": before}, ("a",), {}, all_of))
    assert (row.pretrained.top1, row.untrained.top1, row.gain.verdict) == (0.55, 0.4, "gain")
    assert row.gain.value == pytest.approx(0.15)
    written = json.loads(json.dumps(row.to_dict()))
    assert written["pretrained"] == {
        "top1": 0.55,
        "low": row.pretrained.low,
        "high": row.pretrained.high,
        "videos": 100,
    }
    assert written["gain"]["verdict"] == "gain"


def test_videos_that_were_read_one_time_alone_are_not_compared():
    after = Judgement({"probe": np.array([True, True, False])}, ("a",), {"c": "hung"}, (0, 1, 3))
    before = Judgement({"probe": np.array([False, True, True])}, ("a",), {"a": "hung"}, (1, 2, 3))
    (row,) = compare(after, before)  # of videos 1 and 3
    assert (row.pretrained.count, row.pretrained.top1, row.untrained.top1) == (2, 0.5, 0.5)
    assert row.gain.value == 0
    with pytest.raises(DataError, match="no test video could be read both times"):
        compare(after, replace(before, hits={"probe": np.array([True])}, tested=(2,)))


def test_a_classifier_is_evaluated_over_its_views(config, videos, memory):
    torch.manual_seed(0)
    classifier = Classifier(untrained_encoder(config), 8, head_scale=100)
    result = evaluate_classifier(classifier, videos, config, memory)
    assert result.probability.shape == (16, 8)
    np.testing.assert_allclose(result.probability.sum(1), 1, rtol=1e-5)
    written = json.loads(json.dumps(evaluation_dict(result, videos.classes)))
    assert written["top1"]["top1"] == np.mean(result.probability.argmax(1) == result.label)
    assert written["top1"]["videos"] == 16
    assert written["top5"] >= written["top1"]["top1"]
    assert (written["classes"], written["unreadable"]) == (8, 0)
    assert evaluation_dict(result, videos.classes[:5])["top5"] is None


def test_the_views_of_the_recipe(config, videos, memory):
    assert probing.views_to_learn(videos.train, config, memory)[0].video.shape == (1, 3, 4, 32, 32)
    assert probing.views_to_test(videos.test, config, memory, config.sampler("dense"))[0].video.shape == (
        3,
        3,
        4,
        32,
        32,
    )


def test_sets_that_nothing_can_be_judged_by(config, videos, memory):
    with pytest.raises(DataError, match="has no labels, expected class folders or annotations"):
        probe_encoder(untrained_encoder(config), VideoSet("x", videos.train, (), (), ""), config, memory)
    with pytest.raises(DataError, match="16 training and 0 test videos"):
        probe_encoder(untrained_encoder(config), replace(videos, test=()), config, memory)


def test_videos_without_a_label_are_not_counted_as_wrong(config, videos, memory):
    bare = replace(videos, test=(replace(videos.test[0], label=None), *videos.test[1:]))
    with pytest.raises(DataError, match="1 of 32 videos have no label, expected one for each"):
        probe_encoder(untrained_encoder(config), bare, config, memory)


def test_views_are_read_by_processes_of_their_own(config, videos, memory, monkeypatch):
    """A video that hangs or kills its process must not take the judgement with it."""
    asked = []

    def watched(views, *, workers, timeout):
        asked.append((workers, timeout))
        return read_views(views)

    monkeypatch.setattr(views_module, "read_views", watched)
    settings = override(config, ["data.workers=3", "data.read_timeout=7", "data.memory=false"])
    classifier = Classifier(untrained_encoder(config), len(videos.classes)).eval()
    said = []
    evaluate_classifier(classifier, videos, settings, FileSource(), progress=said.append)
    evaluate_classifier(classifier, videos, settings, memory)
    assert asked == [(3, 7), (0, 7)]
    assert said == ["judging 16 of 16 videos"]
