import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import mgm
from mgm.data.clips.source import FileSource
from mgm.errors import FileError, ModelError
from mgm.evaluation import views
from mgm.evaluation.probing import evaluation_views
from mgm.terminal import byte_size
from tests.errors import raises

VIEWS = ("probe.temporal_views=2", "probe.spatial_views=1")


@pytest.fixture(scope="module")
def embeddings(pretrained_run, videos):
    return mgm.embed(pretrained_run, videos, overrides=VIEWS)


@pytest.fixture(scope="module")
def encoded(pretrained_run, videos, config):
    """The clips of two views of the first test video, and the encoder."""
    views = evaluation_views(videos.test, config, FileSource(), config.sampler("dense"))
    return mgm.load_encoder(pretrained_run), views[0].video[[0, 2]]  # the last of 3 temporal views, and the first


def test_features_of_every_view_with_its_place(embeddings, videos):
    assert embeddings.features.shape == (64, 32)
    assert embeddings.path[::2] == tuple(item.path for item in videos.items)
    assert embeddings.split == ("train",) * 32 + ("test",) * 32
    assert embeddings.label[::2].tolist() == [item.label for item in videos.items]
    np.testing.assert_array_equal(embeddings.places.frame_indices[:2], [[0, 1, 2, 3], [4, 5, 6, 7]])
    steps = np.diff(embeddings.places.pts_seconds[0])
    np.testing.assert_allclose(steps, steps[0])
    assert "64 views of 32 videos, 32 numbers each" in repr(embeddings)


@pytest.mark.parametrize("pooling", ["mean", "mean-std-max", "none"])
@pytest.mark.parametrize("layer", [None, 0, -1])
def test_layers_and_pooling(pretrained_run, videos, encoded, pooling, layer):
    encoder, clips = encoded
    with torch.no_grad():
        tokens = encoder(clips, block=layer)
    expected = {
        "mean": tokens.mean(1),
        "mean-std-max": torch.cat((tokens.mean(1), tokens.std(1, correction=0), tokens.amax(1)), 1),
        "none": tokens,
    }[pooling]
    one = videos.only([videos.test[0].path])
    said = []
    found = mgm.embed(pretrained_run, one, layer=layer, pooling=pooling, overrides=VIEWS, announce=said.append)
    np.testing.assert_allclose(found.features, expected, rtol=1e-4, atol=1e-5)
    assert said == [
        f"1 video, at most 2 views of {' x '.join(map(str, expected.shape[1:]))} numbers each: up to "
        f"{byte_size(2 * 4 * np.prod(expected.shape[1:]))}, in memory until they are written"
    ]


def test_npz(embeddings, tmp_path):
    embeddings.save(tmp_path / "f.npz")
    with np.load(tmp_path / "f.npz") as file:  # without pickle
        np.testing.assert_array_equal(file["features"], embeddings.features)
        np.testing.assert_array_equal(file["pts_seconds"], embeddings.places.pts_seconds)
        assert tuple(file["path"]) == embeddings.path
        assert tuple(file["classes"]) == embeddings.classes
        assert json.loads(str(file["about"]))["pooling"] == "mean"


def test_safetensors(embeddings, tmp_path):
    from safetensors import safe_open

    embeddings.save(tmp_path / "f.safetensors")
    with safe_open(tmp_path / "f.safetensors", "numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("features"), embeddings.features)
        np.testing.assert_array_equal(file.get_tensor("frame_indices"), embeddings.places.frame_indices)
        assert tuple(json.loads(file.metadata()["split"])) == embeddings.split


def test_parquet(embeddings, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    embeddings.save(tmp_path / "f.parquet")
    rows = parquet.read_table(tmp_path / "f.parquet").to_pylist()
    assert [row["class"] for row in rows] == [embeddings.classes[i] for i in embeddings.label]
    np.testing.assert_array_equal([row["features"] for row in rows], embeddings.features)
    assert (rows[1]["first_frame"], rows[1]["last_frame"]) == (4, 7)


def test_wrong_files_and_layers(pretrained_run, videos, embeddings, tmp_path):
    with raises(FileError, "unsupported", message="embed-suffix"):
        embeddings.save(tmp_path / "f.txt")
    with raises(ModelError, "invalid_value"):
        mgm.embed(pretrained_run, videos, layer=99)


@pytest.mark.parametrize("change", [None, "a damaged file", "another layer", "a changed video"])
def test_a_stopped_call_continues_after_the_finished_videos(pretrained_run, videos, tmp_path, monkeypatch, change):
    for number, item in enumerate(videos.items):
        shutil.copy(item.path, tmp_path / f"{number}.mp4")
    items = [replace(item, path=str(tmp_path / f"{number}.mp4")) for number, item in enumerate(videos.items)]
    given = replace(videos, train=items[: len(videos.train)], test=items[len(videos.train) :])
    options = {"overrides": VIEWS, "pooling": "mean-std-max"}
    encoded = []
    plain = views.tokens_of

    def counted(encoder, clips, block):
        encoded.append(len(clips))
        if stops and len(encoded) > 1:
            raise KeyboardInterrupt
        return plain(encoder, clips, block)

    monkeypatch.setattr(views, "tokens_of", counted)
    stops = True
    with pytest.raises(KeyboardInterrupt):
        mgm.embed(pretrained_run, given, keep=tmp_path / "kept", **options)
    (kept,) = (tmp_path / "kept").rglob("*.group")
    kept.with_name("notes.group").write_bytes(kept.read_bytes())  # not one of ours
    stops, encoded[:] = False, []
    if change == "a damaged file":
        kept.write_bytes(kept.read_bytes()[:-1])
    elif change == "another layer":
        options["layer"] = 0
    elif change == "a changed video":
        os.utime(items[0].path, (1, 1))
    found = mgm.embed(pretrained_run, given, keep=tmp_path / "kept", **options)
    assert sum(encoded) == (64 if change else 32)  # two views of 32 videos; 16 of them were finished
    encoded.clear()
    # as after a stop while the file is written
    again = mgm.embed(pretrained_run, given, keep=tmp_path / "kept", **options)
    assert encoded == []
    np.testing.assert_array_equal(again.features, found.features)
    expected = mgm.embed(pretrained_run, given, **options)
    for name, values in found.arrays().items():
        np.testing.assert_array_equal(values, expected.arrays()[name])
    assert (found.path, found.split, found.about) == (expected.path, expected.split, expected.about)
