import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mgm.data.clips.source import FileSource
from mgm.data.items import VideoItem, VideoSet
from mgm.errors import DataError
from mgm.evaluation import probing, token_file
from mgm.evaluation.feature_cache import FeatureCache
from mgm.evaluation.probing import (
    ProbeScores,
    compare_probes,
    describe_needs,
    probe_encoder,
    untrained_encoder,
)
from mgm.models import Encoder
from mgm.training import load_config
from mgm.training.recipe import override
from tests.errors import raises


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
            "probe.neighbours=[1,3]",
            "probe.shots=[1]",
            "probe.clips_per_video=1",
        ],
    )


def test_an_encoder_is_tested_on_every_test_video(config, videos, memory):
    lines = []
    result = probe_encoder(untrained_encoder(config), videos, config, memory, progress=lines.append)
    assert set(result.hits) == {"attentive probe", "linear probe", "1-NN", "3-NN"}
    assert {hits.shape for hits in result.hits.values()} == {(16,)}
    assert (result.classes, result.chance, result.unreadable) == (videos.classes, 1 / 8, {})
    trained = ["encoding", "encoding 16 of 32 videos", "attentive probe"]
    assert lines == [*trained, "encoding 32 of 32 videos", "linear probe", "k-NN", "few labels"]
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
    assert list(result.unreadable) == [str(path)]
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
    (row,) = compare_probes(
        ProbeScores({"probe": after}, tuple("abc"), {}, all_of),
        ProbeScores({"probe": before}, tuple("abc"), {}, all_of),
    )
    assert (row.pretrained.top1, row.untrained.top1, row.verdict) == (0.55, 0.4, "gain")
    assert row.gain.value == pytest.approx(0.15)
    written = json.loads(json.dumps(row.to_dict()))
    assert written["pretrained"] == {
        "top1": 0.55,
        "low": row.pretrained.low,
        "high": row.pretrained.high,
        "videos": 100,
    }
    assert written["gain"]["verdict"] == "gain"


def test_only_videos_tested_with_both_encoders_are_compared():
    after = ProbeScores({"probe": np.array([True, True, False])}, ("a",), {"c": "hung"}, (0, 1, 3))
    before = ProbeScores({"probe": np.array([False, True, True])}, ("a",), {"a": "hung"}, (1, 2, 3))
    (row,) = compare_probes(after, before)  # of videos 1 and 3
    assert (row.pretrained.count, row.pretrained.top1, row.untrained.top1) == (2, 0.5, 0.5)
    assert row.gain.value == 0
    with raises(DataError, "too_many_failures", message="probing-no-common-video"):
        compare_probes(after, replace(before, hits={"probe": np.array([True])}, tested=(2,)))


def test_the_views_of_the_recipe(config, videos, memory):
    assert probing.training_views(videos.train, config, memory)[0].video.shape == (1, 3, 4, 32, 32)
    assert probing.evaluation_views(videos.test, config, memory, config.sampler("dense"))[0].video.shape == (
        3,
        3,
        4,
        32,
        32,
    )


def test_linear_and_nearest_neighbours_store_no_tokens(config, videos, memory, monkeypatch):
    whole = probe_encoder(untrained_encoder(config), videos, config, memory)
    monkeypatch.setattr(probing, "token_file", None)
    chosen = override(config, ["probe.heads=[knn,linear]"])
    result = probe_encoder(untrained_encoder(chosen), videos, chosen, memory)
    assert list(result.hits) == ["linear probe", "1-NN", "3-NN"]
    assert all(np.array_equal(hits, whole.hits[name]) for name, hits in result.hits.items())


def test_tokens_in_half_precision_change_no_more_than_noise(config, videos, memory, monkeypatch):
    longer = override(config, ["probe.heads=[attentive]", "probe.steps=100"])
    exact = probe_encoder(untrained_encoder(config), videos, longer, memory).hits["attentive probe"]
    monkeypatch.setattr(token_file, "EXACT_BYTES", 0)
    half = probe_encoder(untrained_encoder(config), videos, longer, memory).hits["attentive probe"]
    assert (exact != half).sum() <= 1


@pytest.mark.slow
def test_a_grid_of_settings_and_every_linear_protocol(config, videos, memory):
    heads = "probe.heads=[attentive,linear,linear-sgd,linear-lars,linear-adamw,knn]"
    chosen = override(config, [heads, "probe.lr=[1e-3,1e-2]", "probe.weight_decay=[0,0.1]", "probe.depth=2"])
    result = probe_encoder(untrained_encoder(config), videos, chosen, memory)
    assert list(result.hits)[:5] == [
        "attentive probe",
        "linear probe",
        *(f"linear-{n} probe" for n in ("sgd", "lars", "adamw")),
    ]
    assert len(result.tried) == 4
    assert result.setting in result.tried
    assert [point.shots for point in result.curve] == [1]
    assert len(result.curve[0].top1) == config.probe.draws


def test_features_are_read_from_the_cache(config, videos, memory, tmp_path, monkeypatch):
    chosen = override(config, ["probe.heads=[linear,knn]"])
    encoder, cache = untrained_encoder(chosen), FeatureCache(tmp_path)
    first = probe_encoder(encoder, videos, chosen, memory, cache=cache)
    assert len(list(tmp_path.iterdir())) == 2  # of training and of test videos
    encode = probing.encode_views
    monkeypatch.setattr(probing, "encode_views", None)
    again = probe_encoder(encoder, videos, chosen, memory, cache=cache)
    assert all(np.array_equal(hits, first.hits[name]) for name, hits in again.hits.items())
    assert (again.tested, again.curve) == (first.tested, first.curve)
    monkeypatch.setattr(probing, "encode_views", encode)
    other = probe_encoder(untrained_encoder(override(chosen, ["seed=1"])), videos, chosen, memory, cache=cache)
    assert len(list(tmp_path.iterdir())) == 4
    assert other.tested == first.tested


def test_the_needs_of_a_vit_b_on_twenty_thousand_videos():
    items = tuple(VideoItem(f"{number}.mp4", 0) for number in range(10_000))
    videos = VideoSet("videos", items, items, ("a",), "both")
    # 4 bytes x 768 x (features and standardised ones of 160,000 views, and a part of 10,000), similarities, answers: 1.06 GiB;
    # 10,000 x 1,568 x 768 tokens of 2 bytes: 22.43 GiB.
    config = load_config("mgm-vitb-k400")
    with torch.device("meta"):
        encoder = Encoder(config.model_spec())
    assert describe_needs(encoder, videos, config, "runs/a") == (
        "10,000 training and up to 150,000 test views of 768 numbers: up to 1.1 GiB of memory; "
        "tokens: 22.4 GiB in a temporary file in runs/a"
    )


@pytest.mark.parametrize("precision", ["bf16-mixed", "auto"])
def test_another_precision(config, videos, memory, precision):
    chosen = override(config, [f"probe.precision={precision}"])
    assert probe_encoder(untrained_encoder(config), videos, chosen, memory).tested == tuple(range(16))


@pytest.mark.parametrize("missing", ["labels", "test videos", "one label", "common classes", "a class"])
def test_a_set_that_cannot_be_judged(config, videos, memory, missing):
    changes = {
        "labels": {"classes": ()},
        "test videos": {"test": ()},
        "one label": {"test": (replace(videos.test[0], label=None), *videos.test[1:])},
        "a class": {"train": tuple(item for item in videos.train if item.label)},
        "common classes": {
            "train": tuple(item for item in videos.train if item.label < 4),
            "test": tuple(item for item in videos.test if item.label >= 4),
        },
    }
    reason = "mismatch" if missing in ("common classes", "a class") else "missing_value"
    with raises(DataError, reason, subject=videos.root):
        probe_encoder(untrained_encoder(config), replace(videos, **changes[missing]), config, memory)
